/**
 * The ports of a table in columns: a row number is a place in every column. What nearly every port has — id, network,
 * MAC, one IPv4 and one IPv6 address, one plain locator — lies in typed arrays; the rest of a port, when it has more,
 * in one object. Indexes give the row of an id, a MAC, an address, an interface. The store is changed in place; `Table`
 * versions are made of it with the help of an undo record (see compact-table.ts).
 */

import { equalIp, formatIp, formatMac, type Ip6Words, type IpNumber } from './address.ts';
import { finish, HASH_SEED, HashIndex, mix } from './hash-index.ts';
import { ID_LONG, IdCells, type IdKind } from './id-cells.ts';
import { lengthened } from './lengthened.ts';
import type { TableLocator, TableMove, TablePort } from './model.ts';
import { type NameDump, NameTable } from './name-table.ts';
import { columnNamed, NumberColumn, namedColumn } from './number-column.ts';
import { DEFAULT_PRIORITY, DEFAULT_WEIGHT, NEVER_USED, type PortRow } from './row.ts';
import type { RowSet } from './row-set.ts';
import type { Steps } from './steps.ts';
import { TextHeap } from './text-heap.ts';
import { isViewed } from './view.ts';

/** A row and where it was written. */
export interface StoredRow {
  /** Number of the row. */
  readonly place: number;
  readonly row: PortRow;
  readonly file: number;
  readonly line: number;
}

/** How a network is reached on a node: by how many locators, and by which segments other than its own. */
export interface Presence {
  /** Locators without a segment of their own. */
  plain: number;
  /** Segment -> locators that name it. */
  overrides: Map<number, number> | undefined;
}

/** What a port has beyond the columns. */
interface Extra {
  readonly ips: readonly IpNumber[] | undefined;
  readonly macs: readonly number[];
  readonly allow: readonly string[];
  readonly role: 'router' | 'dhcp' | undefined;
  readonly at: readonly TableLocator[] | undefined;
  readonly state: 'down' | 'drain' | undefined;
  readonly move: TableMove | undefined;
}

/** The columns as they are now, for reading: another array after the store has grown. */
export interface PortColumns {
  /** Number of the network's name. */
  readonly network: NumberColumn;
  readonly macHigh: NumberColumn;
  readonly macLow: Uint32Array;
  readonly ip4: Uint32Array;
  /** Four words a row. */
  readonly ip6: Uint32Array | undefined;
  /** Number of the node's name. */
  readonly node: Numbers;
}

/** Numbers of names: two bytes each while they are few. */
type Numbers = Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** A port of which all lies in columns and nothing is unusual, as the readers find most of them. */
export interface PlainPort {
  /** The id as UTF-8, a part of these bytes. */
  bytes: Uint8Array;
  idStart: number;
  idEnd: number;
  network: string;
  mac: number;
  /** -1: none */
  ip4: number;
  ip6: Ip6Words | undefined;
  /** Of its only locator, which says nothing else. */
  node: string;
}

export type StoredArray = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** What is no array of a store. */
export interface StoreRest {
  readonly rows: number;
  readonly live: number;
  readonly seed: number;
  readonly free: readonly number[];
  readonly indexes: readonly { readonly used: number; readonly live: number }[];
  readonly extra: readonly (readonly [number, Extra])[];
  readonly later: readonly (readonly [string, readonly number[]])[];
  readonly presence: readonly (readonly [
    number,
    readonly (readonly [number, number, readonly (readonly [number, number])[] | undefined | null])[],
  ])[];
  readonly views: readonly (readonly [string, readonly number[]])[];
  readonly limited: readonly (readonly [number, readonly number[]])[];
  readonly ipv6Ports: readonly (readonly [number, number])[];
  readonly sharedMacs: readonly (readonly [number, readonly (readonly [number, number])[]])[];
  readonly nodes: NameDump;
  readonly networks: NameDump;
}

export interface StoreDump {
  readonly arrays: Readonly<Record<string, StoredArray>>;
  readonly rest: StoreRest;
}

const TWO_32 = 0x1_0000_0000;
/** Room of a restored store beside what it holds. */
const SPARE = 1.02;
const FIRST_CAPACITY = 64;
const NONE: readonly never[] = Object.freeze([]);
/** Of the indexes in a dump. */
const INDEX_NAMES = ['byId', 'byMac', 'byIp', 'byInterface'] as const;

const HAS_IP4 = 1;
const HAS_IP6 = 2;
const HAS_INTERFACE = 4;
const HAS_EXTRA = 8;
/** The extra object holds all addresses. */
const EXTRA_IPS = 16;
/** The extra object holds all locators. */
const EXTRA_AT = 32;
/** Of two bits, which kind of id it is: `IdKind`. */
const ID_SHIFT = 6;

function hashMac(seed: number, network: number, mac: number): number {
  return finish(mix(mix(network ^ seed, Math.floor(mac / TWO_32)), mac >>> 0));
}

function hashIp(seed: number, network: number, ip: IpNumber): number {
  if (typeof ip === 'number') return finish(mix(network ^ seed, ip));
  return finish(mix(mix(mix(mix(network ^ seed, ip[0]), ip[1]), ip[2]), ip[3]));
}

function hashInterface(seed: number, node: number, name: string): number {
  let hash = node ^ seed;
  for (let i = 0; i < name.length; i++) hash = mix(hash, name.charCodeAt(i));
  return finish(hash);
}

function isPlain(at: readonly TableLocator[]): boolean {
  const only = at[0];
  return (
    at.length === 1 &&
    only !== undefined &&
    only.segment === undefined &&
    only.priority === DEFAULT_PRIORITY &&
    only.weight === DEFAULT_WEIGHT &&
    !isViewed(at)
  );
}

/** One IPv4, one IPv6, or both in this order: what the columns hold. */
function fitsColumns(ips: readonly IpNumber[]): boolean {
  if (ips.length <= 1) return true;
  return ips.length === 2 && typeof ips[0] === 'number' && typeof ips[1] !== 'number';
}

function hasIpv6(row: PortRow): boolean {
  for (const ip of row.ips) if (typeof ip !== 'number') return true;
  return false;
}

function namesOf(at: readonly TableLocator[]): Set<string> {
  return new Set(at.flatMap((locator) => [...(locator.for ?? []), ...(locator.prefer ?? [])]));
}

/** May a node be left without a locator? */
function isLimited(at: readonly TableLocator[]): boolean {
  return at.every(
    (locator) => locator.for !== undefined || locator.pending === true || locator.priority === NEVER_USED,
  );
}

function addTo<K>(map: Map<K, Set<number>>, key: K, row: number): void {
  const rows = map.get(key);
  if (rows === undefined) map.set(key, new Set([row]));
  else rows.add(row);
}

function removeFrom<K>(map: Map<K, Set<number>>, key: K, row: number): void {
  const rows = map.get(key);
  rows?.delete(row);
  if (rows?.size === 0) map.delete(key);
}

// Keys of rows that are second.
const macKey = (network: number, mac: number): string => `m${network} ${mac}`;
const ipKey = (network: number, ip: IpNumber): string => `i${network} ${formatIp(ip)}`;
const interfaceKey = (node: number, name: string): string => `d${node} ${name}`;

export class PortStore {
  readonly nodes = new NameTable();
  readonly networks = new NameTable();
  /** Node number -> network number -> presence. */
  readonly presence = new Map<number, Map<number, Presence>>();
  /** What `for` and `prefer` name -> rows that do. */
  readonly views = new Map<string, Set<number>>();
  /** Network number -> rows of which every locator has a `for`. */
  readonly limited = new Map<number, Set<number>>();
  /** Rows of ports that move. */
  readonly moving = new Set<number>();
  /** Network number -> ports with IPv6 addresses. */
  readonly #ipv6Ports = new Map<number, number>();
  /** Network number -> MAC -> ports that list it under `macs`. */
  readonly #sharedMacs = new Map<number, Map<number, number>>();

  /** Rows that met an equal MAC, address or interface when they were put in: to be looked at when all is in. */
  suspects = new Set<number>();
  /** Nodes whose networks or their segments changed. */
  dirtyNodes = new Set<number>();
  /** Network numbers that got a port with IPv6. */
  dirtyIpv6 = new Set<number>();
  /** Names under `for` and `prefer` that rows were put in with. */
  dirtyViews = new Set<string>();
  /** Network numbers that got a row of `limited`. */
  dirtyLimited = new Set<number>();
  /** Network number and MAC of `macs` entries that were put in. */
  dirtyShared: [number, number][] = [];

  /** Rises with every change. */
  version = 0;
  #capacity = FIRST_CAPACITY;
  #limit = 0;
  #live = 0;
  readonly #free: number[] = [];
  readonly #seed: number;
  readonly #ids: IdCells;
  readonly #interfaces: TextHeap;
  readonly #extra = new Map<number, Extra>();

  #network = new NumberColumn();
  #macHigh = new NumberColumn();
  #macLow = new Uint32Array(FIRST_CAPACITY);
  #flags = new Uint8Array(FIRST_CAPACITY);
  #ip4 = new Uint32Array(FIRST_CAPACITY);
  #node: Numbers = new Uint16Array(FIRST_CAPACITY);
  #file = new NumberColumn();
  #line = new NumberColumn();
  /** Made when the first row needs them. */
  #ip6: Uint32Array<ArrayBuffer> | undefined;
  #interface: Uint32Array<ArrayBuffer> | undefined;
  #sequence: Uint32Array<ArrayBuffer> | undefined;

  readonly #byId = new HashIndex((add) => {
    for (let row = 0; row < this.#limit; row++) {
      if (this.isLive(row)) add(this.#ids.hashAt(row, this.#idKind(row)), row);
    }
  });
  readonly #byMac = new HashIndex((add) => {
    for (let row = 0; row < this.#limit; row++) {
      if (!this.isLive(row)) continue;
      const network = this.#network.get(row);
      const mac = this.mac(row);
      if (!this.#isLater(row, macKey, network, mac)) add(hashMac(this.#seed, network, mac), row);
    }
  });
  readonly #byIp = new HashIndex((add) => {
    for (let row = 0; row < this.#limit; row++) {
      if (!this.isLive(row)) continue;
      const network = this.#network.get(row);
      for (const ip of this.ips(row))
        if (!this.#isLater(row, ipKey, network, ip)) add(hashIp(this.#seed, network, ip), row);
    }
  });
  readonly #byInterface = new HashIndex((add) => {
    for (let row = 0; row < this.#limit; row++) {
      if (!this.isLive(row) || (this.#flags[row]! & (HAS_INTERFACE | EXTRA_AT)) === 0) continue;
      this.#eachInterface(row, (node, name) => {
        if (!this.#isLater(row, interfaceKey, node, name)) add(hashInterface(this.#seed, node, name), row);
      });
    }
  });
  readonly #indexes = [this.#byId, this.#byMac, this.#byIp, this.#byInterface] as const;
  /**
   * Rows that came when another row had the same MAC, address or interface: the index holds the first of them only, so
   * that a table in which all ports have one MAC costs no more than another.
   */
  readonly #later = new Map<string, Set<number>>();

  /** @param seed start of the hashes in the indexes */
  constructor(seed = HASH_SEED) {
    this.#seed = seed;
    this.#ids = new IdCells(FIRST_CAPACITY, seed);
    this.#interfaces = new TextHeap(seed);
  }

  /** Number of ports. */
  get size(): number {
    return this.#live;
  }

  /** Rows are below this; some of them may be free. */
  get limit(): number {
    return this.#limit;
  }

  /** For how many rows there is room. */
  get capacity(): number {
    return this.#capacity;
  }

  isLive(row: number): boolean {
    return row < this.#limit && (this.#flags[row]! >>> ID_SHIFT !== 0 || !this.#ids.isEmpty(row));
  }

  #idKind(row: number): IdKind {
    return (this.#flags[row]! >>> ID_SHIFT) as IdKind;
  }

  columns(): PortColumns {
    return {
      network: this.#network,
      macHigh: this.#macHigh,
      macLow: this.#macLow,
      ip4: this.#ip4,
      ip6: this.#ip6,
      node: this.#node,
    };
  }

  /** True when the row is live and all of it lies in columns. */
  isPlain(row: number): boolean {
    return this.isLive(row) && (this.#flags[row]! & HAS_EXTRA) === 0 && this.sequence(row) === 0;
  }

  /** True when the row has no more than what lies in columns; it may have a sequence. */
  isInColumns(row: number): boolean {
    return (this.#flags[row]! & HAS_EXTRA) === 0;
  }

  hasIp4(row: number): boolean {
    return (this.#flags[row]! & HAS_IP4) !== 0;
  }

  hasIp6(row: number): boolean {
    return (this.#flags[row]! & HAS_IP6) !== 0;
  }

  // reading one row

  id(row: number): string {
    return this.#ids.text(row, this.#idKind(row));
  }

  /** Puts the id of a row into a form that `cells` can store. */
  encodeId(row: number, cells: IdCells): void {
    cells.encodeFrom(this.#ids, row, this.#idKind(row));
  }

  network(row: number): string {
    return this.networks.name(this.#network.get(row));
  }

  /** The node of a row that is `isInColumns`. */
  node(row: number): string {
    return this.nodes.name(this.#node[row]!);
  }

  /** The interface of a row that is `isInColumns`, if it has one. */
  interface(row: number): string | undefined {
    return this.#flags[row]! & HAS_INTERFACE ? this.#interfaces.text(this.#interface![row]!) : undefined;
  }

  mac(row: number): number {
    return this.#macHigh.get(row) * TWO_32 + this.#macLow[row]!;
  }

  ips(row: number): readonly IpNumber[] {
    const flags = this.#flags[row]!;
    if (flags & EXTRA_IPS) return this.#extra.get(row)!.ips!;
    const words = flags & HAS_IP6 ? this.#ip6! : undefined;
    if (words === undefined) return flags & HAS_IP4 ? [this.#ip4[row]!] : NONE;
    const at = row * 4;
    const ip6 = [words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!] as const;
    return flags & HAS_IP4 ? [this.#ip4[row]!, ip6] : [ip6];
  }

  at(row: number): readonly TableLocator[] {
    const flags = this.#flags[row]!;
    if (flags & EXTRA_AT) return this.#extra.get(row)!.at!;
    const name = this.interface(row);
    return [
      {
        node: this.node(row),
        ...(name !== undefined && { interface: name }),
        priority: DEFAULT_PRIORITY,
        weight: DEFAULT_WEIGHT,
      },
    ];
  }

  macs(row: number): readonly number[] {
    return this.#flags[row]! & HAS_EXTRA ? this.#extra.get(row)!.macs : NONE;
  }

  hasAllow(row: number): boolean {
    return (this.#flags[row]! & HAS_EXTRA) !== 0 && this.#extra.get(row)!.allow.length > 0;
  }

  /** Some port has a sequence, or had one. */
  get hasSequences(): boolean {
    return this.#sequence !== undefined;
  }

  /** 0: none was given. */
  sequence(row: number): number {
    return this.#sequence?.[row] ?? 0;
  }

  file(row: number): number {
    return this.#file.get(row);
  }

  /** Live rows of these files that are not in `seen`. */
  rowsOfFiles(files: ReadonlySet<number>, seen: RowSet): number[] {
    const wanted = new Uint8Array(0x1_0000);
    for (const file of files) wanted[file] = 1;
    const found: number[] = [];
    this.#file.rowsOf(wanted, this.#limit, (row) => {
      if (!seen.has(row) && this.isLive(row)) found.push(row);
    });
    return found;
  }

  line(row: number): number {
    return this.#line.get(row);
  }

  /** The row as it was put in. */
  stored(row: number): StoredRow {
    const extra = this.#flags[row]! & HAS_EXTRA ? this.#extra.get(row)! : undefined;
    return {
      place: row,
      row: {
        id: this.id(row),
        network: this.network(row),
        mac: this.mac(row),
        macs: extra?.macs ?? NONE,
        ips: this.ips(row),
        allow: extra?.allow ?? NONE,
        role: extra?.role,
        at: this.at(row),
        state: extra?.state,
        sequence: this.sequence(row),
        move: extra?.move,
      },
      file: this.file(row),
      line: this.line(row),
    };
  }

  port(row: number): TablePort {
    return portOfRow(this.stored(row).row);
  }

  // looking up

  findId(id: string): number {
    this.#ids.encode(id);
    return this.#findEncoded();
  }

  /** The row of an id that is given as bytes. */
  findIdBytes(bytes: Uint8Array, start: number, end: number): number {
    this.#ids.encodeBytes(bytes, start, end);
    return this.#findEncoded();
  }

  #findEncoded(): number {
    for (let row = this.#byId.first(this.#ids.hash()); row >= 0; row = this.#byId.next()) {
      if (this.#ids.equals(row, this.#idKind(row))) return row;
    }
    return -1;
  }

  /** All rows of a network with this MAC; more than one only while an edit is under way. */
  findMac(network: string, mac: number): number[] {
    const number = this.networks.find(network);
    if (number === undefined) return [];
    return this.#withLater(this.#rowOfMac(number, mac), macKey, number, mac);
  }

  // The row that an index holds for a key. On the way to it lie rows for other keys; one of them may have this key too,
  // being a later one of it, or being the row that is just put in.

  #rowOfMac(network: number, mac: number): number {
    for (let row = this.#byMac.first(hashMac(this.#seed, network, mac)); row >= 0; row = this.#byMac.next()) {
      if (this.#network.get(row) === network && this.mac(row) === mac) return row;
    }
    return -1;
  }

  /** All rows of a network with this address. */
  findIp(network: string, ip: IpNumber): number[] {
    const number = this.networks.find(network);
    if (number === undefined) return [];
    return this.#withLater(this.#rowOfIp(number, ip), ipKey, number, ip);
  }

  #rowOfIp(network: number, ip: IpNumber, except = -1): number {
    for (let row = this.#byIp.first(hashIp(this.#seed, network, ip)); row >= 0; row = this.#byIp.next()) {
      if (row === except || this.#network.get(row) !== network || !this.#hasIp(row, ip)) continue;
      if (!this.#isLater(row, ipKey, network, ip)) return row;
    }
    return -1;
  }

  #hasIp(row: number, ip: IpNumber): boolean {
    const flags = this.#flags[row]!;
    if ((flags & EXTRA_IPS) !== 0) return this.#extra.get(row)!.ips!.some((own) => equalIp(own, ip));
    if (typeof ip === 'number') return (flags & HAS_IP4) !== 0 && this.#ip4[row] === ip;
    if ((flags & HAS_IP6) === 0) return false;
    const words = this.#ip6!;
    const at = row * 4;
    return words[at] === ip[0] && words[at + 1] === ip[1] && words[at + 2] === ip[2] && words[at + 3] === ip[3];
  }

  /** All rows with this interface of a node. */
  findInterface(node: string, name: string): number[] {
    const number = this.nodes.find(node);
    if (number === undefined) return [];
    return this.#withLater(this.#rowOfInterface(number, node, name), interfaceKey, number, name);
  }

  #rowOfInterface(number: number, node: string, name: string, except = -1): number {
    for (
      let row = this.#byInterface.first(hashInterface(this.#seed, number, name));
      row >= 0;
      row = this.#byInterface.next()
    ) {
      if (row === except || !this.at(row).some((at) => at.node === node && at.interface === name)) continue;
      if (!this.#isLater(row, interfaceKey, number, name)) return row;
    }
    return -1;
  }

  #withLater<T>(first: number, key: (a: number, b: T) => string, a: number, b: T): number[] {
    if (first < 0) return [];
    const later = this.#later.size > 0 ? this.#later.get(key(a, b)) : undefined;
    return later === undefined ? [first] : [first, ...later];
  }

  #isLater<T>(row: number, key: (a: number, b: T) => string, a: number, b: T): boolean {
    return this.#later.size > 0 && (this.#later.get(key(a, b))?.has(row) ?? false);
  }

  /** A row with a key that `first` has already, if that is a row. */
  #addKey(index: HashIndex, hash: number, row: number, first: number, key: () => string): void {
    if (first < 0) {
      index.add(hash, row);
      return;
    }
    this.suspects.add(row);
    const name = key();
    const later = this.#later.get(name);
    if (later === undefined) this.#later.set(name, new Set([row]));
    else later.add(row);
  }

  #removeKey(index: HashIndex, hash: number, row: number, key: () => string): void {
    const name = this.#later.size > 0 ? key() : '';
    const later = this.#later.get(name);
    if (later === undefined) {
      index.remove(hash, row);
      return;
    }
    if (!later.delete(row)) {
      // The first of them goes: another one takes its place.
      const next = later.values().next().value!;
      later.delete(next);
      index.replace(hash, row, next);
    }
    if (later.size === 0) this.#later.delete(name);
  }

  ipv6Ports(network: number): number {
    return this.#ipv6Ports.get(network) ?? 0;
  }

  sharedMacPorts(network: number, mac: number): number {
    return this.#sharedMacs.get(network)?.get(mac) ?? 0;
  }

  #eachInterface(row: number, visit: (node: number, name: string) => void): void {
    const flags = this.#flags[row]!;
    if (flags & EXTRA_AT) {
      for (const { node, interface: name } of this.#extra.get(row)!.at!) {
        if (name !== undefined) visit(this.nodes.find(node)!, name);
      }
    } else if (flags & HAS_INTERFACE) {
      visit(this.#node[row]!, this.#interfaces.text(this.#interface![row]!));
    }
  }

  /** True when the row holds exactly this, wherever it was written. */
  equals(row: number, other: PortRow): boolean {
    if (this.mac(row) !== other.mac || this.network(row) !== other.network) return false;
    const extra = this.#flags[row]! & HAS_EXTRA ? this.#extra.get(row)! : undefined;
    if (extra?.role !== other.role || extra?.state !== other.state) return false;
    return (
      this.sequence(row) === other.sequence &&
      sameMove(extra?.move, other.move) &&
      sameList(this.ips(row), other.ips, equalIp) &&
      sameList(this.at(row), other.at, equalLocator) &&
      sameList(extra?.macs ?? NONE, other.macs, Object.is) &&
      sameList(extra?.allow ?? NONE, other.allow, Object.is)
    );
  }

  /** Where a row was written, when that is all that changed. */
  relocate(row: number, file: number, line: number): void {
    this.version++;
    this.#file.set(row, file);
    this.#line.set(row, line);
  }

  // changing

  /** Puts a port in: at a row that is known to be free, or at any. Its id must not be in the store. */
  put(port: PortRow, file: number, line: number, wanted = -1): number {
    const interfaces = port.at.reduce((n, locator) => n + (locator.interface === undefined ? 0 : 1), 0);
    this.#byId.reserve(1);
    this.#byMac.reserve(1);
    this.#byIp.reserve(port.ips.length);
    if (interfaces > 0) this.#byInterface.reserve(interfaces);
    const row = this.#takeRow(wanted);
    this.#write(row, port, file, line);
    this.#enter(row, port);
    this.#live++;
    return row;
  }

  #takeRow(wanted: number): number {
    this.version++;
    if (wanted >= 0) {
      if (this.#free.at(-1) === wanted) this.#free.pop();
      return wanted;
    }
    // A row that was taken by number may still be in the list.
    let row = this.#free.pop();
    while (row !== undefined && this.isLive(row)) row = this.#free.pop();
    row ??= this.#limit;
    if (row === this.#limit) {
      this.#limit++;
      if (row >= this.#capacity) this.#resize(Math.ceil(this.#capacity * 1.5));
    }
    return row;
  }

  /** Makes room for so many ports more at once: they will come soon. */
  reserve(ports: number): void {
    const rows = this.#limit + Math.max(0, ports - this.#free.length);
    if (rows > this.#capacity) this.#resize(rows);
    this.#byId.reserve(ports);
    this.#byMac.reserve(ports);
    this.#byIp.reserve(ports);
  }

  /** Gives room back that was made for more ports than came. */
  *fitSteps(): Steps<void> {
    for (const index of this.#indexes) {
      index.fit();
      yield;
    }
  }

  #resize(capacity: number): void {
    this.#ids.resize(capacity);
    this.#macLow = lengthened(this.#macLow, capacity);
    this.#flags = lengthened(this.#flags, capacity);
    this.#ip4 = lengthened(this.#ip4, capacity);
    this.#node = lengthened(this.#node, capacity);
    if (this.#ip6 !== undefined) this.#ip6 = lengthened(this.#ip6, capacity * 4);
    if (this.#interface !== undefined) this.#interface = lengthened(this.#interface, capacity);
    if (this.#sequence !== undefined) this.#sequence = lengthened(this.#sequence, capacity);
    this.#capacity = capacity;
  }

  /** A number of a node; the column is made wider when it does not fit. */
  #setNode(row: number, number: number): void {
    if (number > 0xffff && this.#node instanceof Uint16Array) this.#node = Uint32Array.from(this.#node);
    this.#node[row] = number;
  }

  /** Does the row hold exactly this, wherever it was written? Its id does. */
  equalsPlain(row: number, port: PlainPort): boolean {
    return this.equalsButNode(row, port) && this.node(row) === port.node;
  }

  /** The same, whatever the node. */
  equalsButNode(row: number, port: PlainPort): boolean {
    const flags = this.#flags[row]!;
    if ((flags & (HAS_EXTRA | HAS_INTERFACE)) !== 0 || this.sequence(row) !== 0) return false;
    if (this.mac(row) !== port.mac) return false;
    if (this.networks.name(this.#network.get(row)) !== port.network) return false;
    if ((flags & HAS_IP4 ? this.#ip4[row]! : -1) !== port.ip4) return false;
    const { ip6 } = port;
    if (ip6 === undefined) return (flags & HAS_IP6) === 0;
    return (flags & HAS_IP6) !== 0 && this.#hasIp(row, ip6);
  }

  /** Another node for a plain row without an interface: what a move is, and no index need know of it. */
  moveTo(row: number, name: string, file: number, line: number): void {
    const network = this.#network.get(row);
    const before = this.#node[row]!;
    this.#present(before, network, undefined, -1);
    this.nodes.drop(before);
    const node = this.nodes.take(name);
    this.#setNode(row, node);
    this.#present(node, network, undefined, 1);
    this.relocate(row, file, line);
  }

  /** `put` for a port that is plain. `findIdBytes` must have been asked for its id just before. */
  putPlain(port: PlainPort, file: number, line: number, wanted = -1): number {
    this.#byId.reserve(1);
    this.#byMac.reserve(1);
    this.#byIp.reserve(2);
    const row = this.#takeRow(wanted);
    const { mac, ip4, ip6 } = port;
    this.#ids.encodeBytes(port.bytes, port.idStart, port.idEnd);
    const kind = this.#ids.store(row);
    const network = this.networks.take(port.network);
    const node = this.nodes.take(port.node);
    this.#network.set(row, network);
    this.#setNode(row, node);
    this.#macHigh.set(row, Math.floor(mac / TWO_32));
    this.#macLow[row] = mac >>> 0;
    this.#file.set(row, file);
    this.#line.set(row, line);
    if (this.#sequence !== undefined) this.#sequence[row] = 0;
    let flags = kind << ID_SHIFT;
    if (ip4 >= 0) {
      this.#ip4[row] = ip4;
      flags |= HAS_IP4;
    }
    if (ip6 !== undefined) {
      this.#ip6 ??= new Uint32Array(this.#capacity * 4);
      this.#ip6.set(ip6, row * 4);
      flags |= HAS_IP6;
    }
    this.#flags[row] = flags;
    this.#byId.add(this.#ids.hash(), row);
    this.#addMac(network, mac, row);
    if (ip4 >= 0) this.#addIp(network, ip4, row);
    if (ip6 !== undefined) {
      this.#addIp(network, ip6, row);
      this.#ipv6Ports.set(network, this.ipv6Ports(network) + 1);
      this.dirtyIpv6.add(network);
    }
    this.#present(node, network, undefined, 1);
    this.#live++;
    return row;
  }

  #addMac(network: number, mac: number, row: number): void {
    const first = this.#rowOfMac(network, mac);
    if (first < 0) this.#byMac.add(hashMac(this.#seed, network, mac), row);
    else this.#addKey(this.#byMac, hashMac(this.#seed, network, mac), row, first, () => macKey(network, mac));
  }

  #addIp(network: number, ip: IpNumber, row: number): void {
    const first = this.#rowOfIp(network, ip, row);
    if (first < 0) this.#byIp.add(hashIp(this.#seed, network, ip), row);
    else this.#addKey(this.#byIp, hashIp(this.#seed, network, ip), row, first, () => ipKey(network, ip));
  }

  #write(row: number, port: PortRow, file: number, line: number): void {
    this.#ids.encode(port.id);
    const kind = this.#ids.store(row);
    this.#network.set(row, this.networks.take(port.network));
    this.#macHigh.set(row, Math.floor(port.mac / TWO_32));
    this.#macLow[row] = port.mac >>> 0;
    this.#file.set(row, file);
    this.#line.set(row, line);
    if (port.sequence > 0) this.#sequence ??= new Uint32Array(this.#capacity);
    if (this.#sequence !== undefined) this.#sequence[row] = port.sequence;
    let flags = this.#writeIps(row, port.ips) | (kind << ID_SHIFT);
    for (const locator of port.at) this.nodes.take(locator.node);
    const plain = isPlain(port.at);
    if (plain) {
      const only = port.at[0]!;
      this.#setNode(row, this.nodes.find(only.node)!);
      if (only.interface !== undefined) {
        this.#interface ??= new Uint32Array(this.#capacity);
        this.#interfaces.encode(only.interface);
        this.#interface[row] = this.#interfaces.store();
        flags |= HAS_INTERFACE;
      }
    } else {
      flags |= EXTRA_AT;
    }
    const more = port.macs.length > 0 || port.allow.length > 0 || (port.role ?? port.state) !== undefined;
    if (more || (flags & (EXTRA_IPS | EXTRA_AT)) !== 0) {
      flags |= HAS_EXTRA;
      this.#extra.set(row, {
        ips: flags & EXTRA_IPS ? port.ips : undefined,
        macs: port.macs,
        allow: port.allow,
        role: port.role,
        at: plain ? undefined : port.at,
        state: port.state,
        move: port.move,
      });
    }
    this.#flags[row] = flags;
  }

  #writeIps(row: number, ips: readonly IpNumber[]): number {
    if (!fitsColumns(ips)) return EXTRA_IPS;
    let flags = 0;
    for (const ip of ips) {
      if (typeof ip === 'number') {
        this.#ip4[row] = ip;
        flags |= HAS_IP4;
      } else {
        this.#ip6 ??= new Uint32Array(this.#capacity * 4);
        this.#ip6.set(ip, row * 4);
        flags |= HAS_IP6;
      }
    }
    return flags;
  }

  #enter(row: number, port: PortRow): void {
    this.#byId.add(this.#ids.hashAt(row, this.#idKind(row)), row);
    const network = this.#network.get(row);
    const { mac } = port;
    this.#addMac(network, mac, row);
    for (const ip of port.ips) this.#addIp(network, ip, row);
    for (const locator of port.at) {
      const node = this.nodes.find(locator.node)!;
      const name = locator.interface;
      if (name !== undefined) {
        const first = this.#rowOfInterface(node, locator.node, name, row);
        this.#addKey(this.#byInterface, hashInterface(this.#seed, node, name), row, first, () =>
          interfaceKey(node, name),
        );
      }
      this.#present(node, network, locator.segment, 1);
    }
    if (port.move !== undefined) this.moving.add(row);
    if (isViewed(port.at)) {
      for (const name of namesOf(port.at)) {
        addTo(this.views, name, row);
        this.dirtyViews.add(name);
      }
      if (isLimited(port.at)) {
        addTo(this.limited, network, row);
        this.dirtyLimited.add(network);
      }
    }
    if (hasIpv6(port)) {
      this.#ipv6Ports.set(network, this.ipv6Ports(network) + 1);
      this.dirtyIpv6.add(network);
    }
    for (const mac of port.macs) {
      this.#share(network, mac, 1);
      this.dirtyShared.push([network, mac]);
    }
  }

  /** Takes a port out. */
  remove(row: number): void {
    this.version++;
    const port = this.stored(row).row;
    const network = this.#network.get(row);
    this.#byId.remove(this.#ids.hashAt(row, this.#idKind(row)), row);
    this.#removeKey(this.#byMac, hashMac(this.#seed, network, port.mac), row, () => macKey(network, port.mac));
    for (const ip of port.ips)
      this.#removeKey(this.#byIp, hashIp(this.#seed, network, ip), row, () => ipKey(network, ip));
    for (const locator of port.at) {
      const node = this.nodes.find(locator.node)!;
      const name = locator.interface;
      if (name !== undefined) {
        this.#removeKey(this.#byInterface, hashInterface(this.#seed, node, name), row, () => interfaceKey(node, name));
      }
      this.#present(node, network, locator.segment, -1);
    }
    this.moving.delete(row);
    if (isViewed(port.at)) {
      for (const name of namesOf(port.at)) removeFrom(this.views, name, row);
      if (isLimited(port.at)) removeFrom(this.limited, network, row);
    }
    if (hasIpv6(port)) {
      const left = this.ipv6Ports(network) - 1;
      if (left > 0) this.#ipv6Ports.set(network, left);
      else this.#ipv6Ports.delete(network);
    }
    for (const mac of port.macs) this.#share(network, mac, -1);
    for (const locator of port.at) this.nodes.drop(this.nodes.find(locator.node)!);
    this.networks.drop(network);
    this.#ids.release(row, this.#idKind(row));
    if (this.#flags[row]! & HAS_INTERFACE) this.#interfaces.release(this.#interface![row]!);
    this.#extra.delete(row);
    this.#flags[row] = 0;
    this.#free.push(row);
    this.suspects.delete(row);
    this.#live--;
    this.#compactHeaps();
  }

  #compactHeaps(): void {
    this.#ids.compact(this.#limit, (row) => this.#idKind(row) === ID_LONG);
    if (this.#interfaces.holes > 65_536 && this.#interfaces.holes * 2 > this.#interfaces.size) {
      this.#interfaces.compact((place) => {
        const column = this.#interface!;
        for (let row = 0; row < this.#limit; row++) {
          if (this.#flags[row]! & HAS_INTERFACE) column[row] = place(column[row]!);
        }
      });
    }
  }

  #present(node: number, network: number, segment: number | undefined, change: 1 | -1): void {
    let networks = this.presence.get(node);
    if (networks === undefined) {
      networks = new Map();
      this.presence.set(node, networks);
    }
    let presence = networks.get(network);
    if (presence === undefined) {
      presence = { plain: 0, overrides: undefined };
      networks.set(network, presence);
    }
    let count: number;
    if (segment === undefined) {
      presence.plain += change;
      count = presence.plain;
    } else {
      presence.overrides ??= new Map();
      count = (presence.overrides.get(segment) ?? 0) + change;
      if (count > 0) presence.overrides.set(segment, count);
      else presence.overrides.delete(segment);
      if (presence.overrides.size === 0) presence.overrides = undefined;
    }
    if (change === 1 && count === 1) this.dirtyNodes.add(node);
    if (presence.plain === 0 && presence.overrides === undefined) {
      networks.delete(network);
      if (networks.size === 0) this.presence.delete(node);
    }
  }

  #share(network: number, mac: number, change: 1 | -1): void {
    let macs = this.#sharedMacs.get(network);
    if (macs === undefined) {
      macs = new Map();
      this.#sharedMacs.set(network, macs);
    }
    const count = (macs.get(mac) ?? 0) + change;
    if (count > 0) macs.set(mac, count);
    else macs.delete(mac);
    if (macs.size === 0) this.#sharedMacs.delete(network);
  }

  /**
   * Everything, for a snapshot: arrays as they lie there (not to be changed, and valid until the store is), and the rest as JSON has it.
   */
  dump(): StoreDump {
    const rows = this.#limit;
    const { cells, texts } = this.#ids.dump(rows);
    const indexes = this.#indexes.map((index) => index.dump());
    const arrays: Record<string, StoredArray> = {
      cells,
      texts,
      ...namedColumn('network', this.#network),
      ...namedColumn('macHigh', this.#macHigh),
      macLow: this.#macLow.subarray(0, rows),
      flags: this.#flags.subarray(0, rows),
      ip4: this.#ip4.subarray(0, rows),
      node: this.#node.subarray(0, rows),
      ...namedColumn('file', this.#file),
      ...namedColumn('line', this.#line),
      ...(this.#ip6 !== undefined && { ip6: this.#ip6.subarray(0, rows * 4) }),
      ...(this.#interface !== undefined && { interface: this.#interface.subarray(0, rows) }),
      ...(this.#sequence !== undefined && { sequence: this.#sequence.subarray(0, rows) }),
      interfaces: this.#interfaces.dump(),
    };
    INDEX_NAMES.forEach((name, i) => {
      arrays[`${name}Marks`] = indexes[i]!.marks;
      arrays[`${name}Rows`] = indexes[i]!.rows;
    });
    const rest: StoreRest = {
      rows,
      live: this.#live,
      seed: this.#seed,
      free: this.#free.filter((row) => !this.isLive(row)),
      indexes: indexes.map(({ used, live }) => ({ used, live })),
      extra: [...this.#extra],
      later: [...this.#later].map(([key, later]) => [key, [...later]]),
      presence: [...this.presence].map(([node, networks]) => [
        node,
        [...networks].map(([network, { plain, overrides }]) => [network, plain, overrides && [...overrides]]),
      ]),
      views: [...this.views].map(([name, at]) => [name, [...at]]),
      limited: [...this.limited].map(([network, at]) => [network, [...at]]),
      ipv6Ports: [...this.#ipv6Ports],
      sharedMacs: [...this.#sharedMacs].map(([network, macs]) => [network, [...macs]]),
      nodes: this.nodes.dump(),
      networks: this.networks.dump(),
    };
    return { arrays, rest };
  }

  /** A store from what `dump` gave, which it takes over. */
  static restore({ arrays, rest }: StoreDump): PortStore {
    const store = new PortStore(rest.seed);
    const { rows } = rest;
    const capacity = Math.max(FIRST_CAPACITY, Math.ceil(rows * SPARE));
    store.#capacity = capacity;
    store.#limit = rows;
    store.#live = rest.live;
    store.#free.push(...rest.free);
    const roomy = <T extends StoredArray>(name: string, width = 1): T => {
      const from = arrays[name]!;
      const to = new (from.constructor as new (length: number) => StoredArray)(capacity * width);
      to.set(from as never);
      return to as T;
    };
    const cells = new Uint8Array(capacity * 16);
    cells.set(arrays.cells!);
    store.#ids.restore(cells, arrays.texts as Uint8Array);
    store.#network = columnNamed('network', arrays)!;
    store.#macHigh = columnNamed('macHigh', arrays)!;
    store.#macLow = roomy('macLow');
    store.#flags = roomy('flags');
    store.#ip4 = roomy('ip4');
    store.#node = roomy('node');
    store.#file = columnNamed('file', arrays)!;
    store.#line = columnNamed('line', arrays)!;
    if (arrays.ip6 !== undefined) store.#ip6 = roomy<Uint32Array<ArrayBuffer>>('ip6', 4);
    if (arrays.interface !== undefined) store.#interface = roomy<Uint32Array<ArrayBuffer>>('interface');
    if (arrays.sequence !== undefined) store.#sequence = roomy<Uint32Array<ArrayBuffer>>('sequence');
    store.#interfaces.restore(arrays.interfaces as Uint8Array);
    store.#indexes.forEach((index, i) => {
      const marks = arrays[`${INDEX_NAMES[i]}Marks`] as Uint8Array<ArrayBuffer>;
      const rows = arrays[`${INDEX_NAMES[i]}Rows`] as Numbers;
      index.restore({ marks, rows, ...rest.indexes[i]! });
    });
    for (const [row, extra] of rest.extra) {
      store.#extra.set(row, extra);
      if (extra.move !== undefined) store.moving.add(row);
    }
    for (const [key, later] of rest.later) store.#later.set(key, new Set(later));
    for (const [node, networks] of rest.presence) {
      const presences = networks.map(([network, plain, overrides]): [number, Presence] => [
        network,
        { plain, overrides: overrides ? new Map(overrides) : undefined },
      ]);
      store.presence.set(node, new Map(presences));
    }
    for (const [name, at] of rest.views) store.views.set(name, new Set(at));
    for (const [network, at] of rest.limited) store.limited.set(network, new Set(at));
    for (const [network, ports] of rest.ipv6Ports) store.#ipv6Ports.set(network, ports);
    for (const [network, macs] of rest.sharedMacs) store.#sharedMacs.set(network, new Map(macs));
    store.nodes.restore(rest.nodes);
    store.networks.restore(rest.networks);
    store.settle();
    return store;
  }

  /** Forgets what the checks of an edit wanted to know. */
  settle(): void {
    this.suspects = new Set();
    this.dirtyNodes = new Set();
    this.dirtyIpv6 = new Set();
    this.dirtyShared = [];
    this.dirtyViews = new Set();
    this.dirtyLimited = new Set();
    this.nodes.fresh.clear();
    this.networks.fresh.clear();
  }
}

function sameList<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!same(a[i]!, b[i]!)) return false;
  return true;
}

function sameNames(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && sameList(a, b, Object.is));
}

function sameMove(a: TableMove | undefined, b: TableMove | undefined): boolean {
  return a?.send === b?.send && a?.activate === b?.activate;
}

function equalLocator(a: TableLocator, b: TableLocator): boolean {
  return (
    a.node === b.node &&
    a.interface === b.interface &&
    a.segment === b.segment &&
    a.priority === b.priority &&
    a.weight === b.weight &&
    a.pending === b.pending &&
    sameNames(a.for, b.for) &&
    sameNames(a.prefer, b.prefer)
  );
}

/** True when two rows say the same. */
export function equalRows(a: PortRow, b: PortRow): boolean {
  return (
    a.id === b.id &&
    a.network === b.network &&
    a.mac === b.mac &&
    a.role === b.role &&
    a.state === b.state &&
    a.sequence === b.sequence &&
    sameMove(a.move, b.move) &&
    sameList(a.ips, b.ips, equalIp) &&
    sameList(a.at, b.at, equalLocator) &&
    sameList(a.macs, b.macs, Object.is) &&
    sameList(a.allow, b.allow, Object.is)
  );
}

/** The port as the rest of the program sees it. */
export function portOfRow(row: PortRow): TablePort {
  return {
    id: row.id,
    network: row.network,
    mac: formatMac(row.mac),
    macs: row.macs.map(formatMac),
    ips: row.ips.map(formatIp),
    allow: row.allow,
    ...(row.role !== undefined && { role: row.role }),
    at: row.at,
    ...(row.state !== undefined && { state: row.state }),
    ...(row.sequence > 0 && { sequence: row.sequence }),
    ...(row.move !== undefined && { move: row.move }),
  };
}
