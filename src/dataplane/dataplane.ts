import { u32 } from '../bintools/codec.ts';
import { type Entry, IdBook, keyBytes, type Plan, type PlanChanges, type PortMap } from '../compiler/index.ts';
import { MapwireError } from '../errors.ts';
import {
  type Config,
  Encap,
  type Link as LinkEntry,
  link as linkCodec,
  MAX_NEXTHOPS,
  move as moveCodec,
  type Nexthop,
  node as nodeCodec,
} from '../generated/layout.ts';
import { monotonicNs } from '../libbpf/index.ts';
import { pacer } from '../pace.ts';
import { ipBytes, ipFromBytes, ipFromMappedBytes, macBytes, macFromBytes } from '../table/address.ts';
import type { NodeState } from '../table/index.ts';
import { adoptIds } from './adopt-ids.ts';
import { putChanges, removeChanges } from './apply-changes.ts';
import { Attachments, type LinkPrograms, type Role, type RolePrograms } from './attachments.ts';
import { assertLayouts, sameLayout } from './compare-layouts.ts';
import { configHex, configOf, covers, describeConfig, type Settings, settingsOf, widened } from './config.ts';
import { clearTraffic, copyCounters, readDrops, readTraffic } from './counters.ts';
import { deviceFlags } from './device-rules.ts';
import { DeviceTable, type HostDevice } from './device-table.ts';
import { down } from './down.ts';
import { dumpMaps } from './dump.ts';
import { EventReader } from './events.ts';
import { buildGeneration, type Generation, layoutOfObject, loadBound, pinPrograms } from './generation.ts';
import { GenericPrograms } from './generic.ts';
import { HostNetwork } from './host-network.ts';
import { COUNTER_MAPS, type EntryMap, OWN_MAPS, type RawEntry, RUNTIME_MAPS } from './map-table.ts';
import { MapWriter, readMap, textOf } from './map-writer.ts';
import { Merger } from './merger.ts';
import { Mutex } from './mutex.ts';
import { NextHops } from './next-hops.ts';
import { defaultObjectFiles, type ProgramObjects, readObjects } from './objects.ts';
import { PathMtus } from './path-mtu.ts';
import { makeFolder, PinDirectory } from './pin-dir.ts';
import { NOTHING, type Reception, Receptions } from './reception.ts';
import { finished, reconcile, type Surroundings, withState } from './reconcile.ts';
import { reconcilePorts } from './reconcile-ports.ts';
import { type Recovered, recover } from './recover.ts';
import { Segmenter, type SegmenterPair } from './segmenter.ts';
import { Slots } from './slots.ts';
import { StateFile } from './state-file.ts';
import { isBucketKind, isCrowded, isIdle, LAYOUT_MAPS, mapOf, needsOf, roomFor } from './table-layout.ts';
import { trace } from './trace.ts';
import type {
  ApplyReport,
  DataplaneEvent,
  DataplaneOptions,
  DataplaneStatus,
  DownReport,
  DropCount,
  KernelState,
  MapDump,
  MapFill,
  NextHopStatus,
  Problem,
  ProgramsStatus,
  TraceResult,
  TrafficCount,
} from './types.ts';
import { underlayDevices } from './underlay.ts';
import type { Hop } from './ways.ts';

const NO_HOP: Nexthop = {
  ifindex: 0,
  flags: 0,
  dmac: new Uint8Array(6),
  smac: new Uint8Array(6),
  vlan: 0,
  slot: 0,
};

/** Devices tell of new XDP abilities (a peer that attached a program) by no route message; they are looked at again. */
const REFRESH_MS = 2_000;

/** After a plan of another shape, programs are made for it: not at once, more edits may follow. */
const SPECIALISE_MS = 5_000;

/** A program that was replaced may still be at its last packet: as long as one can be, many times over. */
const LAST_PACKET_MS = 50;

const OTHER_CONSTANTS = 'the programs need other constants';

/**
 * The data plane of one node: the only writer of its pin directory.
 *
 * `open` takes the pin directory over as it is and changes nothing that packets see. The first `apply` brings the kernel
 * to a plan: it reads every map and writes the difference. Later ones write what an edit changes. Devices and next hops
 * are followed by themselves. `close` leaves everything in force; only `Dataplane.down` removes it.
 *
 * Calls may overlap; they run one after the other.
 */
export class Dataplane implements AsyncDisposable {
  /** Kernel ids, adopted from what is pinned. Plans that are applied here must be made with it. */
  readonly ids: IdBook;
  readonly #pins: PinDirectory;
  readonly #settings: Settings;
  readonly #options: DataplaneOptions;
  readonly #objects: ProgramObjects;
  readonly #layout: number;
  readonly #network: HostNetwork;
  readonly #attachments: Attachments;
  readonly #hops: NextHops;
  readonly #devices: DeviceTable;
  readonly #slots = new Slots();
  readonly #receptions: Receptions;
  readonly #segmenter: Segmenter;
  readonly #merger: Merger;
  readonly #events: EventReader;
  readonly #pathMtus = new PathMtus();
  readonly #mutex = new Mutex();
  readonly #listeners = new Set<(event: DataplaneEvent) => void>();
  readonly #problems = new Map<string, Problem>();
  /** Runtime entries in force, by the name of their device. */
  readonly #runtime = new Map<string, RawEntry[]>();
  /** Which device an entry of `#runtime` belongs to. */
  readonly #owners = new Map<string, string>();
  /** Nodes whose next hops changed and whose entries were not looked at since. */
  readonly #unwritten = new Set<number>();
  /** By the node's id in the table; of others the plan says it. */
  #states: ReadonlyMap<string, NodeState> = new Map();
  /** Nodes of which something was said since the task that is under way began: it may still write what it read before. */
  readonly #restated = new Set<string>();
  /** Being filled, to be in force soon. */
  #filling: Generation | undefined;
  /** What the uplink has to receive for the plan in force. */
  #reception: Reception = NOTHING;
  /** Subjects of the problems that the last look at the uplink's reception had. */
  #unreceived: readonly string[] = [];
  /** Some flat network here has a VLAN id. */
  #tagged = false;
  /** The kernel is to merge what comes by VXLAN. */
  #merging = false;
  #pair: SegmenterPair | undefined;
  #generation: Generation | undefined;
  /** Generations whose switch was interrupted or whose layout this build cannot read; retired by the next switch. */
  #old: Generation[];
  #plan: Plan | undefined;
  /** Constants that the plan in force wants. */
  #config: Config | undefined;
  /** At hand for a plan of another shape; loaded behind the plan. */
  #generic: GenericPrograms | undefined;
  /** The links run `#generic`. */
  #meanwhile = false;
  /** Devices that came while they did: their hook is chosen when they are replaced. */
  readonly #deferred = new Set<string>();
  #specialising: NodeJS.Timeout | undefined;
  #stale = true;
  #known = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  private constructor(parts: {
    pins: PinDirectory;
    options: DataplaneOptions;
    objects: ProgramObjects;
    layout: number;
    network: HostNetwork;
    state: StateFile;
    generation: Generation | undefined;
    old: readonly Generation[];
    ids: IdBook;
  }) {
    this.#pins = parts.pins;
    this.#options = parts.options;
    this.#settings = settingsOf(parts.options);
    this.#objects = parts.objects;
    this.#layout = parts.layout;
    this.#network = parts.network;
    this.#generation = parts.generation;
    this.#old = [...parts.old];
    this.ids = parts.ids;
    const underlay = underlayDevices(parts.options.underlay);
    this.#devices = new DeviceTable(underlay, this.#settings.guard, this.#slots);
    this.#attachments = new Attachments({
      linksPath: parts.pins.links,
      state: parts.state,
      netlink: parts.network,
      ...(parts.options.onStep === undefined ? {} : { onStep: parts.options.onStep }),
    });
    this.#hops = new NextHops({ netlink: parts.network, state: parts.state, underlay });
    const step = (name: string): Promise<void> => this.#step(name);
    this.#receptions = new Receptions(parts.network, parts.state, step);
    this.#segmenter = new Segmenter(parts.pins.path, parts.network, parts.state, step);
    this.#merger = new Merger(parts.pins.path, parts.network, parts.state, step);
    this.#events = new EventReader({
      pathMtu: (address, mtu) => this.#background(() => this.#pathMtu(address, mtu)),
      heard: (id, sequence) => {
        const port = this.ids.portName(id);
        if (port !== undefined) this.#emit({ type: 'heard', port, sequence });
      },
      failed: (error) => this.#emit({ type: 'error', error }),
    });
  }

  /**
   * Takes the pin directory over: checks it, locks it, finishes or rolls back what an earlier process left half done, and
   * adopts the ids. Loads, attaches and writes nothing else.
   *
   * @throws ERR_MW_PIN_DIR, ERR_MW_BUSY, ERR_MW_PRIVILEGE, ERR_MW_ADDON, ERR_MW_NOT_FOUND (objects not built),
   * ERR_MW_UNSAFE_FILE, ERR_MW_MAP_INCOMPATIBLE (maps of this layout version with other fields)
   */
  static async open(options: DataplaneOptions): Promise<Dataplane> {
    const objects = readObjects(options.objects ?? defaultObjectFiles());
    const layout = layoutOfObject(objects.xdp);
    const pins = PinDirectory.open(options.pinDir);
    let network: HostNetwork | undefined;
    let opened: Recovered | undefined;
    try {
      makeFolder(pins.links);
      const state = StateFile.open(options.stateDir);
      opened = recover(pins);
      const { current, old } = opened;
      const ids = new IdBook();
      let isKnown = false;
      if (current?.layout === layout) {
        assertLayouts(current);
        isKnown = options.known !== undefined && opened.old.length === 0 && isState(current, options.known);
        await adoptIds(current, ids, isKnown ? options.known?.addresses : undefined);
      }
      network = new HostNetwork();
      const plane = new Dataplane({ pins, options, objects, layout, network, state, generation: current, old, ids });
      plane.#known = isKnown;
      await plane.#resume();
      return plane;
    } catch (error) {
      network?.close();
      opened?.current?.close();
      for (const generation of opened?.old ?? []) generation.close();
      pins.close();
      throw error;
    }
  }

  /**
   * Detaches and unpins everything of an instance, removes its neighbour entries, and puts device settings back. Works
   * without a daemon, after a crash at any step, and twice.
   *
   * @throws ERR_MW_BUSY while a daemon runs
   */
  static down(options: Pick<DataplaneOptions, 'pinDir' | 'stateDir' | 'onStep'>): Promise<DownReport> {
    return down(options);
  }

  /** Is the kernel as `DataplaneOptions.known` says? Its ports' ids were not adopted then. */
  get isKnown(): boolean {
    return this.#known;
  }

  /** One after the other. */
  #alone<T>(task: () => Promise<T>): Promise<T> {
    return this.#mutex.run(async () => {
      this.#restated.clear();
      return task();
    });
  }

  /** Do networks, nodes and balanced addresses have the ids that they had then? Entries of ports refer to them. */
  #hasKnownIds(): boolean {
    const { known } = this.#options;
    if (!this.#known || known === undefined) return false;
    const { networks, nodes, addresses } = this.ids;
    return (
      sameBindings(networks.bindings(), known.networks) &&
      sameBindings(nodes.bindings(), known.nodes) &&
      sameBindings(addresses.bindings(), known.addresses)
    );
  }

  /** For the `known` of the next process; undefined while a plan is not wholly in force. */
  kernelState(): KernelState | undefined {
    const generation = this.#readable();
    const meta = generation?.meta();
    if (this.#stale || this.#old.length > 0 || generation === undefined || meta === undefined) return undefined;
    return {
      instance: Buffer.from(meta.instance).toString('hex'),
      generation: generation.number,
      layout: generation.layout,
      revision: Number(meta.revision),
      addresses: this.ids.addresses.bindings(),
      networks: this.ids.networks.bindings(),
      nodes: this.ids.nodes.bindings(),
    };
  }

  /**
   * Compares a map of ports with the plan, and writes what differs: what `apply` with `trusted` has left out. Nothing may be applied
   * meanwhile.
   *
   * @returns the number of writes
   */
  verify(map: PortMap): Promise<number> {
    return this.#alone(async () => {
      this.#assertOpen();
      if (this.#stale || this.#plan === undefined) return 0;
      const writer = this.#writer(this.#present());
      const left = await reconcilePorts(map, this.#plan, this.#around, writer, undefined, pacer());
      await writer.removePacked(map, left.keys, left.count);
      this.#assertWritten(writer);
      return writer.total;
    });
  }

  /** Revision of the plan last applied, by this process or an earlier one; 0: none. */
  get adoptedRevision(): number {
    return this.#readable() === undefined ? 0 : Number(this.#readable()?.meta()?.revision ?? 0n);
  }

  /**
   * Brings the kernel to a plan.
   *
   * @param changes what `replan` said: only that is written. Without it everything is read and compared.
   * @param states as `setStates` takes them (not to be changed afterwards), to come into force together with the plan; without them those in force stay
   * @param trusted the maps of ports hold the plan (`isKnown`): they are not read; `verify` does it later
   * @throws ERR_MW_VERIFIER, ERR_MW_SYSCALL, ERR_MW_MAP_FULL (no memory for larger maps); ERR_MW_PRIVILEGE and others when an
   * entry could not be written, after the rest was. What was in force stays, perhaps
   * with a part of the edit; the next `apply` reads and compares everything.
   */
  apply(
    plan: Plan,
    changes?: PlanChanges,
    states?: ReadonlyMap<string, NodeState>,
    trusted = false,
  ): Promise<ApplyReport> {
    // Whatever is said later is newer, also when this has to wait.
    const restated = states === undefined ? [] : this.#restate(states);
    return this.#alone(async () => {
      this.#assertOpen();
      if (plan.ids !== this.ids) {
        throw new MapwireError('ERR_MW_INVALID_ARGUMENT', 'the plan was made with ids of its own', {
          hint: 'make it with the ids of the data plane: plan(table, node, dataplane.ids)',
        });
      }
      const start = performance.now();
      const before = this.#stale ? undefined : this.#plan;
      const whole = changes === undefined || changes.whole || before === undefined;
      this.#stale = true;
      const pair = await this.#segmenterFor(plan, whole);
      if (before !== undefined && pair !== undefined && !this.#usesSegmenter(pair)) await this.#useSegmenter();
      const config = configOf(plan, this.#settings, pair?.near);
      const wanted = this.#switchReason(plan, config);
      const { encaps } = plan.features;
      let reason = wanted;
      let replaced: string | undefined;
      if (wanted === OTHER_CONSTANTS && before !== undefined) {
        if (this.#wantsOtherSegmenter(config)) {
          await this.#goOver(config, encaps | before.features.encaps);
          replaced = wanted;
          reason = undefined;
        } else if (!whole && (await this.#goGeneric(config))) reason = undefined;
      }
      // Nothing of it is written up to here.
      this.#plan = plan;
      this.#config = config;
      // What comes is known before it is written, what goes until it is.
      this.#readable()?.setEncaps(encaps, true);
      let result: { writer: MapWriter; switched: string | undefined };
      try {
        if (whole || reason !== undefined)
          result = await this.#applyWhole(plan, config, reason, undefined, trusted && this.#hasKnownIds());
        else result = { writer: await this.#applyChanges(plan, changes, restated), switched: undefined };
      } catch (error) {
        if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_MAP_FULL') throw error;
        const map = String(error.details.map ?? '');
        result = await this.#applyWhole(plan, config, `map ${map} is full`, map);
      }
      const { writer, switched = replaced } = result;
      this.#follow();
      if (whole || switched !== undefined || changes.groups || changes.localPorts.size > 0) {
        await this.#setReception(plan, writer);
        await this.#setMerging(plan, writer);
      }
      this.#assertWritten(writer);
      for (const subject of this.#problems.keys()) if (subject.startsWith('map ')) this.#problems.delete(subject);
      this.#stale = false;
      const generation = this.#present();
      if (Number(generation.meta()?.revision) !== plan.revision && (writer.total > 0 || switched !== undefined)) {
        generation.setRevision(plan.revision);
      }
      generation.setEncaps(encaps);
      this.#specialiseLater();
      return {
        revision: plan.revision,
        writes: writer.writes,
        total: writer.total,
        generation: generation.number,
        switched,
        milliseconds: performance.now() - start,
      };
    });
  }

  /** Waits until every peer's next hop is resolved, at most so long. Returns those that are not. */
  async waitForNextHops(milliseconds: number): Promise<NextHopStatus[]> {
    const end = performance.now() + milliseconds;
    for (;;) {
      await this.#alone(() => this.#refreshHops());
      const missing = this.#nextHops().filter((hop) => !hop.resolved);
      if (missing.length === 0 || performance.now() >= end) return missing;
      await new Promise((done) => setTimeout(done, Math.min(25, Math.max(1, end - performance.now()))));
    }
  }

  status(): DataplaneStatus {
    const names = new Set([...this.#devices.names(), ...this.#devices.attachedNames()]);
    return {
      revision: this.#stale ? undefined : this.#plan?.revision,
      generation: this.#generation?.number ?? 0,
      layout: this.#generation?.layout ?? this.#layout,
      programs: this.#programsStatus(),
      tableLayout: this.#readable()?.tableLayout,
      devices: [...names].map((name) => this.#devices.status(name)),
      nextHops: this.#nextHops(),
      groups: this.#hops.groupStatus(),
      maps: this.fill(),
      problems: [...this.#problems.values(), ...this.#devices.conflicts()],
    };
  }

  /**
   * A router told that a packet to an underlay address was too big. It is believed for ten minutes, if it lowers what is in
   * force and is not impossibly small (docs/packet-rules.md, section 7).
   *
   * @returns whether it is in force now
   */
  pathMtu(address: string, mtu: number): Promise<boolean> {
    return this.#alone(() => this.#pathMtu(address, mtu));
  }

  async #pathMtu(address: string, mtu: number): Promise<boolean> {
    const peer = this.#hops.peerAt(address);
    if (this.#closed || peer === undefined || this.#readable() === undefined) return false;
    if (!this.#pathMtus.tell(address, mtu, this.#hops.mtuOf(peer.id) ?? 0xffff)) return false;
    if (!this.#stale) await this.#writeNodes([peer.id]);
    return true;
  }

  /**
   * Which nodes are up, down or drained, by their ids in the table; those not named are as the plan says. Not to be changed
   * afterwards: the same map again says nothing new. One element is
   * written for each node that changes and has a port in a network of this node, whatever the number of ports. It waits for nothing: a
   * plan that is being applied goes on behind it, and does not take it back. It is in force when the promise resolves, or, before the
   * first `apply`, with that.
   *
   * @returns the number of elements written
   * @throws ERR_MW_SYSCALL when one could not be written; the next `apply` compares everything
   */
  async setStates(states: ReadonlyMap<string, NodeState>): Promise<number> {
    this.#assertOpen();
    const restated = this.#restate(states);
    for (const node of restated) this.#restated.add(node);
    return this.#writeStatesNow(restated);
  }

  /** Remembers the states; the nodes whose state is another than before. */
  #restate(states: ReadonlyMap<string, NodeState>): string[] {
    const before = this.#states;
    if (states === before) return [];
    this.#states = states;
    return [...new Set([...before.keys(), ...states.keys()])].filter((node) => before.get(node) !== states.get(node));
  }

  /** Where entries of nodes have to be right: what programs read, will read soon, or may read to the end of a switch. */
  #readByPrograms(): Set<Generation> {
    const own = [this.#generation, this.#filling, ...this.#old].filter((one) => one?.layout === this.#layout);
    return new Set(own as Generation[]);
  }

  /** Brings entries of nodes to their states at once, whatever is under way. The number of elements written. */
  #writeStatesNow(nodes: readonly string[]): number {
    if (this.#plan === undefined || nodes.length === 0) return 0;
    let writes = 0;
    let failure: unknown;
    for (const generation of this.#readByPrograms()) {
      const map = generation.map('node');
      for (const { key, value } of this.#stateEntries(nodes, generation)) {
        try {
          map.update(key, value);
          writes++;
        } catch (error) {
          failure ??= error;
        }
      }
      generation.touch();
    }
    if (failure !== undefined) {
      // What could not be written is written by the next plan, which then reads everything.
      void this.#alone(async () => {
        this.#stale = true;
      });
      throw failure;
    }
    return writes;
  }

  /** The entries of nodes that are not as their states want them: of each other flags alone. */
  #stateEntries(nodes: Iterable<string>, generation: Generation): RawEntry[] {
    const map = generation.map('node');
    const entries: RawEntry[] = [];
    for (const node of nodes) {
      const id = this.ids.nodes.idOf(node);
      const state = this.#states.get(node) ?? this.#plan?.table.nodes.get(node)?.state ?? 'up';
      if (id === undefined) continue;
      const key = u32.encode(id);
      const held = map.lookup(key);
      if (held === undefined) continue;
      const entry = nodeCodec.decode(held);
      const flags = withState(entry.flags, state);
      if (flags !== entry.flags) entries.push({ map: 'node', key, value: nodeCodec.encode({ ...entry, flags }) });
    }
    return entries;
  }

  /** @param before called before the first write */
  #writer(generation: Generation, before?: () => void): MapWriter {
    return new MapWriter(generation, {
      ...(before !== undefined && { before }),
      // Values that were worked out before a state was said may have been written after it.
      put: (map) => {
        if (map === 'node') this.#writeStatesNow([...this.#restated]);
      },
    });
  }

  /** How full the maps are, by what the plan put in. */
  fill(): MapFill[] {
    const generation = this.#readable();
    if (generation === undefined || this.#plan === undefined) return [];
    const fills: MapFill[] = Object.entries(this.#plan.sizes).map(([map, entries]) => ({
      map,
      entries,
      capacity: generation.entries(map as EntryMap).maxEntries,
    }));
    const runtime = [...this.#runtime.values()].flat();
    for (const map of RUNTIME_MAPS) {
      const entries = runtime.filter((entry) => entry.map === map).length;
      fills.push({ map, entries, capacity: generation.map(map).maxEntries });
    }
    return fills;
  }

  /** Ports of the plan that move, and whose guests announced themselves where they move to. */
  async heard(): Promise<ReadonlySet<string>> {
    const generation = this.#readable();
    const heard = new Set<string>();
    if (generation?.maybeMap('move') === undefined || this.#plan === undefined) return heard;
    const { table } = this.#plan;
    for (const { key, value } of (await readMap(generation, 'move')).values()) {
      const id = u32.decode(key);
      const port = this.ids.portName(id);
      const sequence = port === undefined ? undefined : table.port(port)?.sequence;
      if (port === undefined || sequence === undefined) continue;
      if (moveCodec.decode(value).heard === (BigInt(id) << 32n) + BigInt(sequence)) heard.add(port);
    }
    return heard;
  }

  /** Dropped packets by reason since the instance was set up. */
  drops(): DropCount[] {
    const map = this.#readable()?.maybeMap('drops');
    return map === undefined ? [] : readDrops(map);
  }

  /** Traffic of each device that is attached. */
  traffic(): TrafficCount[] {
    const map = this.#readable()?.maybeMap('traffic');
    if (map === undefined) return [];
    return this.status()
      .devices.filter((device) => device.slot !== undefined)
      .map((device) => ({
        device: device.name,
        role: device.role,
        port: device.port,
        ...readTraffic(map, device.slot as number),
      }));
  }

  /** What the kernel's maps hold, ids joined to names. @param map short name, e.g. `ip4`; all when absent */
  async dump(map?: string): Promise<MapDump[]> {
    const generation = this.#readable();
    if (generation === undefined) return [];
    return dumpMaps(generation, this.ids, (ifindex) => this.#devices.deviceByIndex(ifindex)?.name, map);
  }

  /**
   * Puts a frame to the live programs with the live maps, as if it came from a port's interface. Counts, limits and sends
   * nothing.
   *
   * @throws ERR_MW_NOT_FOUND when the port or its interface is not here
   */
  trace(question: { readonly port: string; readonly frame: Uint8Array }): Promise<TraceResult> {
    return this.#alone(async () => {
      this.#assertOpen();
      const generation = this.#present();
      const name = this.#devices.interfaceOf(question.port);
      const device = name === undefined ? undefined : this.#devices.device(name);
      if (device === undefined) {
        throw new MapwireError('ERR_MW_NOT_FOUND', `port '${question.port}' has no interface here`, {
          hint: "ask on the node where the port is; its locator must name an 'interface' that exists",
        });
      }
      return trace({
        generation,
        config: this.#config ?? generation.config,
        objects: this.#objects,
        ids: this.ids,
        ifindex: device.ifindex,
        xdp: this.#devices.attached(device.name)?.hook === 'xdp',
        frame: question.frame,
        deviceName: (ifindex) => this.#devices.deviceByIndex(ifindex)?.name,
      });
    });
  }

  /** Returns a function that ends it. */
  onEvent(listener: (event: DataplaneEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Stops following and lets go of the lock; everything stays in force. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#specialising);
    this.#events.close();
    await this.#mutex.idle();
    this.#hops.close();
    this.#network.close();
    this.#generic?.close();
    this.#generation?.close();
    for (const generation of this.#old) generation.close();
    this.#pins.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Finishes a switch that was interrupted after its new generation was complete. */
  async #resume(): Promise<void> {
    const generation = this.#generation;
    if (generation === undefined) return;
    // The process before may have ended between a write and its telling.
    this.#readable()?.touch();
    if (this.#old.length > 0) {
      await this.#attachments.updateAll((role, ifindex) => this.#linkPrograms(generation, role, ifindex));
      this.#retireOld();
      this.#pins.pointCurrent(generation.number);
    }
    // Also of another layout version, if this part of it is the same: the counters of a slot stay with their device.
    await this.#adoptPathMtus();
    const links = generation.maybeMap('link');
    if (links === undefined || !sameLayout('link', links)) return;
    for (const { key, value } of (await readMap(generation, 'link')).values()) {
      const entry: LinkEntry = linkCodec.decode(value);
      this.#slots.adopt(u32.decode(key), entry.slot);
    }
  }

  /** What routers told an earlier process is believed anew: how old it is, nobody knows. */
  async #adoptPathMtus(): Promise<void> {
    const generation = this.#readable();
    if (generation === undefined) return;
    for (const { value } of (await readMap(generation, 'node')).values()) {
      const { remote, mtu } = nodeCodec.decode(value);
      if (mtu !== 0) this.#pathMtus.tell(ipFromMappedBytes(remote), mtu, 0xffff);
    }
  }

  /** The generation in force, when its layout is the one this build reads. */
  #readable(): Generation | undefined {
    return this.#generation?.layout === this.#layout ? this.#generation : undefined;
  }

  #present(): Generation {
    const generation = this.#readable();
    if (generation === undefined) {
      throw new MapwireError('ERR_MW_NOT_FOUND', 'no plan is in force', { hint: 'apply one first' });
    }
    return generation;
  }

  #assertOpen(): void {
    if (this.#closed) throw new MapwireError('ERR_MW_CLOSED', 'this data plane was closed');
  }

  /** Why another generation is needed; undefined: the present one serves. */
  #switchReason(plan: Plan, config: Config): string | undefined {
    const generation = this.#generation;
    if (generation === undefined) return 'nothing was pinned';
    if (generation.layout !== this.#layout) return `layout ${generation.layout} becomes ${this.#layout}`;
    const { layout } = this.#settings;
    if (generation.config !== undefined && generation.tableLayout !== layout) {
      return `table layout ${generation.tableLayout} becomes ${layout}`;
    }
    for (const [map, entries] of this.#needs(plan)) {
      if (isCrowded(map, entries, generation.map(map).maxEntries)) return `map ${map} grows`;
    }
    if (generation.objectHash !== this.#objects.hash) return 'the programs were replaced';
    if (generation.config === undefined || !covers(generation.config, config)) return OTHER_CONSTANTS;
    return undefined;
  }

  /** Entries that each map has to take. */
  #needs(plan: Plan): Map<string, number> {
    const needs = needsOf(plan.sizes, this.#settings.layout);
    // And the segmenter.
    const locals = this.#options.underlay.length + plan.localPortCount + 1;
    for (const map of RUNTIME_MAPS) needs.set(map, locals);
    const slots = Math.max(locals, this.#slots.extent);
    needs.set('traffic', slots);
    needs.set('limit', slots);
    return needs;
  }

  async #applyWhole(
    plan: Plan,
    config: Config,
    reason: string | undefined,
    full?: string,
    trusted = false,
  ): Promise<{ writer: MapWriter; switched: string | undefined }> {
    this.#devices.setPorts(plan.localPorts());
    const segmenter = reason === undefined ? this.#generation?.config?.segmenter : config.segmenter;
    this.#devices.setSegmenter(segmenter === undefined || segmenter === 0 ? undefined : this.#segmenter.names.far);
    this.#tagged = hasFlatTags(plan);
    this.#devices.refresh(await this.#readDevices());
    this.#hops.setGroups(plan.groups(), plan.wire);
    this.#hops.setPeers(plan.peers());
    await this.#hops.refresh();
    const fresh: number[] = [];
    for (const name of [...this.#runtime.keys()]) this.#setRuntime(name, []);
    for (const name of this.#devices.names()) {
      const device = this.#devices.device(name);
      const taken = device === undefined ? undefined : this.#slots.take(device.ifindex);
      if (taken?.fresh === true) fresh.push(taken.slot);
      this.#setRuntime(name, this.#devices.entries(name));
    }
    let writer: MapWriter;
    if (reason === undefined) {
      writer = this.#writerFor(plan);
      await this.#detachGone();
      await reconcile(plan, this.#around, writer, undefined, trusted);
    } else {
      writer = await this.#switch(plan, config, full);
    }
    for (const slot of fresh) clearTraffic(writer.generation.map('traffic'), slot);
    for (const name of this.#devices.names()) await this.#attach(name, writer);
    if (this.#pair !== undefined) await this.#segmenter.raise();
    await this.#detachGone();
    if (segmenter === undefined || segmenter === 0) await this.#segmenter.remove();
    this.#pins.pointCurrent(writer.generation.number);
    // Programs that were just attached change what devices can do.
    await this.#syncDevices(writer, await this.#readDevices());
    return { writer, switched: reason };
  }

  async #applyChanges(plan: Plan, changes: PlanChanges, restated: readonly string[]): Promise<MapWriter> {
    const writer = this.#writerFor(plan);
    this.#hops.setGroups(plan.groups(), plan.wire);
    const pause = pacer();
    await putChanges(changes.entries, this.#around, writer, pause);
    await writer.put('node', this.#stateEntries(restated, writer.generation));
    const names = new Set<string>();
    for (const id of changes.localPorts) {
      for (const name of this.#devices.setPort(id, plan.localPort(id))) names.add(name);
    }
    if (names.size > 0) {
      for (const name of this.#devices.refresh(await this.#readDevices())) names.add(name);
      for (const name of names) await this.#syncDevice(name, writer);
    }
    if (changes.peers.size > 0) {
      this.#hops.setPeers(plan.peers());
      await this.#writeHops(await this.#hops.refresh(), writer);
    } else {
      await this.#writeHops([], writer);
    }
    await removeChanges(changes.entries, writer, pause);
    return writer;
  }

  /**
   * The revision is written before the entries: a process that ends in between leaves maps that are of no revision that anybody has
   * written down as done.
   */
  #writerFor(plan: Plan): MapWriter {
    const generation = this.#present();
    return this.#writer(generation, () => generation.setRevision(plan.revision));
  }

  /** The pair that cuts super-packets, if the plan needs one and the host lets us have it. */
  async #segmenterFor(plan: Plan, whole: boolean): Promise<SegmenterPair | undefined> {
    const subject = `device ${this.#segmenter.names.near}`;
    if (!plan.features.checksum) this.#pair = undefined;
    else if (whole || this.#pair === undefined) {
      try {
        this.#pair = await this.#segmenter.ensure(this.#readable()?.config?.segmenter || undefined);
      } catch (error) {
        if (!(error instanceof MapwireError)) throw error;
        this.#pair = undefined;
        this.#report({
          code: error.code,
          message: `large packets to nodes that want outer checksums are dropped: ${error.message}`,
          hint:
            error.hint ?? 'switch segmentation offload off in the guests, or set `udp6-checksum: zero` for these nodes',
          subject,
        });
        return undefined;
      }
    }
    this.#problems.delete(subject);
    return this.#pair;
  }

  /** Has the pair's far end take segments, and brings it up: before anything sends super-packets to the near one. */
  async #useSegmenter(): Promise<void> {
    const { far } = this.#segmenter.names;
    const writer = this.#writer(this.#present());
    this.#devices.setSegmenter(far);
    await this.#syncDevices(writer, await this.#readDevices());
    await this.#syncDevice(far, writer);
    await this.#segmenter.raise();
    for (const problem of writer.problems) this.#report(problem);
  }

  /** A pair that somebody took away or down is made again: with the index that the programs know, or programs that know the new one. */
  async #mendSegmenter(devices: readonly HostDevice[]): Promise<void> {
    const plan = this.#plan;
    const config = this.#config;
    if (plan?.features.checksum !== true || config === undefined || this.#segmenter.isWhole(this.#pair, devices))
      return;
    const pair = await this.#segmenterFor(plan, true);
    if (pair === undefined) return;
    await this.#useSegmenter();
    const wanted = { ...config, segmenter: pair.near };
    if (!this.#wantsOtherSegmenter(wanted)) return;
    await this.#goOver(wanted, plan.features.encaps);
    this.#config = wanted;
    this.#specialiseLater();
  }

  #usesSegmenter({ far }: SegmenterPair): boolean {
    return this.#devices.attached(this.#segmenter.names.far)?.ifindex === far;
  }

  #wantsOtherSegmenter({ segmenter }: Config): boolean {
    return segmenter !== 0 && this.#readable()?.config?.segmenter !== segmenter;
  }

  /** Has the kernel merge TCP that comes by VXLAN, while that is good for every guest. */
  async #setMerging(plan: Plan, writer: MapWriter): Promise<void> {
    const wanted = this.#mayMerge(plan);
    const changed = wanted !== this.#merging;
    this.#merging = wanted;
    if (changed) await this.#attachUnderlay(writer);
    const own = plan.table.nodes.get(plan.node)?.underlay ?? [];
    await this.#merger.sync(wanted ? own : [], this.#settings.ports.vxlan);
  }

  /**
   * A super-packet that was taken out of a tunnel keeps the kernel's mark of it, and cannot go into a second one. So nothing is
   * merged while a guest here may pass on what it gets. Nor where other users of VXLAN live, whose socket it would be.
   */
  #mayMerge(plan: Plan): boolean {
    if ((plan.features.encaps & (1 << Encap.VXLAN)) === 0) return false;
    if (this.#settings.unknownSegment === 'stack' || this.#settings.guard !== 'full') return false;
    for (const { role, hasAllow } of plan.localPorts()) if (role === 'router' || hasAllow) return false;
    return true;
  }

  async #attachUnderlay(writer: MapWriter): Promise<void> {
    for (const name of this.#devices.names()) {
      if (this.#devices.roleOf(name) === 'underlay') await this.#attach(name, writer);
    }
  }

  /** What the uplink must receive for this plan beside its own, and what underlay devices must let through. */
  async #setReception(plan: Plan, writer: MapWriter): Promise<void> {
    const flat = new Set<string>();
    for (const { network, definition } of plan.networks()) if (definition.encap === 'flat') flat.add(network);
    const macs = new Set<string>();
    if (flat.size > 0) {
      for (const port of plan.localPorts()) if (flat.has(port.networkName)) macs.add(macFromBytes(macBytes(port.mac)));
    }
    const groups = new Set([...plan.groups()].map(({ address }) => ipFromBytes(ipBytes(address))));
    this.#reception = { macs, groups };
    if (this.#tagged !== hasFlatTags(plan)) {
      this.#tagged = !this.#tagged;
      await this.#attachUnderlay(writer);
    }
    await this.#receive();
  }

  /** The uplink may be another one, or may have lost an address since. */
  async #receive(): Promise<void> {
    const problems = await this.#receptions.sync(this.#hops.uplink, this.#reception);
    for (const subject of this.#unreceived) {
      if (!problems.some((problem) => problem.subject === subject)) this.#problems.delete(subject);
    }
    for (const problem of problems) this.#report(problem);
    this.#unreceived = problems.map(({ subject }) => subject);
  }

  /** Fills a new generation and goes over to it, without a packet seeing a gap. */
  async #switch(plan: Plan, config: Config, fullMapping: string | undefined): Promise<MapWriter> {
    const before = this.#generation;
    const readable = this.#readable();
    const { layout } = this.#settings;
    const full = fullMapping === undefined ? undefined : mapOf(fullMapping, layout);
    const relaid = readable?.tableLayout !== layout;
    const number = Math.max(0, before?.number ?? 0, ...this.#pins.generations()) + 1;
    const needs = this.#needs(plan);
    const step = (name: string): Promise<void> => this.#step(`switch:${name}`);
    const generation = await buildGeneration({
      number,
      folder: this.#pins.generationPath(number),
      objects: this.#objects,
      config,
      instance: before?.meta()?.instance,
      capacity: (map) => {
        const entries = needs.get(map);
        if (isIdle(map, layout)) return isBucketKind(map) ? 1 : undefined;
        if (entries === undefined) return undefined;
        return roomFor(map, entries, map === full ? readable?.maybeMap(map)?.maxEntries : 0);
      },
      reuse: (map) => {
        if ((OWN_MAPS as readonly string[]).includes(map) || map === full) return undefined;
        const counters = (COUNTER_MAPS as readonly string[]).includes(map);
        const source = counters ? before : readable;
        const held = source?.maybeMap(map);
        if (held === undefined || (relaid && LAYOUT_MAPS.includes(map))) return undefined;
        if (isCrowded(map, needs.get(map) ?? 0, held.maxEntries)) return undefined;
        return counters && readable === undefined && !sameLayout(map, held) ? undefined : held;
      },
      step,
    });
    try {
      generation.setEncaps(plan.features.encaps);
      for (const map of COUNTER_MAPS) {
        const [from, to] = [before?.maybeMap(map), generation.map(map)];
        if (from !== undefined && from.id !== to.id && sameLayout(map, from)) await copyCounters(from, to);
      }
      await step('fill');
      this.#filling = generation;
      const writer = this.#writer(generation);
      await reconcile(plan, this.#around, writer, readable);
      this.#assertWritten(writer);
      await step('programs');
      pinPrograms(generation, this.#objects, config);
      await step('bound');
      if (before !== undefined) await this.#bindAgain(before, generation);
      generation.touch();
      await step('complete');
      generation.inForce();
      generation.setMeta({ state: 'complete', revision: plan.revision });
      if (before !== undefined) this.#old.push(before);
      this.#generation = generation;
      if (this.#pair !== undefined) {
        await this.#attach(this.#segmenter.names.far, writer);
        await this.#segmenter.raise();
      }
      await step('links');
      await this.#attachments.updateAll((role, ifindex) => this.#linkPrograms(generation, role, ifindex));
      this.#meanwhile = false;
      this.#deferred.clear();
      await step('current');
      this.#pins.pointCurrent(number);
      await step('retire');
      this.#retireOld();
      return writer;
    } catch (error) {
      if (this.#generation !== generation) {
        this.#filling = undefined;
        generation.unpin();
        generation.close();
      }
      throw error;
    } finally {
      this.#filling = undefined;
    }
  }

  #programsStatus(): ProgramsStatus {
    const config = this.#meanwhile ? this.#generic?.config : this.#readable()?.config;
    if (config === undefined) return { made: 'none', encaps: [], features: [] };
    const made = this.#meanwhile ? 'meanwhile' : config.generic === 1 ? 'generic' : 'plan';
    return { made, ...describeConfig(config) };
  }

  /**
   * A plan of another shape, before anything of it is written: links go over to the programs that are right for any plan, if they are
   * at hand and differ in nothing but that. Those for the plan are made behind it.
   */
  async #goGeneric(config: Config): Promise<boolean> {
    const generic = this.#generic;
    if (generic === undefined || generic.of !== this.#generation || !covers(generic.config, config)) return false;
    if (!this.#meanwhile) {
      this.#meanwhile = true;
      await this.#step('generic');
      await this.#attachments.updateAll((role) => generic.linkPrograms(role));
      await new Promise((done) => setTimeout(done, LAST_PACKET_MS));
    }
    return true;
  }

  /** Once edits have stopped for a while. */
  #specialiseLater(): void {
    if (this.#settings.specialise === 'off') return;
    clearTimeout(this.#specialising);
    this.#specialising = setTimeout(() => {
      this.#specialise().catch((error: unknown) => {
        if (!this.#closed) this.#emit({ type: 'error', error });
      });
    }, this.#options.specialiseAfterMs ?? SPECIALISE_MS);
    this.#specialising.unref();
  }

  /**
   * Makes programs for the plan in force if those that run are not exactly that, and has the generic ones at hand. Loads beside
   * the edits: what is loaded is put in force only if it still fits.
   */
  async #specialise(): Promise<void> {
    const before = this.#readable();
    const config = this.#config;
    if (this.#closed || this.#stale || before?.config === undefined || config === undefined) return;
    // The pair that cuts super-packets goes with a whole switch.
    const wanted = config.segmenter === 0 ? { ...config, segmenter: before.config.segmenter } : config;
    if (this.#meanwhile || configHex(wanted) !== configHex(before.config)) await this.#respecialise(before, wanted);
    const generation = this.#readable();
    if (this.#closed || this.#stale || generation === undefined || this.#generic?.of === generation) return;
    const generic = await GenericPrograms.load(generation, wanted, this.#objects);
    await this.#alone(async () => {
      if (this.#closed || this.#generation !== generation || this.#meanwhile) {
        generic.close();
        return;
      }
      this.#generic?.close();
      this.#generic = generic;
    });
  }

  /** A generation with the maps of the one in force and other programs. */
  async #buildSuccessor(
    before: Generation,
    config: Config,
    step: (name: string) => Promise<void>,
  ): Promise<Generation> {
    const number = Math.max(before.number, ...this.#pins.generations()) + 1;
    const generation = await buildGeneration({
      number,
      folder: this.#pins.generationPath(number),
      objects: this.#objects,
      config,
      instance: before.meta()?.instance,
      capacity: () => undefined,
      reuse: (map) => ((OWN_MAPS as readonly string[]).includes(map) ? undefined : before.maybeMap(map)),
      step,
    });
    try {
      pinPrograms(generation, this.#objects, config);
      await this.#bindAgain(before, generation);
      return generation;
    } catch (error) {
      this.#discard(generation);
      throw error;
    }
  }

  /** Puts a generation with the maps of the one in force in its place. @param encaps as a set of bits */
  async #succeed(
    before: Generation,
    generation: Generation,
    encaps: number,
    step: (name: string) => Promise<void>,
  ): Promise<void> {
    await this.#bindAgain(before, generation);
    generation.setEncaps(encaps);
    generation.touch();
    await step('complete');
    generation.setMeta({ state: 'complete', revision: Number(before.meta()?.revision ?? 0n) });
    this.#old.push(before);
    this.#generation = generation;
    await step('links');
    await this.#attachments.updateAll((role, ifindex) => this.#linkPrograms(generation, role, ifindex));
    this.#meanwhile = false;
    await step('current');
    this.#pins.pointCurrent(generation.number);
    await step('retire');
    this.#retireOld();
    this.#follow();
    const writer = this.#writer(generation);
    for (const name of this.#deferred) await this.#attach(name, writer);
    this.#deferred.clear();
    for (const problem of writer.problems) this.#report(problem);
  }

  /** One that did not come into force. */
  #discard(generation: Generation): void {
    if (this.#generation === generation) return;
    generation.unpin();
    generation.close();
  }

  async #respecialise(before: Generation, config: Config): Promise<void> {
    const step = (name: string): Promise<void> => this.#step(`specialise:${name}`);
    const generation = await this.#buildSuccessor(before, config, step);
    try {
      await this.#alone(async () => {
        const fits = this.#config !== undefined && covers(config, this.#config);
        if (this.#closed || this.#stale || this.#generation !== before || !fits) this.#discard(generation);
        else await this.#succeed(before, generation, this.#plan?.features.encaps ?? 0, step);
      });
    } catch (error) {
      this.#discard(generation);
      throw error;
    }
  }

  /**
   * Other programs on the maps in force, right for what these hold and for what they will, before anything of it is written. For
   * constants that generic programs have, too.
   */
  async #goOver(config: Config, encaps: number): Promise<void> {
    const before = this.#present();
    const wide = this.#config === undefined ? config : widened(config, this.#config);
    const step = (name: string): Promise<void> => this.#step(`switch:${name}`);
    const generation = await this.#buildSuccessor(before, wide, step);
    try {
      await this.#succeed(before, generation, encaps, step);
    } catch (error) {
      this.#discard(generation);
      throw error;
    }
  }

  /** Devices that had an XDP program of their own get one of the new generation, before anything runs it. */
  async #bindAgain(before: Generation, generation: Generation): Promise<void> {
    for (const { role, ifindex } of before.boundDevices()) {
      if (generation.boundProgram(role, ifindex) !== undefined) continue;
      try {
        generation.addBound(role, ifindex, await loadBound(generation, this.#objects, role, ifindex));
      } catch (error) {
        // The device is gone, or this build has no such programs: XDP goes off there until it is attached afresh.
        if (!(error instanceof MapwireError)) throw error;
      }
    }
  }

  /** What a device's links run in a generation. One that had an XDP program of its own never gets the common one. */
  #linkPrograms(generation: Generation, role: Role, ifindex: number): LinkPrograms {
    const asked = this.#old.some((old) => old.boundProgram(role, ifindex) !== undefined);
    const common = asked ? undefined : generation.program('xdp', role);
    return { xdp: generation.boundProgram(role, ifindex) ?? common, tc: generation.program('tc', role) };
  }

  #rolePrograms(generation: Generation, role: Role): RolePrograms {
    return {
      xdp: generation.program('xdp', role),
      tc: (this.#meanwhile ? this.#generic?.linkPrograms(role).tc : undefined) ?? generation.program('tc', role),
      bound: async (ifindex) => {
        const known = generation.boundProgram(role, ifindex);
        if (known !== undefined) return known;
        const program = await loadBound(generation, this.#objects, role, ifindex).catch((error: unknown) => {
          if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_VERIFIER') throw error;
          // The rest of the data plane goes on: TC does what this program would have done.
          throw new MapwireError('ERR_MW_UNSUPPORTED', error.message, { cause: error, details: error.details });
        });
        generation.addBound(role, ifindex, program);
        await this.#step(`bound xdp-${ifindex} ${role}`);
        return program;
      },
      release: (ifindex) => generation.removeBound(ifindex),
    };
  }

  #retireOld(): void {
    for (const generation of this.#old) {
      generation.unpin();
      generation.close();
    }
    this.#old = [];
  }

  async #step(name: string): Promise<void> {
    await this.#options.onStep?.(name);
  }

  get #around(): Surroundings {
    return {
      nexthops: (node) => this.#hopEntries(node),
      state: (node) => this.#states.get(this.ids.nodes.ownerOf(node) ?? ''),
      pathMtu: (remote) => this.#pathMtus.of(ipFromMappedBytes(remote)) ?? 0,
      runtime: () => [...this.#runtime.values()].flat(),
      now: monotonicNs,
      graceNs: this.#settings.guardGraceNs,
    };
  }

  /** As many as the array holds. */
  #hopEntries(node: number): Nexthop[] {
    const entries = this.#hops.hopsOf(node).flatMap((hop) => this.#hopEntry(hop));
    while (entries.length < MAX_NEXTHOPS) entries.push(NO_HOP);
    return entries;
  }

  #hopEntry(hop: Hop): Nexthop[] {
    const device = this.#devices.deviceByIndex(hop.ifindex);
    if (device === undefined) return [];
    return [{ ...hop, flags: deviceFlags(device.facts), slot: this.#slots.slotOf(hop.ifindex) ?? 0 }];
  }

  #nextHops(): NextHopStatus[] {
    return this.#hops.status((address) => this.#pathMtus.of(address));
  }

  /** Attaches programs to a device that is there. */
  async #attach(name: string, writer: MapWriter): Promise<void> {
    const device = this.#devices.device(name);
    const role = this.#devices.roleOf(name);
    if (device === undefined || role === undefined) return;
    const subject = `device ${name}`;
    const before = this.#devices.attached(name);
    if (this.#meanwhile) {
      this.#deferred.add(name);
      if (before?.ifindex === device.ifindex && before.hook !== 'none') return;
    }
    // The segmenter hands on frames of ports.
    const of = role === 'segmenter' ? 'port' : role;
    const hook = role === 'segmenter' || this.#meanwhile ? 'tc' : this.#settings.hook;
    const tagged = role === 'underlay' && (this.#tagged || this.#devices.vlanOf(name) !== 0);
    const programs = this.#rolePrograms(writer.generation, of);
    // Known before it is done: what is left of an attempt that fails half way is taken off again, or finished.
    if (before?.ifindex !== device.ifindex) {
      this.#devices.setAttached(name, { ifindex: device.ifindex, role, hook: 'none', why: 'not attached yet' });
    }
    const outcome = await this.#attachments.attach({ ...device, tagged, merges: this.#merging }, of, hook, programs);
    this.#devices.setAttached(name, { ifindex: device.ifindex, role, hook: outcome.hook, why: outcome.why });
    if (outcome.problem !== undefined) this.#report(outcome.problem);
    else this.#problems.delete(subject);
    if (before?.hook !== outcome.hook || before.ifindex !== device.ifindex) {
      this.#emit({ type: 'device', device: this.#devices.status(name) });
    }
  }

  /** Lets go of devices that vanished or are no longer asked for. */
  async #detachGone(): Promise<void> {
    for (const name of this.#devices.attachedNames()) {
      const attached = this.#devices.attached(name);
      if (attached === undefined || this.#devices.device(name)?.ifindex === attached.ifindex) continue;
      await this.#detach(name, attached.ifindex);
    }
    const alive = new Set<number>();
    for (const name of this.#devices.names()) {
      const device = this.#devices.device(name);
      if (device !== undefined) alive.add(device.ifindex);
    }
    await this.#attachments.sweep(alive);
    for (const { ifindex } of this.#generation?.boundDevices() ?? []) {
      if (!alive.has(ifindex)) this.#generation?.removeBound(ifindex);
    }
  }

  async #detach(name: string, ifindex: number): Promise<void> {
    await this.#attachments.detach(ifindex);
    this.#generation?.removeBound(ifindex);
    this.#slots.release(ifindex);
    this.#devices.setAttached(name, undefined);
    this.#problems.delete(`device ${name}`);
    this.#emit({ type: 'device', device: this.#devices.status(name) });
  }

  /** Follows what changed of the devices. */
  async #syncDevices(writer: MapWriter, devices: readonly HostDevice[]): Promise<void> {
    const changed = this.#devices.refresh(devices);
    for (const name of this.#devices.unfinished()) changed.add(name);
    const failures: unknown[] = [];
    for (const name of changed) {
      // One that fails, mostly because it went meanwhile, must not keep back the others.
      await this.#syncDevice(name, writer).catch((error: unknown) => failures.push(error));
    }
    if (changed.size > 0) await this.#writeHops(this.#hops.ids(), writer);
    if (failures.length > 0) throw failures[0];
  }

  /** Brings maps and attachments of one device to what it is now. */
  async #syncDevice(name: string, writer: MapWriter): Promise<void> {
    const attached = this.#devices.attached(name);
    const device = this.#devices.device(name);
    if (attached !== undefined && attached.ifindex !== device?.ifindex) await this.#detach(name, attached.ifindex);
    if (device !== undefined) {
      const { slot, fresh } = this.#slots.take(device.ifindex);
      if (fresh) clearTraffic(writer.generation.map('traffic'), slot);
    }
    const before = this.#runtime.get(name) ?? [];
    const after = this.#devices.entries(name);
    const old = new Map(before.map((entry) => [runtimeKey(entry), entry]));
    for (const entry of after) {
      const key = runtimeKey(entry);
      const had = old.get(key);
      old.delete(key);
      this.#owners.set(key, name);
      if (had === undefined || Buffer.compare(had.value, entry.value) !== 0) await writer.put(entry.map, [entry]);
    }
    // Another device may have taken a key over by now: a port that changed its interface.
    for (const [key, entry] of [...old].reverse()) {
      if (this.#owners.get(key) === name) await writer.remove(entry.map, [entry.key]);
    }
    this.#setRuntime(name, after);
    await this.#attach(name, writer);
  }

  #setRuntime(name: string, entries: RawEntry[]): void {
    for (const entry of this.#runtime.get(name) ?? []) {
      const key = runtimeKey(entry);
      if (this.#owners.get(key) === name) this.#owners.delete(key);
    }
    for (const entry of entries) this.#owners.set(runtimeKey(entry), name);
    if (entries.length > 0) this.#runtime.set(name, entries);
    else this.#runtime.delete(name);
  }

  /**
   * Writes the entries of nodes whose next hops (or path MTU) may have changed; only those that differ. What cannot be
   * written now, because the plan was just taken over to make the next one, is written with that.
   */
  async #writeHops(nodes: Iterable<number>, writer: MapWriter): Promise<void> {
    for (const node of nodes) this.#unwritten.add(node);
    if (this.#unwritten.size === 0 || this.#plan === undefined) return;
    let entries: Entry<'node'>[];
    try {
      entries = [...(this.#plan.entries('node') as Iterable<Entry<'node'>>)];
    } catch (error) {
      if (error instanceof MapwireError && error.code === 'ERR_MW_CLOSED') return;
      throw error;
    }
    const due = new Set(this.#unwritten);
    this.#unwritten.clear();
    const map = writer.generation.map('node');
    for (const entry of entries) {
      if (!due.has(entry.key)) continue;
      const key = keyBytes(entry);
      const value = finished(entry, undefined, this.#around);
      const held = map.lookup(key);
      if (held === undefined || Buffer.compare(held, value) !== 0)
        await writer.put('node', [{ map: 'node', key, value }]);
    }
    for (const status of this.#nextHops()) {
      const id = this.ids.nodes.idOf(status.node);
      if (id !== undefined && due.has(id)) this.#emit({ type: 'nexthop', nextHop: status });
    }
  }

  async #refreshHops(): Promise<void> {
    if (this.#closed || this.#stale || this.#readable() === undefined) return;
    await this.#writeNodes(await this.#hops.refresh());
    await this.#receive();
  }

  async #expirePathMtus(): Promise<void> {
    const peers = this.#pathMtus.expire().map((address) => this.#hops.peerAt(address)?.id);
    if (this.#closed || this.#stale || this.#readable() === undefined) return;
    await this.#writeNodes(peers.filter((id) => id !== undefined));
  }

  async #writeNodes(nodes: Iterable<number>): Promise<void> {
    const writer = this.#writer(this.#present());
    await this.#writeHops(nodes, writer);
    for (const problem of writer.problems) this.#report(problem);
  }

  /** Follows devices, routes and neighbours from now on. */
  #follow(): void {
    this.#events.follow(this.#present().map('events'));
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(
      () =>
        this.#background(async () => {
          await this.#refreshDevices();
          await this.#expirePathMtus();
        }),
      REFRESH_MS,
    );
    this.#timer.unref();
    // Devices first: a next hop's entry holds what its device can do.
    this.#hops.onChange(() =>
      this.#background(async () => {
        await this.#refreshDevices();
        await this.#refreshHops();
      }),
    );
  }

  #readDevices(): Promise<HostDevice[]> {
    return this.#network.devices((name) => this.#devices.roleOf(name) !== undefined);
  }

  async #refreshDevices(): Promise<void> {
    if (this.#closed || this.#stale || this.#readable() === undefined) return;
    const writer = this.#writer(this.#present());
    const devices = await this.#readDevices();
    await this.#syncDevices(writer, devices);
    for (const problem of writer.problems) this.#report(problem);
    await this.#mendSegmenter(devices);
  }

  /** Something that nobody waits for. An error is told, and everything is compared at the next `apply`. */
  async #background(task: () => Promise<unknown>): Promise<void> {
    try {
      await this.#alone(async () => task());
    } catch (error) {
      if (!this.#closed) this.#emit({ type: 'error', error });
    }
  }

  /** A plan is in force only when every entry of it is. */
  #assertWritten(writer: MapWriter): void {
    const [first] = writer.problems;
    if (first === undefined) return;
    for (const problem of writer.problems) this.#report(problem);
    const more = writer.problems.length > 1 ? ` (and ${writer.problems.length - 1} more)` : '';
    throw new MapwireError(first.code, `${first.message}${more}`, {
      ...(first.hint === undefined ? {} : { hint: first.hint }),
      details: { problems: writer.problems },
    });
  }

  #report(problem: Problem): void {
    const known = this.#problems.get(problem.subject);
    this.#problems.set(problem.subject, problem);
    if (known?.message !== problem.message) this.#emit({ type: 'problem', problem });
  }

  #emit(event: DataplaneEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

/** Some flat network of the plan has a VLAN id. */
function hasFlatTags(plan: Plan): boolean {
  for (const { definition } of plan.networks()) {
    if (definition.encap === 'flat' && definition.segment !== 0) return true;
  }
  return false;
}

type Bindings = readonly (readonly [number, string])[];

function sameBindings(a: Bindings, b: Bindings): boolean {
  const before = new Map(a);
  return before.size === b.length && b.every(([id, natural]) => before.get(id) === natural);
}

/** Is a generation as somebody has written it down? */
function isState(generation: Generation, known: KernelState): boolean {
  const meta = generation.meta();
  return (
    meta !== undefined &&
    Buffer.from(meta.instance).toString('hex') === known.instance &&
    generation.number === known.generation &&
    generation.layout === known.layout &&
    Number(meta.revision) === known.revision
  );
}

function runtimeKey(entry: RawEntry): string {
  return `${entry.map}:${textOf(entry.key)}`;
}
