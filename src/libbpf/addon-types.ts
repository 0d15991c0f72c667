/**
 * The native addon as it is: verbs over descriptors that return a result or `-errno`. Nothing outside this folder sees
 * it. Descriptors are numbers that the addon itself handed out and checks on every call.
 */

export interface NativeMapShape {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  /** Bytes of one value in a system call: per-CPU maps carry all possible CPUs, each rounded up to 8. */
  readonly valueStride: number;
  readonly maxEntries: number;
  readonly flags: number;
}

export interface NativeMapSpec {
  readonly type: number;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly innerMapFd?: number | undefined;
  readonly btfFd?: number | undefined;
  readonly btfKeyTypeId?: number | undefined;
  readonly btfValueTypeId?: number | undefined;
  readonly extra?: bigint | undefined;
}

export interface NativeBatchOutcome {
  readonly applied: number;
  readonly missing: number;
  readonly error: number;
}

export interface NativeDump {
  readonly count: number;
  readonly error: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

export interface NativeTestRunOptions {
  readonly data?: Uint8Array | undefined;
  readonly ctx?: Uint8Array | undefined;
  readonly repeat?: number | undefined;
  readonly flags?: number | undefined;
  readonly cpu?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly dataOutSize?: number | undefined;
  readonly ctxOutSize?: number | undefined;
}

export interface NativeTestRun {
  readonly error: number;
  readonly retval: number;
  readonly duration: number;
  readonly dataSize: number;
  readonly data?: Uint8Array;
  readonly ctx?: Uint8Array;
}

export interface NativeObjectMap {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** Made by libbpf for a data section (.rodata, .data, .bss, .kconfig). */
  readonly internal: boolean;
}

export interface NativeObjectProgram {
  readonly name: string;
  readonly section: string;
  readonly type: number;
  readonly expectedAttachType: number;
  readonly instructions: number;
}

export interface NativeLoad {
  readonly error: number;
  readonly output: string;
  readonly maps: readonly { readonly name: string; readonly fd: number }[];
  readonly programs: readonly { readonly name: string; readonly fd: number }[];
}

export interface NativeObject {
  describe(): { readonly maps: readonly NativeObjectMap[]; readonly programs: readonly NativeObjectProgram[] };
  setMaxEntries(map: string, entries: number): number;
  reuseMap(map: string, fd: number): number;
  setInnerMap(map: string, fd: number): number;
  setAutocreate(map: string, wanted: boolean): number;
  initialValue(map: string): Uint8Array | undefined;
  setInitialValue(map: string, bytes: Uint8Array): number;
  findVariable(name: string): { readonly section: string; readonly offset: number; readonly size: number } | undefined;
  setAutoload(program: string, wanted: boolean): number;
  setProgramType(program: string, type: number, expectedAttachType: number): number;
  setProgramDevice(program: string, ifindex: number, flags: number): number;
  setLogLevel(level: number): number;
  load(): Promise<NativeLoad>;
  close(): void;
}

export interface NativeRingReader {
  drain(buffer: Uint8Array): { bytes: number; records: number; needed: number; pending: boolean };
  close(): void;
}

export interface NativeTableOutcome extends NativeBatchOutcome {
  /** Entries of which something was stored. */
  readonly changed: number;
}

export interface NativeBucketTable {
  setQuiet(quiet: boolean): void;
  put(keys: Uint8Array, values: Uint8Array, count: number): NativeTableOutcome;
  putAsync(keys: Uint8Array, values: Uint8Array, count: number): Promise<NativeTableOutcome>;
  remove(keys: Uint8Array, count: number): NativeTableOutcome;
  removeAsync(keys: Uint8Array, count: number): Promise<NativeTableOutcome>;
  get(key: Uint8Array, value: Uint8Array): boolean;
  dump(): Promise<NativeDump>;
  repair(): Promise<number>;
  stats(): {
    readonly occupied: number;
    readonly vacated: number;
    readonly updated: number;
    readonly moved: number;
    readonly waited: number;
  };
  close(): void;
}

export interface NativePlaceTable {
  put(ids: Uint8Array, ports: Uint8Array, count: number): number;
  clear(ids: Uint8Array, count: number): number;
  sync(ids: Uint8Array, ports: Uint8Array, count: number): Promise<number>;
  close(): void;
}

export interface NativeFdWatch {
  rearm(): void;
  ref(): void;
  unref(): void;
  close(): void;
}

export interface NativeLinkOptions {
  readonly ifindex: number;
  readonly attachType: number;
  readonly flags: number;
  readonly relative?: number | undefined;
  readonly expectedRevision?: bigint | undefined;
}

/** 0 map, 1 program, 2 link, 3 BTF. */
export type NativeKind = 0 | 1 | 2 | 3;

export interface NativeAddon {
  close(fd: number): number;
  duplicate(fd: number, kind: NativeKind): number;
  openCount(): number;
  nextId(kind: NativeKind, id: number): number;
  fdById(kind: NativeKind, id: number): number;
  objectInfo(fd: number, out: Uint8Array): number;
  pin(fd: number, path: string): number;
  openPinned(kind: NativeKind, path: string): number;
  btfLoad(bytes: Uint8Array): number;
  btfRaw(fd: number): Uint8Array | number;

  readonly BpfObject: new (bytes: Uint8Array, name: string) => NativeObject;

  mapCreate(spec: NativeMapSpec): number;
  mapShape(fd: number): NativeMapShape;
  mapLookup(fd: number, key: Uint8Array, value: Uint8Array, flags: number): number;
  mapLookupAndDelete(fd: number, key: Uint8Array, value: Uint8Array): number;
  mapUpdate(fd: number, key: Uint8Array, value: Uint8Array, flags: number): number;
  mapDelete(fd: number, key: Uint8Array): number;
  mapNextKey(fd: number, key: Uint8Array | null, next: Uint8Array): number;
  mapFreeze(fd: number): number;
  mapUpdateBatch(fd: number, keys: Uint8Array, values: Uint8Array, count: number, flags: number): NativeBatchOutcome;
  mapUpdateBatchAsync(
    fd: number,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    flags: number,
  ): Promise<NativeBatchOutcome>;
  mapDeleteBatch(fd: number, keys: Uint8Array, count: number): NativeBatchOutcome;
  mapDeleteBatchAsync(fd: number, keys: Uint8Array, count: number): Promise<NativeBatchOutcome>;
  mapLookupBatch(
    fd: number,
    token: Uint8Array | null,
    nextToken: Uint8Array,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): { readonly count: number; readonly error: number };
  mapDump(fd: number, batch: number): Promise<NativeDump>;
  mapMemory(fd: number): ArrayBuffer | number;

  programLoad(spec: {
    readonly type: number;
    readonly name: string;
    readonly license: string;
    readonly instructions: Uint8Array;
    readonly expectedAttachType?: number;
    readonly flags?: number;
  }): number;
  programTestRun(fd: number, options: NativeTestRunOptions): NativeTestRun;
  programTestRunAsync(fd: number, options: NativeTestRunOptions): Promise<NativeTestRun>;
  programMapIds(fd: number): number[] | number;
  programBindMap(fd: number, mapFd: number): number;

  linkCreate(programFd: number, options: NativeLinkOptions): Promise<number>;
  linkUpdate(fd: number, programFd: number, oldProgramFd: number | undefined): Promise<number>;
  linkDetach(fd: number): Promise<number>;
  programQuery(
    ifindex: number,
    attachType: number,
  ):
    | {
        readonly revision: bigint;
        readonly programs: readonly { readonly programId: number; readonly linkId: number }[];
      }
    | number;

  readonly BucketTable: new (kind: number, fd: number | null, buckets: number, seed: bigint) => NativeBucketTable;
  readonly PlaceTable: new (fd: number) => NativePlaceTable;
  readonly RingReader: new (fd: number) => NativeRingReader;
  readonly FdWatch: new (fd: number, readable: () => void) => NativeFdWatch;

  netlinkOpen(protocol: number, options: { groups?: readonly number[]; receiveBuffer?: number }): number;
  netlinkRequest(fd: number, message: Uint8Array, sequence: number): Promise<Uint8Array | number>;
  netlinkReceive(fd: number, buffer: Uint8Array): number;

  udpOpen(
    address: Uint8Array,
    options: { port: number; ttl: number; trafficClass: number; receiveBuffer: number },
  ): number;
  udpSend(fd: number, records: Uint8Array, count: number): { readonly sent: number; readonly error: number };
  udpReceive(fd: number, buffer: Uint8Array): number;

  openNoSymlinks(path: string, directory: boolean): number;
  tryLock(fd: number): number;
  sendUnixDatagram(address: string, text: string): number;
  libbpfVersion(): string;
}
