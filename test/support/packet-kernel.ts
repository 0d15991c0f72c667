/**
 * The compiled programs as a thing that packets can be put to: freshly loaded, unpinned, with the maps that the compiler
 * makes of a table, on devices of their own. `install` rewrites the maps, `run` runs one packet and reads everything back.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBtf } from '../../src/bintools/btf.ts';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { ENTRY_CODECS, type Entry, IdBook, type Plan, plan } from '../../src/compiler/index.ts';
import { TUNNEL_PORTS } from '../../src/dataplane/config.ts';
import {
  type Config,
  config as configCodec,
  counter as counterCodec,
  DeviceFlags,
  floodTarget,
  Guard,
  LAYOUT_VERSION,
  LinkFlags,
  LinkRole,
  link as linkCodec,
  local as localCodec,
  NodeFlags,
  traffic as trafficCodec,
  type Verdict,
  verdict as verdictCodec,
} from '../../src/generated/layout.ts';
import {
  BpfObject,
  Btf,
  Errno,
  hasErrno,
  MapFlag,
  type Program,
  RawMap,
  skbContext,
  xdpContext,
} from '../../src/libbpf/index.ts';
import {
  type Device,
  type Environment,
  type Fault,
  type Hook,
  REASON_NAMES,
  type VerdictRecord,
} from '../../src/simulator/types.ts';
import { ipBytes, macBytes, mappedBytes, prefixBytes } from '../../src/table/address.ts';
import type { Table } from '../../src/table/model.ts';
import { PacketCapture } from './packet-capture.ts';
import { PacketDevices } from './packet-devices.ts';

const OBJECTS = { xdp: objectFile('xdp'), tc: objectFile('tc') } as const;
const VERDICTS = ['none', 'drop', 'stack', 'left', 'deliver', 'encap', 'answer', 'flood'] as const;
/** What a test run puts into the first buffer at most: a page less headroom (256) and skb_shared_info (320). */
export const FIRST_BUFFER = 4096 - 256 - 320;
/** Where the network stands in the value. */
const NETWORK_OFFSET = { port: 4, local: 20 } as const;
/** For the frame afterwards: more than a program can make of any. */
const ROOM = 32_768;
const FAR_FUTURE = 1n << 62n;

function objectFile(name: string): string {
  return join(packageRoot(), 'dist', 'bpf', `${name}.bpf.o`);
}

/** What varies between loads of the programs. */
export interface LoadVariant {
  /** Too-big answers a second and port; 0: no limit. */
  readonly tooBigRate: number;
  /** No counters, no limiter, no transmission. */
  readonly quiet: boolean;
  /** All features compiled in, also those that the table does not use. */
  readonly allFeatures: boolean;
}

export const PLAIN: LoadVariant = { tooBigRate: 0, quiet: false, allFeatures: false };

interface Loaded {
  readonly objects: Readonly<Record<Hook, BpfObject>>;
}

export interface PacketInput {
  readonly hook: Hook;
  readonly program: 'port' | 'underlay';
  /** Name of the device in the environment. */
  readonly device: string;
  readonly frame: Uint8Array;
  readonly gsoSize?: number;
  readonly firstBuffer?: number;
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
  /** What left a device during the run, by the environment's names. */
  readonly sent: readonly { readonly device: string; readonly frame: Uint8Array }[];
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
  readonly #loads = new Map<string, Promise<Loaded>>();
  readonly #objects: BpfObject[];
  readonly #bytes: Readonly<Record<Hook, Uint8Array>>;
  /** What the maps hold, by map and key. */
  #held: Packed = new Map();
  /** Flood lists, by network id; written in place, because an update of a map of maps waits for all CPUs. */
  readonly #lists = new Map<string, RawMap>();
  #plan: Plan | undefined;
  #environment: Environment | undefined;
  #ifindexes = new Map<string, number>();
  #slots = new Map<string, number>();

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
      await first.load();
      return new PacketKernel(devices, capture, first, bytes);
    } catch (error) {
      await devices[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Fills the maps for this table and environment. */
  async install(table: Table, environment: Environment): Promise<Plan> {
    const ids = new IdBook({ restMs: 0 });
    const planned = plan(table, environment.node, ids);
    this.#plan = planned;
    this.#environment = environment;
    this.#nameDevices(environment);
    const entries = [...planned.entries()].map((entry) => this.#withState(entry, planned, environment));
    const packed: Packed = new Map();
    const put = (map: string, key: Uint8Array, value: Uint8Array) => {
      const list = packed.get(map) ?? new Map();
      packed.set(map, list.set(hex(key), [key, value]));
    };
    for (const entry of entries) {
      const codec = ENTRY_CODECS[entry.map] as { key: Encoder; value: Encoder };
      put(entry.map, codec.key.encode(entry.key), codec.value.encode(entry.value));
    }
    for (const [map, key, value] of this.#deviceEntries(planned, environment)) put(map, key, value);
    for (const fault of environment.faults) this.#spoil(packed, fault, planned);
    await this.#write(packed);
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

  /** What the compiler leaves to the data plane: next hops, nodes that are down, former places. */
  #withState(entry: Entry, planned: Plan, environment: Environment): Entry {
    if (entry.map === 'node') {
      const name = planned.ids.nodeName(entry.key)!;
      const hops = (environment.nextHops.get(name) ?? []).map((hop) => ({
        ifindex: hop.device === undefined ? 0 : this.#ifindexes.get(hop.device)!,
        flags: hop.device === undefined ? 0 : deviceFlags(environment.devices.get(hop.device)!),
        dmac: macBytes(hop.destination),
        smac: macBytes(hop.source),
        vlan: 0,
        slot: hop.device === undefined ? 0 : this.#slots.get(hop.device)!,
      }));
      const nexthop = entry.value.nexthop.map((empty, i) => hops[i] ?? empty);
      return { ...entry, value: { ...entry.value, flags: environment.down.has(name) ? NodeFlags.DOWN : 0, nexthop } };
    }
    if (entry.map === 'port') {
      const former = environment.former.get(planned.ids.portName(entry.key)!);
      if (former === undefined) return entry;
      const node = planned.ids.nodes.idOf(former.node)!;
      return { ...entry, value: { ...entry.value, former: node, formerUntil: former.past ? 1n : FAR_FUTURE } };
    }
    return entry;
  }

  *#deviceEntries(planned: Plan, environment: Environment): Generator<[string, Uint8Array, Uint8Array]> {
    const owners = new Map([...environment.interfaces].map(([port, device]) => [device, port]));
    for (const [name, device] of environment.devices) {
      const ifindex = this.#ifindexes.get(name)!;
      const slot = this.#slots.get(name)!;
      const flags = deviceFlags(device);
      const key = u32(ifindex);
      if (device.xdpRedirect) yield ['dev', key, devmapValue(ifindex, this.#map('dev').valueSize)];
      if (environment.underlay.has(name)) {
        const link = {
          ifindex,
          port: 0,
          network: 0,
          slot,
          device: flags,
          flags: 0,
          role: LinkRole.UNDERLAY,
          guard: 0,
          vlan: 0,
        };
        yield ['link', key, linkCodec.encode({ ...link, mac: macBytes(device.mac) })];
      }
      const port = planned.localPort(owners.get(name) ?? '');
      if (port === undefined) continue;
      const link = {
        ifindex,
        port: port.id,
        network: port.network,
        slot,
        device: flags,
        flags:
          (port.hasAllow ? LinkFlags.HAS_ALLOW : 0) |
          (port.hasMacs ? LinkFlags.HAS_MACS : 0) |
          (port.role === 'router' ? LinkFlags.ROUTER : 0) |
          (port.role === 'dhcp' ? LinkFlags.DHCP : 0) |
          (port.linkLocal === 'any' ? LinkFlags.LOCAL_ANY : 0),
        role: LinkRole.PORT,
        guard: { off: Guard.OFF, mac: Guard.MAC, full: Guard.FULL }[environment.guard],
        mac: macBytes(port.mac),
        vlan: 0,
      };
      yield ['link', key, linkCodec.encode(link)];
      const local = { port: port.id, ifindex, slot, device: flags, mtu: device.mtu, network: port.network };
      yield ['local', u32(port.id), localCodec.encode(local)];
    }
  }

  /** Takes an entry out, or writes another key's identity into its value. */
  #spoil(packed: Packed, fault: Fault, planned: Plan): void {
    const [map, key, identity] = this.#target(fault, planned);
    const list = packed.get(map);
    const found = list?.get(hex(key));
    if (list === undefined || found === undefined)
      throw new Error(`no entry for the fault ${fault.target} ${fault.key}`);
    if (fault.effect === 'missing') {
      list.delete(hex(key));
      return;
    }
    const value = found[1].slice();
    const at = fault.effect === 'stale' ? identity : NETWORK_OFFSET[fault.target as 'port' | 'local'];
    value[at] = value[at]! ^ 0x55;
    list.set(hex(key), [found[0], value]);
  }

  /** Map, key and a byte of the identity in the value. */
  #target({ target, key }: Fault, planned: Plan): [string, Uint8Array, number] {
    const [first = '', second = ''] = key.split(' ');
    const { ids } = planned;
    const network = () => ids.networks.idOf(first)!;
    const portId = (name: string) => ids.ports.idOf(`${ids.networks.idOf(planned.table.port(name)!.network)} ${name}`)!;
    switch (target) {
      case 'ip':
        return second.includes(':')
          ? ['ip6', concat(u32(network()), ipBytes(second)), 8]
          : ['ip4', concat(u32(network()), ipBytes(second)), 8];
      case 'mac':
        return ['mac', concat(u32(network()), macBytes(second), new Uint8Array(2)), 8];
      case 'source-mac':
        return ['source_mac', concat(u32(network()), macBytes(second), new Uint8Array(2)), 4];
      case 'allow': {
        const { bytes, length } = prefixBytes(second);
        return [bytes.length === 4 ? 'allow4' : 'allow6', concat(u32(32 + length), u32(portId(first)), bytes), 0];
      }
      case 'port':
        return ['port', u32(portId(first)), 0];
      case 'network':
        return ['network', u32(network()), 0];
      case 'segment':
        return ['segment', concat(u32(1), u32(Number(first))), 8];
      case 'vtep':
        return ['vtep', mappedBytes(first), 20];
      case 'node':
        return ['node', u32(ids.nodes.idOf(first)!), 0];
      case 'link':
        return ['link', u32(this.#ifindexes.get(first)!), 0];
      case 'local':
        return ['local', u32(portId(first)), 0];
      case 'flood':
        return ['flood', u32(network()), 0];
    }
  }

  /** Only what differs from what is there. */
  async #write(packed: Packed): Promise<void> {
    for (const name of new Set([...this.#held.keys(), ...packed.keys()])) {
      const [before, after] = [this.#held.get(name) ?? new Map(), packed.get(name) ?? new Map()] as [Entries, Entries];
      const gone = [...before].filter(([key]) => !after.has(key)).map(([, [key]]) => key);
      const changed = [...after].flatMap(([key, entry]) => (isSame(before.get(key)?.[1], entry[1]) ? [] : [entry]));
      if (name === 'flood') this.#writeFlood(gone, changed);
      else await this.#writeMap(this.#map(name), gone, changed);
    }
    this.#held = packed;
  }

  async #writeMap(map: RawMap, gone: readonly Uint8Array[], changed: readonly MapEntry[]): Promise<void> {
    if (gone.length > 0) await map.deleteBatch(concat(...gone), gone.length);
    if (changed.length === 0) return;
    const keys = concat(...changed.map(([key]) => key));
    const result = await map.updateBatch(keys, concat(...changed.map(([, value]) => value)), changed.length);
    const error = map.batchError(result);
    if (error !== undefined) throw error;
  }

  /** An inner map with the types of the outer one's template: 6.1 takes no other. */
  #makeList(): RawMap {
    const { btfId, btfKeyTypeId } = this.#map('network').info();
    using btf = Btf.fromId(btfId);
    const value = readBtf(btf.raw()).types.find((type) => type.kind === 'struct' && type.name === 'mw_flood_target');
    if (value === undefined) throw new Error('the objects have no struct mw_flood_target');
    return RawMap.create({
      type: 'array',
      name: 'flood_list',
      keySize: 4,
      valueSize: floodTarget.size,
      maxEntries: LIST_LENGTH,
      flags: MapFlag.INNER_MAP,
      btf: { btf, keyTypeId: btfKeyTypeId, valueTypeId: value.id },
    });
  }

  #writeFlood(gone: readonly Uint8Array[], changed: readonly MapEntry[]): void {
    const outer = this.#map('flood');
    for (const key of gone) {
      outer.delete(key);
      this.#lists.get(hex(key))?.close();
      this.#lists.delete(hex(key));
    }
    for (const [key, list] of changed) {
      const count = list.length / floodTarget.size;
      if (count > LIST_LENGTH) throw new Error(`a flood list of ${count} targets is too long`);
      let inner = this.#lists.get(hex(key));
      const made = inner === undefined;
      inner ??= this.#makeList();
      this.#lists.set(hex(key), inner);
      for (let i = 0; i < count; i++)
        inner.update(u32(i), list.subarray(i * floodTarget.size, (i + 1) * floodTarget.size));
      if (made) outer.update(key, u32(inner.fd));
    }
  }

  #map(short: string): RawMap {
    const name = `mw${LAYOUT_VERSION}_${short}`;
    const map = this.#maps.get(name);
    if (map === undefined) throw new Error(`the object has no map ${name}`);
    return map;
  }

  /** Runs one packet through the program that sits on its device; undefined: the kernel cannot (`mayBeRefused`). */
  async run(input: PacketInput, variant: LoadVariant = PLAIN): Promise<PacketOutcome | undefined> {
    const { objects } = await this.load(variant);
    const program = objects[input.hook].programs.get(`mw_${input.hook}_${input.program}`);
    if (program === undefined) throw new Error(`no program mw_${input.hook}_${input.program}`);
    try {
      return this.#runProgram(input.through ?? program, input);
    } catch (error) {
      if (mayBeRefused(input) && hasErrno(error, Errno.EINVAL)) return undefined;
      throw error;
    }
  }

  #runProgram(program: Program, { hook, device, frame, gsoSize, firstBuffer }: PacketInput): PacketOutcome {
    const verdicts = this.#map('verdict');
    verdicts.update(u32(0), new Uint8Array(verdicts.valueStride));
    this.#capture.take();
    const ifindex = this.#ifindexes.get(device)!;
    const ctx =
      hook === 'xdp'
        ? xdpContext({ dataLength: chosenBuffer(frame, firstBuffer) ?? frame.length, ingressIfindex: ifindex })
        : skbContext({ ifindex, ingressIfindex: ifindex, gsoSize: gsoSize ?? 0 });
    const { retval, data } = program.testRun({ data: frame, ctx, ctxOut: false, dataOutSize: ROOM });
    const names = new Map([...this.#ifindexes].map(([name, index]) => [index, name]));
    const sent = this.#capture.take().map((caught) => ({ device: names.get(caught.ifindex)!, frame: caught.frame }));
    return { retval, raw: this.#readVerdict(verdicts), data, sent };
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

  /** The programs, loaded with the constants of the installed plan and this variant. */
  load(variant: LoadVariant): Promise<Loaded> {
    const config = configCodec.encode(this.#config(variant));
    const key = hex(config);
    let loaded = this.#loads.get(key);
    if (loaded === undefined) {
      loaded = this.#load(config);
      this.#loads.set(key, loaded);
    }
    return loaded;
  }

  /** The sets of constants that were loaded, as hex. */
  get loads(): readonly string[] {
    return [...this.#loads.keys()];
  }

  #config({ tooBigRate, quiet, allFeatures }: LoadVariant): Config {
    const [planned, environment] = [this.#plan!, this.#environment!];
    const { features, table } = planned;
    const underlay = table.nodes.get(environment.node)!.underlay;
    const [ip4, ip6] = [underlay.find((ip) => !ip.includes(':')), underlay.find((ip) => ip.includes(':'))];
    const flag = (used: boolean) => (used || allFeatures ? 1 : 0);
    return {
      self: planned.self,
      self4: ip4 === undefined ? 0 : Buffer.from(ipBytes(ip4)).readUInt32BE(),
      self6: ip6 === undefined ? new Uint8Array(16) : ipBytes(ip6),
      vxlanPort: environment.ports.vxlan,
      gpePort: TUNNEL_PORTS['vxlan-gpe'],
      genevePort: TUNNEL_PORTS.geneve,
      lispPort: TUNNEL_PORTS.lisp,
      encaps: features.encaps,
      unknownSegmentStack: environment.unknownSegment === 'stack' ? 1 : 0,
      guardRemote: environment.guard === 'off' ? 0 : 1,
      record: 1,
      quiet: quiet ? 1 : 0,
      hasIp6: flag(features.ip6),
      hasAllow: flag(features.allow),
      hasMacs: flag(features.macs),
      hasUnknownFlood: flag(features.unknownFlood),
      hasTransparent: flag(features.transparent),
      hasGroup: flag(features.group),
      hasChecksum: flag(features.checksum),
      ttl: 64,
      dscp: 0,
      segmenter: 0,
      floodRate: 0,
      tooBigRate,
    };
  }

  async #load(config: Uint8Array): Promise<Loaded> {
    const open = async (hook: Hook) => {
      const object = BpfObject.open(this.#bytes[hook], { name: hook });
      object.setGlobal('mw_config', config);
      for (const setting of object.mapSettings()) {
        const shared = this.#maps.get(setting.name);
        if (!setting.internal && shared !== undefined) setting.reuse(shared);
      }
      await object.load();
      this.#objects.push(object);
      return object;
    };
    return { objects: { xdp: await open('xdp'), tc: await open('tc') } };
  }

  /** The simulator's record as the numbers that the program must have written. */
  expected(record: VerdictRecord): Verdict {
    const { ids, table } = this.#plan!;
    const network = record.network === undefined ? 0 : ids.networks.idOf(record.network)!;
    const portNetwork = record.port === undefined ? 0 : ids.networks.idOf(table.port(record.port)!.network)!;
    return {
      verdict: VERDICTS.indexOf(record.verdict),
      reason: REASON_NUMBERS.get(record.reason)!,
      network,
      port: record.port === undefined ? 0 : ids.ports.idOf(`${portNetwork} ${record.port}`)!,
      node: record.node === undefined ? 0 : ids.nodes.idOf(record.node)!,
      ifindex: record.device === undefined ? 0 : this.#ifindexes.get(record.device)!,
      segment: record.segment ?? 0,
      copies: record.copies ?? 0,
    };
  }

  /** A record of the program, readable: names where there are any. */
  describe(raw: Verdict): string {
    const { ids } = this.#plan!;
    const device = [...this.#ifindexes].find(([, ifindex]) => ifindex === raw.ifindex)?.[0];
    return [
      VERDICTS[raw.verdict] ?? `verdict ${raw.verdict}`,
      REASON_BY_NUMBER.get(raw.reason) ?? `reason ${raw.reason}`,
      raw.network && `network=${ids.networkName(raw.network) ?? raw.network}`,
      raw.port && `port=${ids.portName(raw.port) ?? raw.port}`,
      raw.node && `node=${ids.nodeName(raw.node) ?? raw.node}`,
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
    for (const [number, reason] of REASON_BY_NUMBER) {
      const packets = sum(this.#map('drops'), number, (bytes) => counterCodec.decode(bytes).packets, counterCodec.size);
      if (packets !== 0) counters.set(`drops ${reason}`, packets);
    }
    for (const [device, slot] of this.#slots) {
      for (const field of ['rxPackets', 'txPackets', 'drops', 'answers'] as const) {
        const packets = sum(
          this.#map('traffic'),
          slot,
          (bytes) => trafficCodec.decode(bytes)[field],
          trafficCodec.size,
        );
        if (packets !== 0) counters.set(`${device} ${field}`, packets);
      }
    }
    return counters;
  }

  /** Sets the packet counters back. */
  resetCounters(): void {
    for (const number of REASON_BY_NUMBER.keys()) zero(this.#map('drops'), number);
    for (const slot of this.#slots.values()) zero(this.#map('traffic'), slot);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const map of this.#lists.values()) map.close();
    for (const object of this.#objects) object.close();
    this.#capture[Symbol.dispose]();
    await this.#devices[Symbol.asyncDispose]();
  }
}

/** Key and value. */
type MapEntry = readonly [Uint8Array, Uint8Array];
type Entries = Map<string, MapEntry>;
type Packed = Map<string, Entries>;

/** Elements of a flood list; unused ones are behind its count. */
const LIST_LENGTH = 64;

function isSame(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && Buffer.compare(one, other) === 0;
}

interface Encoder {
  encode(value: unknown): Uint8Array;
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

function deviceFlags(device: Device): number {
  return (
    (device.xdpRedirect ? DeviceFlags.XDP_REDIRECT : 0) |
    (device.xdpFrags ? DeviceFlags.XDP_FRAGS : 0) |
    (device.partialChecksum ? DeviceFlags.PARTIAL_CHECKSUM : 0)
  );
}

function sum(map: RawMap, index: number, read: (bytes: Uint8Array) => bigint, size: number): number {
  const bytes = map.lookup(u32(index))!;
  let total = 0n;
  for (let at = 0; at + size <= bytes.length; at += size) total += read(bytes.slice(at, at + size));
  return Number(total);
}

function zero(map: RawMap, index: number): void {
  map.update(u32(index), new Uint8Array(map.valueStride));
}

/** struct bpf_devmap_val: ifindex and, where there is room, a program (none). */
function devmapValue(ifindex: number, size: number): Uint8Array {
  const value = new Uint8Array(size);
  new DataView(value.buffer).setUint32(0, ifindex, true);
  if (size >= 8) new DataView(value.buffer).setInt32(4, -1, true);
  return value;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
