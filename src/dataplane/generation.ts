import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { MapwireError } from '../errors.ts';
import {
  type Config,
  config as configCodec,
  live as liveCodec,
  META_MAGIC,
  MetaState,
  meta as metaCodec,
  tables as tablesCodec,
} from '../generated/layout.ts';
import { BpfObject, BucketTable, Program, RawMap, removePin } from '../libbpf/index.ts';
import { configFromHex, configHex } from './config.ts';
import { type EntryStore, PortStore } from './entry-store.ts';
import { type EntryMap, layoutOfName, shortName } from './map-table.ts';
import { PROGRAMS, type ProgramObjects } from './objects.ts';
import { list, makeFolder, removeTree } from './pin-dir.ts';
import { fieldOf } from './struct-field.ts';
import { isBucketKind, mapOf, PLACE_MAP, type TableLayout } from './table-layout.ts';

/** The part of `struct mw_meta` that every layout version begins with. */
export interface MetaHead {
  readonly layout: number;
  readonly generation: number;
  readonly complete: boolean;
  readonly revision: bigint;
  readonly instance: Uint8Array;
}

const ZERO_KEY = new Uint8Array(4);

/** One set of maps with the programs loaded on them, as pinned in `g<number>`. */
export class Generation {
  readonly number: number;
  readonly folder: string;
  readonly layout: number;
  /** Of the objects that the programs come from; undefined while it is being built. */
  readonly objectHash: string | undefined;
  /** Constants of the programs; undefined when another layout wrote them. */
  readonly config: Config | undefined;
  readonly #maps: ReadonlyMap<string, RawMap>;
  readonly #programs: Map<string, Program>;
  #epoch: Uint32Array | undefined;
  #encaps: Uint32Array | undefined;
  /** Names of maps that no program reads yet. */
  readonly #unread: Set<string>;
  readonly #stores = new Map<EntryMap, BucketTable | PortStore>();
  #repaired = false;

  constructor(parts: {
    number: number;
    folder: string;
    layout: number;
    objectHash: string | undefined;
    config: Config | undefined;
    maps: ReadonlyMap<string, RawMap>;
    programs: Map<string, Program>;
    unread?: Iterable<string>;
  }) {
    this.number = parts.number;
    this.folder = parts.folder;
    this.layout = parts.layout;
    this.objectHash = parts.objectHash;
    this.config = parts.config;
    this.#maps = parts.maps;
    this.#programs = parts.programs;
    this.#unread = new Set(parts.unread);
  }

  get tableLayout(): TableLayout {
    return this.config?.compact === 1 ? 'compact' : 'hash';
  }

  /** The entries of a mapping, wherever this generation has them. @throws ERR_MW_MAP_INCOMPATIBLE */
  entries(map: EntryMap): EntryStore {
    if (this.tableLayout === 'hash' || !(isBucketKind(map) || map === 'port')) return this.map(map);
    const known = this.#stores.get(map);
    if (known !== undefined) return known;
    const store =
      map === 'port'
        ? new PortStore(this.map('port'), this.map(PLACE_MAP))
        : BucketTable.open(this.map(mapOf(map, 'compact')), {
            kind: map,
            seed: seedOf(this.meta()?.instance),
            quiet: this.#unread.has(mapOf(map, 'compact')),
          });
    this.#stores.set(map, store);
    return store;
  }

  /** From now on programs read the maps. */
  inForce(): void {
    this.#unread.clear();
    for (const store of this.#stores.values()) if (store instanceof BucketTable) store.setQuiet(false);
  }

  /** Mends what an earlier process left half done in tables that are written without the kernel; once. */
  async repair(): Promise<void> {
    if (this.#repaired || this.tableLayout === 'hash') return;
    const stores = (['ip4', 'ip6', 'mac', 'port'] as const).map((map) => this.entries(map) as BucketTable | PortStore);
    await Promise.all(stores.map((store) => store.repair()));
    this.#repaired = true;
  }

  /** By short name. @throws ERR_MW_MAP_INCOMPATIBLE when this generation has no such map */
  map(short: string): RawMap {
    const found = this.#maps.get(short);
    if (found === undefined) {
      throw new MapwireError('ERR_MW_MAP_INCOMPATIBLE', `generation ${this.number} has no map '${short}'`, {
        hint: 'run `mapwire down` and start again',
        details: { map: short },
      });
    }
    return found;
  }

  maybeMap(short: string): RawMap | undefined {
    return this.#maps.get(short);
  }

  maps(): ReadonlyMap<string, RawMap> {
    return this.#maps;
  }

  program(hook: 'xdp' | 'tc', role: 'port' | 'underlay'): Program {
    const name = PROGRAMS[hook][role];
    const found = this.#programs.get(name);
    if (found === undefined) {
      throw new MapwireError('ERR_MW_NOT_FOUND', `generation ${this.number} has no program '${name}'`, {
        hint: 'run `mapwire down` and start again',
      });
    }
    return found;
  }

  /** The XDP program that was loaded for one device, if it has one in that role. */
  boundProgram(role: 'port' | 'underlay', ifindex: number): Program | undefined {
    return this.#programs.get(boundName(role, ifindex));
  }

  /** Devices that have an XDP program of their own. */
  boundDevices(): { readonly role: 'port' | 'underlay'; readonly ifindex: number }[] {
    return (['port', 'underlay'] as const).flatMap((role) =>
      [...this.#programs.keys()]
        .filter((name) => name.startsWith(`${PROGRAMS.xdp[role]}@`))
        .map((name) => ({ role, ifindex: Number(name.slice(name.indexOf('@') + 1)) })),
    );
  }

  /** Pins a program that was loaded for a device, and owns it. */
  addBound(role: 'port' | 'underlay', ifindex: number, program: Program): void {
    const name = boundName(role, ifindex);
    program.pin(join(this.folder, 'programs', name));
    this.#programs.set(name, program);
  }

  /** Lets go of the programs that were loaded for a device; none is fine. */
  removeBound(ifindex: number): void {
    for (const role of ['port', 'underlay'] as const) {
      const name = boundName(role, ifindex);
      const program = this.#programs.get(name);
      if (program === undefined) continue;
      removePin(join(this.folder, 'programs', name));
      program.close();
      this.#programs.delete(name);
    }
  }

  /** Are all programs there? */
  get whole(): boolean {
    return Object.values(PROGRAMS).every((roles) => Object.values(roles).every((name) => this.#programs.has(name)));
  }

  meta(): MetaHead | undefined {
    const map = this.#maps.get('meta');
    return map === undefined ? undefined : readMetaHead(map);
  }

  /** Notes the revision in force: through mapped memory, not by a map write. */
  setRevision(revision: number): void {
    const memory = new BigUint64Array(this.map('meta').mmap(), fieldOf(metaCodec.shape, 'revision').offset, 1);
    Atomics.store(memory, 0, BigInt(revision));
  }

  /**
   * What the programs remember of their maps is void from now on. After every write of a map that they read, before anybody is
   * told that it is in force: through mapped memory, not by a map write.
   */
  touch(): void {
    this.#epoch ??= this.#liveField('epoch');
    // 0 stands for nothing remembered
    if (Atomics.add(this.#epoch, 0, 1) === 0xffff_ffff) Atomics.add(this.#epoch, 0, 1);
  }

  /**
   * Which encapsulations networks of the plan have, as a set of bits: for generic programs. Through mapped memory.
   *
   * @param more beside those that are known
   */
  setEncaps(bits: number, more = false): void {
    this.#encaps ??= this.#liveField('encaps');
    if (more) Atomics.or(this.#encaps, 0, bits);
    else Atomics.store(this.#encaps, 0, bits);
  }

  #liveField(name: 'epoch' | 'encaps'): Uint32Array {
    return new Uint32Array(this.map('live').mmap(), fieldOf(liveCodec.shape, name).offset, 1);
  }

  /** One write. */
  setMeta(change: { state?: 'building' | 'complete'; revision?: number; self?: number; instance?: Uint8Array }): void {
    const map = this.map('meta');
    const held = metaCodec.decode(map.lookup(ZERO_KEY) as Uint8Array);
    map.update(
      ZERO_KEY,
      metaCodec.encode({
        magic: META_MAGIC,
        layout: this.layout,
        generation: this.number,
        state:
          change.state === undefined
            ? held.state
            : change.state === 'complete'
              ? MetaState.COMPLETE
              : MetaState.BUILDING,
        revision: change.revision === undefined ? held.revision : BigInt(change.revision),
        self: change.self ?? held.self,
        instance: change.instance ?? held.instance,
      }),
    );
  }

  /** Closes the descriptors; pins stay. */
  close(): void {
    for (const store of this.#stores.values()) store.close();
    this.#stores.clear();
    for (const map of this.#maps.values()) map.close();
    for (const program of this.#programs.values()) program.close();
  }

  /** Removes the pins. */
  unpin(): void {
    removeTree(this.folder);
  }
}

function boundName(role: 'port' | 'underlay', ifindex: number): string {
  return `${PROGRAMS.xdp[role]}@${ifindex}`;
}

function readMetaHead(map: RawMap): MetaHead | undefined {
  const bytes = map.lookup(ZERO_KEY);
  if (bytes === undefined || bytes.length < 48) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(0, true) !== META_MAGIC) return undefined;
  return {
    layout: view.getUint32(4, true),
    generation: view.getUint32(8, true),
    complete: view.getUint32(12, true) === MetaState.COMPLETE,
    revision: view.getBigUint64(16, true),
    instance: bytes.slice(32, 48),
  };
}

/** Opens what is pinned in a generation's folder, complete or not. */
export function openGeneration(folder: string, number: number): Generation {
  const maps = new Map<string, RawMap>();
  const programs = new Map<string, Program>();
  let layout = 0;
  for (const name of list(join(folder, 'maps'))) {
    const short = shortName(name);
    if (short === undefined) continue;
    layout = layoutOfName(name) ?? layout;
    maps.set(short, RawMap.openPinned(join(folder, 'maps', name)));
  }
  for (const name of list(join(folder, 'programs'))) {
    programs.set(name, Program.openPinned(join(folder, 'programs', name)));
  }
  const marks = list(folder);
  const objectHash = marks.find((name) => name.startsWith('object-'))?.slice('object-'.length);
  const config = marks.find((name) => name.startsWith('config-'))?.slice('config-'.length);
  return new Generation({
    number,
    folder,
    layout,
    objectHash,
    config: config === undefined ? undefined : configFromHex(config),
    maps,
    programs,
  });
}

export interface BuildOptions {
  readonly number: number;
  readonly folder: string;
  readonly objects: ProgramObjects;
  readonly config: Config;
  readonly instance: Uint8Array | undefined;
  /** Room of a new map; undefined: as declared in C. */
  capacity(short: string): number | undefined;
  /** A map of the generation in force to go on with. */
  reuse(short: string): RawMap | undefined;
  /** Between the steps. */
  step(name: string): Promise<void>;
}

/** The layout version that an object was compiled with. */
export function layoutOfObject(bytes: Uint8Array): number {
  using object = BpfObject.open(bytes);
  for (const { name } of object.mapSettings()) {
    const layout = layoutOfName(name);
    if (layout !== undefined) return layout;
  }
  throw new MapwireError('ERR_MW_ELF', 'the object has no maps of this project', { hint: 'run `npm run build`' });
}

/**
 * Makes maps, loads both objects on them, and pins the maps; meta says `building`. Programs are pinned by `pinPrograms`
 * once the maps are filled. On an error nothing of it is left.
 *
 * @throws ERR_MW_VERIFIER, ERR_MW_SYSCALL, ERR_MW_PRIVILEGE
 */
export async function buildGeneration(options: BuildOptions): Promise<Generation> {
  const { folder, number } = options;
  removeTree(folder);
  await options.step('folder');
  makeFolder(folder);
  makeFolder(join(folder, 'maps'));
  const instance = options.instance ?? new Uint8Array(randomBytes(16));
  try {
    const unread = new Set<string>();
    const reuse = (short: string): RawMap | undefined => {
      const held = options.reuse(short);
      if (held === undefined) unread.add(short);
      return held;
    };
    const { maps, programs, layout } = await loadObjects({ ...options, reuse, instance });
    const { objects, config } = options;
    const parts = { number, folder, layout, objectHash: objects.hash, config, maps, programs, unread };
    const generation = new Generation(parts);
    try {
      generation.setMeta({
        state: 'building',
        revision: 0,
        self: options.config.self,
        instance,
      });
      await options.step('maps');
      for (const [short, map] of maps) map.pin(join(folder, 'maps', `mw${layout}_${short}`));
      return generation;
    } catch (error) {
      generation.close();
      throw error;
    }
  } catch (error) {
    removeTree(folder);
    throw error;
  }
}

/** Pins the programs with what they were made of. */
export function pinPrograms(generation: Generation, objects: ProgramObjects, config: Config): void {
  const folder = join(generation.folder, 'programs');
  makeFolder(folder);
  for (const hook of ['xdp', 'tc'] as const) {
    for (const role of ['port', 'underlay'] as const) {
      generation.program(hook, role).pin(join(folder, PROGRAMS[hook][role]));
    }
  }
  makeFolder(join(generation.folder, `object-${objects.hash}`));
  makeFolder(join(generation.folder, `config-${configHex(config)}`));
}

/**
 * Loads the XDP program of one role for one device, on the maps of a generation and with its constants.
 *
 * @throws ERR_MW_VERIFIER, ERR_MW_SYSCALL (no such device), ERR_MW_UNSUPPORTED (no such object, or its constants are not known)
 */
export async function loadBound(
  generation: Generation,
  objects: ProgramObjects,
  role: 'port' | 'underlay',
  ifindex: number,
): Promise<Program> {
  const { config } = generation;
  if (objects.bound === undefined || config === undefined) {
    throw new MapwireError('ERR_MW_UNSUPPORTED', 'these objects have no XDP program that asks for VLAN tags');
  }
  using object = BpfObject.open(objects.bound, { name: 'mw_bound' });
  for (const setting of object.mapSettings()) {
    const short = setting.internal ? undefined : shortName(setting.name);
    if (short !== undefined) setting.reuse(generation.map(short));
  }
  for (const program of object.programSettings()) {
    if (program.name === PROGRAMS.xdp[role]) program.bindToDevice(ifindex);
    else program.setAutoload(false);
  }
  object.setGlobal('mw_config', configCodec.encode(config));
  object.setGlobal(
    'mw_tables',
    tablesOf(generation.meta()?.instance, (map) => generation.map(map).maxEntries),
  );
  await object.load();
  return (object.programs.get(PROGRAMS.xdp[role]) as Program).dup();
}

interface Loaded {
  readonly maps: Map<string, RawMap>;
  readonly programs: Map<string, Program>;
  readonly layout: number;
}

/** Seed of the tables' hash: one an instance, so that maps can go on from generation to generation. */
export function seedOf(instance: Uint8Array | undefined): bigint {
  if (instance === undefined) throw new MapwireError('ERR_MW_LAYOUT', 'the maps do not say whose they are');
  return new DataView(instance.buffer, instance.byteOffset).getBigUint64(0, true);
}

/** The constants of programs that read tables of buckets. */
export function tablesOf(instance: Uint8Array | undefined, maxEntries: (map: string) => number): Uint8Array {
  return tablesCodec.encode({
    seed: seedOf(instance),
    ip4: maxEntries(mapOf('ip4', 'compact')),
    ip6: maxEntries(mapOf('ip6', 'compact')),
    mac: maxEntries(mapOf('mac', 'compact')),
    places: maxEntries(PLACE_MAP),
  });
}

/** Loads the XDP object, then the TC object on the maps of the first. */
export async function loadObjects(
  options: Pick<BuildOptions, 'objects' | 'config' | 'capacity' | 'reuse'> & { readonly instance: Uint8Array },
): Promise<Loaded> {
  const maps = new Map<string, RawMap>();
  const programs = new Map<string, Program>();
  const sizes = new Map<string, number>();
  let layout = 0;
  try {
    for (const hook of ['xdp', 'tc'] as const) {
      using object = BpfObject.open(options.objects[hook], { name: `mw_${hook}` });
      for (const setting of object.mapSettings()) {
        const short = setting.internal ? undefined : shortName(setting.name);
        if (short === undefined) continue;
        layout = layoutOfName(setting.name) ?? layout;
        const shared = maps.get(short) ?? options.reuse(short);
        if (shared !== undefined) {
          setting.reuse(shared);
          sizes.set(short, shared.maxEntries);
          continue;
        }
        const capacity = options.capacity(short);
        if (capacity !== undefined) setting.setMaxEntries(capacity);
        sizes.set(short, capacity ?? setting.maxEntries);
      }
      object.setGlobal('mw_config', configCodec.encode(options.config));
      object.setGlobal(
        'mw_tables',
        tablesOf(options.instance, (map) => sizes.get(map) ?? 0),
      );
      await object.load();
      for (const [name, map] of object.maps) {
        const short = shortName(name);
        if (short !== undefined && !maps.has(short)) maps.set(short, map.dup());
      }
      for (const [name, program] of object.programs) programs.set(name, program.dup());
    }
    return { maps, programs, layout };
  } catch (error) {
    for (const map of maps.values()) map.close();
    for (const program of programs.values()) program.close();
    throw error;
  }
}
