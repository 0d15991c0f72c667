/**
 * The compiled programs as a thing that packets can be put to: freshly loaded, unpinned, with the maps that the compiler
 * makes of a table, on devices of their own. `install` rewrites the maps, `run` runs one packet and reads everything back.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBtf } from '../../src/bintools/btf.ts';
import type { Codec } from '../../src/bintools/codec.ts';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { IdBook, type Plan, plan } from '../../src/compiler/index.ts';
import {
  balanceSlot,
  type Config,
  config as configCodec,
  counter as counterCodec,
  DSCP_UNIFORM,
  floodTarget,
  LAYOUT_VERSION,
  limit as limitCodec,
  live as liveCodec,
  NODE_WIRE,
  tables as tablesCodec,
  traffic as trafficCodec,
  type Verdict,
  verdict as verdictCodec,
} from '../../src/generated/layout.ts';
import {
  BpfObject,
  Btf,
  BucketTable,
  Errno,
  hasErrno,
  MapFlag,
  PlaceTable,
  type Program,
  RawMap,
  skbContext,
  type TestRunOptions,
  xdpContext,
} from '../../src/libbpf/index.ts';
import {
  type Environment,
  type Fault,
  type Hook,
  type OutputFrame,
  REASON_NAMES,
  SEGMENTER_DEVICE,
  type Tag,
  type VerdictRecord,
} from '../../src/simulator/types.ts';
import { ipBytes } from '../../src/table/address.ts';
import type { Table } from '../../src/table/model.ts';
import { PacketCapture } from './packet-capture.ts';
import { PacketDevices } from './packet-devices.ts';
import { type Entries, hex, type MapEntry, type Packed, packEntries, u32 } from './packet-entries.ts';
import { concat } from './packet-layer.ts';

const OBJECTS = { xdp: objectFile('xdp'), tc: objectFile('tc') } as const;
const VERDICTS = ['none', 'drop', 'stack', 'left', 'deliver', 'encap', 'answer', 'flood'] as const;
const TC_ACT_REDIRECT = 7;
/** MW_SECOND_MARK in bpf/move.h. */
const SECOND_MARK = 0x4d580000;
/** What a test run puts into the first buffer at most: a page less headroom (256) and skb_shared_info (320). */
export const FIRST_BUFFER = 4096 - 256 - 320;
/** For the frame afterwards: more than a program can make of any. */
const ROOM = 32_768;

function objectFile(name: string): string {
  return join(packageRoot(), 'dist', 'bpf', `${name}.bpf.o`);
}

/** What varies between loads of the programs. */
export interface LoadVariant {
  /** No counters, no limiter, no transmission. */
  readonly quiet: boolean;
  /** Too-big answers and flooded frames are limited, far above what tests send; an environment may have it used up. */
  readonly limited: boolean;
  /** Features compiled in that the table does not use: those of which a packet is no different. */
  readonly allFeatures: boolean;
  /** Addresses come from tables of buckets. */
  readonly compact: boolean;
}

export const PLAIN: LoadVariant = { quiet: false, limited: false, allFeatures: false, compact: false };
export const COMPACT: LoadVariant = { ...PLAIN, compact: true };

/** Buckets of each table, and places; more than any test's table needs. */
const BUCKETS = 1024;
const PLACES = 4096;
const SEED = 0x6d61_7077_6972_6500n;

/** What no table of buckets can hold: an entry that says it is another's. */
export function isOnlyInHash({ target, effect }: Fault): boolean {
  return (target === 'mac' || target === 'ip') && effect === 'stale';
}

/** Rates of a limited load, a second and port; and a count beyond both. */
const TOO_BIG_RATE = 60_000;
const FLOOD_RATE = 1_000_000_000;
const SPENT = 2_000_000_000;
/** Stands for the near end of the segmenting pair, by which nothing leaves in a test run. */
const SEGMENTER_IFINDEX = 0x7fff_ff00;

export interface PacketInput {
  readonly hook: Hook;
  readonly program: 'port' | 'underlay';
  /** Name of the device in the environment. */
  readonly device: string;
  readonly frame: Uint8Array;
  readonly gsoSize?: number;
  readonly firstBuffer?: number;
  /** TC: the tag beside the frame; a number: 0x8100 with these 16 bits. */
  readonly metadataTag?: number | Tag;
  /** TC: the frame is the copy that came back for the place that its destination moves to. */
  readonly second?: boolean;
  /** A program that runs first and goes on with the one of ours. */
  readonly through?: Program;
}

/**
 * Frames that a test run of a TC program may refuse (EINVAL): it makes an skb of them, in one page, and wants the IP
 * header that the EtherType announces. XDP: before 6.18 the kernel itself chooses the size of the first buffer.
 */
export function mayBeRefused({ hook, frame, firstBuffer }: PacketInput): boolean {
  if (hook === 'xdp') return chosenBuffer(frame, firstBuffer) !== undefined;
  const etherType = frame.length < 14 ? 0 : (frame[12]! << 8) | frame[13]!;
  const shortest = { 2048: 14 + 20, 34525: 14 + 40 }[etherType] ?? 15;
  return frame.length < shortest || frame.length > LARGEST_SKB;
}

/**
 * The packet as the kernel hands it to a TC program of the underlay: skb_vlan_untag() (net/core/skbuff.c) takes the first tag
 * out of the frame before ingress is asked. Ports may have it either way here.
 */
export function asReceived(input: PacketInput): PacketInput {
  const { hook, program, frame, metadataTag } = input;
  const tpid = frame.length < 18 ? 0 : (frame[12]! << 8) | frame[13]!;
  if (hook !== 'tc' || program !== 'underlay' || metadataTag !== undefined || (tpid !== 0x8100 && tpid !== 0x88a8))
    return input;
  return {
    ...input,
    frame: concat(frame.subarray(0, 12), frame.subarray(16)),
    metadataTag: { etherType: tpid, tci: (frame[14]! << 8) | frame[15]! },
  };
}

/** The size of the first buffer, when it is not the one that a test run makes by itself. */
function chosenBuffer(frame: Uint8Array, firstBuffer: number | undefined): number | undefined {
  return firstBuffer === undefined || firstBuffer >= Math.min(frame.length, FIRST_BUFFER) ? undefined : firstBuffer;
}

/** A page less NET_SKB_PAD (64) and skb_shared_info (320). */
const LARGEST_SKB = 4096 - 64 - 320;

export interface PacketOutcome {
  readonly retval: number;
  readonly raw: Verdict;
  /** The frame afterwards, as the program left it. */
  readonly data: Uint8Array;
  /** Whether the tag beside it is not known: the packet ran once. */
  readonly once?: true;
  /** TC: 16 bits of the tag beside it, when it was redirected. */
  readonly tag?: number;
  /** What left a device during the run, by the environment's names. */
  readonly sent: readonly OutputFrame[];
  /** Ports whose announcements the program took for such. */
  readonly heard: readonly string[];
}

/** Counters that changed. */
export interface CounterChange {
  readonly drops: Readonly<Record<string, number>>;
  /** Device -> field -> change. */
  readonly traffic: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export class PacketKernel implements AsyncDisposable {
  readonly #devices: PacketDevices;
  readonly #capture: PacketCapture;
  readonly #maps: ReadonlyMap<string, RawMap>;
  /** Programs by constants, hook and name: each is loaded when a packet comes to it, because the verifier takes its time. */
  readonly #loads = new Map<string, Promise<Program>>();
  /** Compiled once a table and node: those of balanced addresses take long. */
  readonly #plans = new WeakMap<Table, Map<string, Plan>>();
  readonly #objects: BpfObject[];
  readonly #bytes: Readonly<Record<Hook, Uint8Array>>;
  /** What the maps hold, by map and key. */
  #held: Packed = new Map();
  /** Flood lists, by network id; written in place, because an update of a map of maps waits for all CPUs. */
  readonly #lists = new Map<string, RawMap>();
  /** The same addresses in buckets, by the map they stand for. */
  readonly #tables: ReadonlyMap<string, BucketTable>;
  readonly #places: PlaceTable;
  #plan: Plan | undefined;
  #environment: Environment | undefined;
  #ifindexes = new Map<string, number>();
  #slots = new Map<string, number>();
  /** Of the maps: what the programs remembered before is void. */
  #epoch = 0;
  /** Slots whose rates were used up. */
  readonly #spent = new Set<number>();

  private constructor(
    devices: PacketDevices,
    capture: PacketCapture,
    first: BpfObject,
    bytes: Readonly<Record<Hook, Uint8Array>>,
  ) {
    this.#devices = devices;
    this.#capture = capture;
    this.#objects = [first];
    this.#bytes = bytes;
    this.#maps = first.maps;
    const kinds = ['ip4', 'ip6', 'mac'] as const;
    this.#tables = new Map(
      kinds.map((kind) => [kind, BucketTable.open(this.#map(`${kind}_bucket`), { kind, seed: SEED })]),
    );
    this.#places = new PlaceTable(this.#map('place'));
  }

  /** @param deviceCount the most that an environment may have */
  static async start(deviceCount: number): Promise<PacketKernel> {
    const bytes = { xdp: new Uint8Array(readFileSync(OBJECTS.xdp)), tc: new Uint8Array(readFileSync(OBJECTS.tc)) };
    const devices = await PacketDevices.make(deviceCount);
    try {
      const capture = await PacketCapture.start(devices.devices.map(({ ifindex }) => ifindex));
      // this one only holds the maps; what runs is loaded with the constants of an environment
      const first = BpfObject.open(bytes.tc, { name: 'maps' });
      for (const program of first.programSettings()) program.setAutoload(false);
      for (const map of first.mapSettings()) {
        if (map.name.endsWith('_bucket')) map.setMaxEntries(BUCKETS);
        if (map.name.endsWith('_place')) map.setMaxEntries(PLACES);
      }
      await first.load();
      return new PacketKernel(devices, capture, first, bytes);
    } catch (error) {
      await devices[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Fills the maps for this table and environment. */
  async install(table: Table, environment: Environment): Promise<Plan> {
    const planned = this.#planOf(table, environment.node);
    this.#plan = planned;
    this.#environment = environment;
    this.#nameDevices(environment);
    const numbers = { ifindexes: this.#ifindexes, slots: this.#slots };
    const packed = packEntries(planned, environment, numbers, this.#map('dev').valueSize);
    await this.#write(packed);
    this.forget();
    for (const slot of this.#spent) zero(this.#map('limit'), slot);
    this.#spent.clear();
    return planned;
  }

  /** What the programs remember is void from now on. */
  forget(): void {
    this.#map('live').update(u32(0), liveCodec.encode({ epoch: ++this.#epoch, encaps: this.#plan!.features.encaps }));
  }

  /**
   * Runs a packet with its device taken out of the maps, which nobody told the programs: undefined, unless the decision is
   * remembered.
   */
  async runRemembered(input: PacketInput, variant: LoadVariant = PLAIN): Promise<PacketOutcome | undefined> {
    const links = this.#map('link');
    const key = u32(this.#ifindexes.get(input.device)!);
    const held = links.lookup(key);
    if (held === undefined) return undefined;
    links.delete(key);
    try {
      const outcome = await this.run(input, variant);
      const verdict = VERDICTS[outcome?.raw.verdict ?? 0];
      return verdict === 'deliver' || verdict === 'encap' ? outcome : undefined;
    } finally {
      links.update(key, held);
    }
  }

  #planOf(table: Table, node: string): Plan {
    const plans = this.#plans.get(table) ?? new Map<string, Plan>();
    const planned = plans.get(node) ?? plan(table, node, new IdBook({ restMs: 0 }));
    this.#plans.set(table, plans.set(node, planned));
    return planned;
  }

  #nameDevices(environment: Environment): void {
    const names = [...environment.devices.keys()];
    if (names.length > this.#devices.devices.length) throw new Error(`${names.length} devices are too many`);
    this.#ifindexes = new Map(names.map((name, i) => [name, this.#devices.devices[i]!.ifindex]));
    // the low slots are the underlay's: a next hop names its device's slot in 16 bits
    const sorted = [...names].sort((a, b) => Number(environment.underlay.has(b)) - Number(environment.underlay.has(a)));
    this.#slots = new Map(sorted.map((name, slot) => [name, slot]));
  }

  /** Only what differs from what is there. */
  async #write(packed: Packed): Promise<void> {
    for (const name of new Set([...this.#held.keys(), ...packed.keys()])) {
      const [before, after] = [this.#held.get(name) ?? new Map(), packed.get(name) ?? new Map()] as [Entries, Entries];
      const gone = [...before].filter(([key]) => !after.has(key)).map(([, [key]]) => key);
      const changed = [...after].flatMap(([key, entry]) => (isSame(before.get(key)?.[1], entry[1]) ? [] : [entry]));
      if (name in LISTS) await this.#writeLists(name as keyof typeof LISTS, gone, changed);
      const table = this.#tables.get(name);
      if (table !== undefined) await this.#writeMap(table, gone, changed);
      if (name === 'port') this.#writePlaces(gone, changed);
      if (!(name in LISTS)) await this.#writeMap(this.#map(name), gone, changed);
    }
    this.#held = packed;
  }

  #writePlaces(gone: readonly Uint8Array[], changed: readonly MapEntry[]): void {
    for (const key of gone) this.#places.clear(key, 1);
    for (const [key, value] of changed) this.#places.put(key, value, 1);
  }

  async #writeMap(map: RawMap | BucketTable, gone: readonly Uint8Array[], changed: readonly MapEntry[]): Promise<void> {
    if (gone.length > 0) await map.deleteBatch(concat(...gone), gone.length);
    if (changed.length === 0) return;
    const keys = concat(...changed.map(([key]) => key));
    const result = await map.updateBatch(keys, concat(...changed.map(([, value]) => value)), changed.length);
    const error = map.batchError(result);
    if (error !== undefined) throw error;
  }

  /** An inner map with the types of the outer one's template: 6.1 takes no other. */
  #makeList(kind: keyof typeof LISTS, elements: number): RawMap {
    const { btfId, btfKeyTypeId } = this.#map('network').info();
    const { struct, size } = LISTS[kind];
    using btf = Btf.fromId(btfId);
    const value = readBtf(btf.raw()).types.find((type) => type.kind === 'struct' && type.name === struct);
    if (value === undefined) throw new Error(`the objects have no struct ${struct}`);
    return RawMap.create({
      type: 'array',
      name: `${kind}_list`,
      keySize: 4,
      valueSize: size,
      maxEntries: elements,
      flags: MapFlag.INNER_MAP,
      btf: { btf, keyTypeId: btfKeyTypeId, valueTypeId: value.id },
    });
  }

  async #writeLists(
    kind: keyof typeof LISTS,
    gone: readonly Uint8Array[],
    changed: readonly MapEntry[],
  ): Promise<void> {
    const outer = this.#map(kind);
    const { size, room } = LISTS[kind];
    const nameOf = (key: Uint8Array): string => `${kind} ${hex(key)}`;
    for (const key of gone) {
      outer.delete(key);
      this.#lists.get(nameOf(key))?.close();
      this.#lists.delete(nameOf(key));
    }
    for (const [key, list] of changed) {
      const count = list.length / size;
      const known = this.#lists.get(nameOf(key));
      const inner =
        known !== undefined && known.maxEntries >= count ? known : this.#makeList(kind, Math.max(room, count));
      const keys = new Uint8Array(Uint32Array.from({ length: count }, (_, i) => i).buffer);
      const error = inner.batchError(await inner.updateBatch(keys, list, count));
      if (error !== undefined) throw error;
      if (inner === known) continue;
      outer.update(key, u32(inner.fd));
      known?.close();
      this.#lists.set(nameOf(key), inner);
    }
  }

  #map(short: string): RawMap {
    const name = `mw${LAYOUT_VERSION}_${short}`;
    const map = this.#maps.get(name);
    if (map === undefined) throw new Error(`the object has no map ${name}`);
    return map;
  }

  /**
   * Runs one packet through the program that sits on its device; undefined: the kernel cannot (`mayBeRefused`). A second
   * packet, to know the tag beside a frame that TC redirects, is counted like any other; `once` does without.
   */
  async run(input: PacketInput, variant: LoadVariant = PLAIN, once = false): Promise<PacketOutcome | undefined> {
    const program = await this.program(input.hook, input.program, variant);
    try {
      for (;;) {
        // what comes from the underlay has no rate
        const second = input.program === 'port' ? this.#spend(input.device) : undefined;
        const outcome = this.#runProgram(input.through ?? program, input, once);
        // the rate would be another second's
        if (second === undefined || second === monotonicSecond()) return outcome;
      }
    } catch (error) {
      if (mayBeRefused(input) && hasErrno(error, Errno.EINVAL)) return undefined;
      throw error;
    }
  }

  /** Uses up this second's rates of the device, where the environment has them used up. */
  #spend(device: string): bigint | undefined {
    const { tooBigSpent, floodSpent } = this.#environment!;
    if (!tooBigSpent && !floodSpent) return undefined;
    waitForRoom();
    const second = monotonicSecond();
    const limits = {
      window: second,
      floodWindow: second,
      count: tooBigSpent ? SPENT : 0,
      floodCount: floodSpent ? SPENT : 0,
    };
    this.#map('limit').update(u32(this.#slots.get(device)!), limitCodec.encode(limits));
    this.#spent.add(this.#slots.get(device)!);
    return second;
  }

  #runProgram(program: Program, input: PacketInput, once: boolean): PacketOutcome {
    const { hook, device, frame, gsoSize, firstBuffer } = input;
    const verdicts = this.#map('verdict');
    verdicts.update(u32(0), new Uint8Array(verdicts.valueStride));
    this.#capture.take();
    const ifindex = this.#ifindexes.get(device)!;
    const tag = hook === 'tc' ? tagOf(input.metadataTag) : undefined;
    const ctx =
      hook === 'xdp'
        ? xdpContext({ dataLength: chosenBuffer(frame, firstBuffer) ?? frame.length, ingressIfindex: ifindex })
        : skbContext({ ifindex, ingressIfindex: ifindex, gsoSize: gsoSize ?? 0, mark: input.second ? SECOND_MARK : 0 });
    const runnable = tag === undefined ? program : this.#capture.staged(program, tag);
    const { retval, data } = runnable.testRun({ data: frame, ctx, ctxOut: false, dataOutSize: ROOM });
    const names = new Map([...this.#ifindexes].map(([name, index]) => [index, name]));
    const sent = this.#capture.take().map(({ ifindex, ...rest }) => ({ device: names.get(ifindex)!, ...rest }));
    const raw = this.#readVerdict(verdicts);
    const heard = this.#takeHeard();
    const after =
      hook === 'tc' && !once && retval === TC_ACT_REDIRECT
        ? this.#tagAfter(program, { data: frame, ctx, ctxOut: false }, tag)
        : undefined;
    return { retval, raw, data, ...(once && { once }), ...(after !== undefined && { tag: after }), sent, heard };
  }

  /** What the program wrote into the map of moves, which is then as before. */
  #takeHeard(): string[] {
    const map = this.#map('move');
    const heard: string[] = [];
    for (const [key, value] of this.#held.get('move')?.values() ?? []) {
      const now = map.lookup(key);
      if (now === undefined || isSame(value, now)) continue;
      const id = new DataView(key.buffer, key.byteOffset).getUint32(0, true);
      heard.push(this.#plan!.ids.portName(id)!);
      map.update(key, value);
    }
    return heard;
  }

  /** Once more, with the same skb looked at afterwards. */
  #tagAfter(program: Program, options: TestRunOptions, tag: Tag | undefined): number | undefined {
    this.#capture.staged(program, tag).testRun({ ...options, repeat: 2 });
    return this.#capture.tagAfter();
  }

  /** The run was on some CPU: the one whose record is not empty. */
  #readVerdict(verdicts: RawMap): Verdict {
    const bytes = verdicts.lookup(u32(0))!;
    const size = Math.ceil(verdictCodec.size / 8) * 8;
    for (let at = 0; at < bytes.length; at += size) {
      const verdict = verdictCodec.decode(bytes.slice(at, at + verdictCodec.size));
      if (verdict.verdict !== 0) return verdict;
    }
    return verdictCodec.decode(new Uint8Array(verdictCodec.size));
  }

  /** The program, loaded with the constants of the installed plan and this variant. */
  program(hook: Hook, side: PacketInput['program'], variant: LoadVariant): Promise<Program> {
    const config = configCodec.encode(this.#config(variant));
    const name = `mw_${hook}_${side}`;
    const key = `${hex(config)} ${name}`;
    let loaded = this.#loads.get(key);
    if (loaded === undefined) {
      loaded = this.#load(hook, name, config);
      this.#loads.set(key, loaded);
    }
    return loaded;
  }

  #config({ quiet, limited, allFeatures, compact }: LoadVariant): Config {
    const [planned, environment] = [this.#plan!, this.#environment!];
    const { features, table } = planned;
    const { ports } = environment;
    const underlay = table.nodes.get(environment.node)!.underlay;
    const [ip4, ip6] = [underlay.find((ip) => !ip.includes(':')), underlay.find((ip) => ip.includes(':'))];
    const flag = (used: boolean) => (used ? 1 : 0);
    return {
      self: planned.self,
      self4: ip4 === undefined ? 0 : Buffer.from(ipBytes(ip4)).readUInt32BE(),
      self6: ip6 === undefined ? new Uint8Array(16) : ipBytes(ip6),
      vxlanPort: ports.vxlan,
      gpePort: ports['vxlan-gpe'],
      genevePort: ports.geneve,
      lispPort: ports.lisp,
      encaps: allFeatures ? 0xff : features.encaps,
      unknownSegmentStack: flag(environment.unknownSegment === 'stack'),
      guardRemote: flag(environment.guard !== 'off'),
      record: 1,
      quiet: flag(quiet),
      hasIp6: flag(features.ip6 || allFeatures),
      hasAllow: flag(features.allow || allFeatures),
      hasMacs: flag(features.macs || allFeatures),
      hasUnknownFlood: flag(features.unknownFlood || allFeatures),
      // these two a packet can tell: docs/packet-rules.md says "in a load with"
      hasTransparent: flag(features.transparent),
      hasGroup: flag(features.group),
      hasChecksum: flag(features.checksum || allFeatures),
      hasMove: flag(features.move || allFeatures),
      hasBalance: flag(features.balance || allFeatures),
      ttl: environment.ttl,
      dscp: environment.dscp === 'uniform' ? DSCP_UNIFORM : environment.dscp,
      // every decision is remembered at once
      front: 1,
      leave: 0,
      generic: flag(allFeatures),
      compact: flag(compact),
      segmenter: environment.segmenter ? SEGMENTER_IFINDEX : 0,
      probeTtl: 256 - environment.probeHops,
      discriminator: environment.discriminator,
      floodRate: limited || environment.floodSpent ? FLOOD_RATE : 0,
      tooBigRate: limited || environment.tooBigSpent ? TOO_BIG_RATE : 0,
    };
  }

  /** The sets of constants that were loaded, as hex. */
  get loads(): readonly string[] {
    return [...new Set([...this.#loads.keys()].map((key) => key.split(' ')[0]!))];
  }

  async #load(hook: Hook, name: string, config: Uint8Array): Promise<Program> {
    const object = BpfObject.open(this.#bytes[hook], { name: hook });
    this.#objects.push(object);
    object.setGlobal('mw_config', config);
    object.setGlobal('mw_tables', TABLES);
    for (const setting of object.mapSettings()) {
      const shared = this.#maps.get(setting.name);
      if (!setting.internal && shared !== undefined) setting.reuse(shared);
    }
    for (const program of object.programSettings()) program.setAutoload(program.name === name);
    await object.load();
    const program = object.programs.get(name);
    if (program === undefined) throw new Error(`no program ${name}`);
    return program;
  }

  /** The simulator's record as the numbers that the program must have written. */
  expected(record: VerdictRecord): Verdict {
    const { ids } = this.#plan!;
    const network = record.network === undefined ? 0 : ids.networks.idOf(record.network)!;
    return {
      verdict: VERDICTS.indexOf(record.verdict),
      reason: REASON_NUMBERS.get(record.reason)!,
      network,
      port: record.port === undefined ? 0 : ids.ports.idOf(record.port)!,
      node: record.node === undefined ? 0 : ids.nodes.idOf(record.node)!,
      ifindex: this.#ifindexOf(record.device),
      segment: record.segment ?? 0,
      copies: record.copies ?? 0,
    };
  }

  #ifindexOf(device: string | undefined): number {
    if (device === undefined) return 0;
    return device === SEGMENTER_DEVICE ? SEGMENTER_IFINDEX : this.#ifindexes.get(device)!;
  }

  /** A record of the program, readable: names where there are any. */
  describe(raw: Verdict): string {
    const { ids } = this.#plan!;
    const devices = [...this.#ifindexes, [SEGMENTER_DEVICE, SEGMENTER_IFINDEX] as const];
    const device = devices.find(([, ifindex]) => ifindex === raw.ifindex)?.[0];
    return [
      VERDICTS[raw.verdict] ?? `verdict ${raw.verdict}`,
      REASON_BY_NUMBER.get(raw.reason) ?? `reason ${raw.reason}`,
      raw.network && `network=${ids.networkName(raw.network) ?? raw.network}`,
      raw.port && `port=${ids.portName(raw.port) ?? raw.port}`,
      raw.node && `node=${raw.node === NODE_WIRE ? 'the wire' : (ids.nodeName(raw.node) ?? raw.node)}`,
      raw.ifindex && `device=${device ?? raw.ifindex}`,
      raw.segment && `segment=${raw.segment}`,
      raw.copies && `copies=${raw.copies}`,
    ]
      .filter(Boolean)
      .join(' ');
  }

  /** All counters now, summed over CPUs: reason and device field -> packets. */
  counters(): ReadonlyMap<string, number> {
    const counters = new Map<string, number>();
    const add = (name: string, packets: bigint) => {
      if (packets !== 0n) counters.set(name, (counters.get(name) ?? 0) + Number(packets));
    };
    const drops = this.#map('drops');
    for (const [number, { packets }] of parts(drops, counterCodec, drops.maxEntries)) {
      add(`drops ${REASON_BY_NUMBER.get(number) ?? number}`, packets);
    }
    const devices = new Map([...this.#slots].map(([device, slot]) => [slot, device]));
    for (const [slot, traffic] of parts(this.#map('traffic'), trafficCodec, this.#slots.size)) {
      for (const field of ['rxPackets', 'txPackets', 'drops', 'answers'] as const) {
        add(`${devices.get(slot)} ${field}`, traffic[field]);
      }
    }
    return counters;
  }

  /** Sets the packet counters back. */
  async resetCounters(): Promise<void> {
    const drops = this.#map('drops');
    await this.#zeroes(drops, drops.maxEntries);
    // the devices have the first slots
    await this.#zeroes(this.#map('traffic'), this.#slots.size);
  }

  #zeroes(map: RawMap, count: number): Promise<void> {
    const entries = Array.from({ length: count }, (_, i): MapEntry => [u32(i), new Uint8Array(map.valueStride)]);
    return this.#writeMap(map, [], entries);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const map of this.#lists.values()) map.close();
    for (const table of this.#tables.values()) table.close();
    this.#places.close();
    for (const object of this.#objects) object.close();
    this.#capture[Symbol.dispose]();
    await this.#devices[Symbol.asyncDispose]();
  }
}

const TABLES = tablesCodec.encode({ seed: SEED, ip4: BUCKETS, ip6: BUCKETS, mac: BUCKETS, places: PLACES });

/** Maps of lists, with the least room of one: unused elements are behind what its head says. */
const LISTS = {
  flood: { struct: 'mw_flood_target', size: floodTarget.size, room: 64 },
  balance: { struct: 'mw_balance_slot', size: balanceSlot.size, room: 1 },
} as const;

function isSame(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && Buffer.compare(one, other) === 0;
}

const REASON_NUMBERS = reasonNumbers();
const REASON_BY_NUMBER = new Map([...REASON_NUMBERS].map(([name, number]) => [number, name]));

/** From the header, apart from the generated code: what is written there is what the counters are indexed by. */
function reasonNumbers(): Map<string, number> {
  const header = readFileSync(join(packageRoot(), 'bpf', 'reasons.h'), 'utf8');
  const numbers = new Map<string, number>();
  for (const name of REASON_NAMES) {
    const constant = `MW_REASON_${name.toUpperCase().replaceAll('-', '_')}`;
    numbers.set(name, Number(new RegExp(`${constant} = (\\d+)`).exec(header)?.[1]));
  }
  return numbers;
}

function tagOf(tag: number | Tag | undefined): Tag | undefined {
  return typeof tag === 'number' ? { etherType: 0x8100, tci: tag } : tag;
}

/** Waits for the next second, where this one is about to end: a packet that is run again would be counted twice. */
function waitForRoom(): void {
  const left = 1000 - Number((process.hrtime.bigint() / 1_000_000n) % 1000n);
  if (left < 100) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, left + 1);
}

function monotonicSecond(): bigint {
  return process.hrtime.bigint() / 1_000_000_000n;
}

/** What is not zero in the first `count` elements of a per-CPU array: index, and the value of one CPU. */
function* parts<T>(map: RawMap, codec: Codec<T>, count: number): Generator<[number, T]> {
  const { values } = map.lookupBatch({ count });
  const nothing = new Uint8Array(codec.size);
  for (let at = 0; at < count * map.valueStride; at += codec.size) {
    const part = values.slice(at, at + codec.size);
    if (Buffer.compare(part, nothing) !== 0) yield [Math.floor(at / map.valueStride), codec.decode(part)];
  }
}

function zero(map: RawMap, index: number): void {
  map.update(u32(index), new Uint8Array(map.valueStride));
}
