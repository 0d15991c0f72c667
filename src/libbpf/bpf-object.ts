import { MapwireError } from '../errors.ts';
import { addon } from './addon.ts';
import type { NativeLoad, NativeObject, NativeObjectMap, NativeObjectProgram } from './addon-types.ts';
import { AttachType, MapFlag, MapType, mapTypeName, ProgramType, type ProgramTypeName } from './constants.ts';
import { checkIfindex } from './link.ts';
import { Program } from './program.ts';
import { RawMap } from './raw-map.ts';
import { invalidArgument, systemError } from './system-error.ts';
import { verifierFailure } from './verifier-log.ts';

const XDP_DEV_BOUND_ONLY = 1 << 6;

/** A map of an object that is open but not loaded: what it will be made of. */
export interface MapSetting extends NativeObjectMap {
  setMaxEntries(entries: number): void;
  /**
   * Uses this map instead of making one. The object takes a descriptor of its own.
   *
   * @throws ERR_MW_MAP_INCOMPATIBLE with the differing fields in `details.differences`
   */
  reuse(map: RawMap): void;
  /** Maps of maps: a map like those it will hold, instead of the one declared in C. */
  setInnerMap(map: RawMap): void;
  /** Whether load() makes it at all; programs that use it must then not be loaded. */
  setAutocreate(wanted: boolean): void;
}

/** A program of an object that is open but not loaded. */
export interface ProgramSetting extends NativeObjectProgram {
  /** Whether load() loads it; yes unless said otherwise. */
  setAutoload(wanted: boolean): void;
  /**
   * Says what the section's name does not.
   *
   * @param expectedAttachType a number of `AttachType`; that of the type unless said otherwise. Links take only programs with
   * the one they were made with.
   */
  setType(type: ProgramTypeName | number, expectedAttachType?: number): void;
  /**
   * Loads an XDP program for one device alone (`BPF_F_XDP_DEV_BOUND_ONLY`, kernel 6.3): only there it can be attached, and
   * it may call what the device's driver offers (metadata of received frames). It takes no test runs. Without such a device,
   * or before 6.3, `load` fails with EINVAL.
   */
  bindToDevice(ifindex: number): void;
}

/** Where a global variable of the C source lives. */
export interface GlobalVariable {
  /** e.g. `.rodata` */
  readonly section: string;
  readonly offset: number;
  readonly size: number;
}

export interface LoadOptions {
  /** The verifier's log level, also when it accepts: 1 its walk, 2 all states, 4 statistics. The log is in `object.log`. */
  readonly logLevel?: 1 | 2 | 4;
}

/**
 * A BPF object file. Open it, change what it will be made of, load it; afterwards it holds the maps and programs as
 * kernel objects, and close() lets go of them.
 *
 * Before load(): `map`, `program`, `setRodata`, `setGlobal`. After: `maps`, `programs`. The other way round throws
 * ERR_MW_INVALID_ARGUMENT; after close() all throw ERR_MW_CLOSED.
 */
export class BpfObject implements Disposable {
  readonly name: string;
  #state: 'open' | 'loading' | 'loaded' | 'closed' = 'open';
  readonly #native: NativeObject;
  readonly #maps = new Map<string, RawMap>();
  readonly #programs = new Map<string, Program>();
  #log = '';

  private constructor(native: NativeObject, name: string) {
    this.#native = native;
    this.name = name;
  }

  /**
   * Opens an ELF object of clang -target bpf from memory; the bytes may be used again at once.
   *
   * @param options.name part of the names of internal maps such as `.rodata`; at most 15 characters
   * @throws ERR_MW_ELF with libbpf's words in `details.output`
   */
  static open(bytes: Uint8Array, options: { readonly name?: string } = {}): BpfObject {
    const name = options.name ?? 'mapwire';
    if (!/^[\w.]{1,15}$/.test(name)) throw invalidArgument(`object name '${name}': 1 to 15 letters, digits, '_', '.'`);
    const binding = addon();
    try {
      return new BpfObject(new binding.BpfObject(bytes, name), name);
    } catch (cause) {
      const { errno, output } = cause as { errno?: number; output?: string };
      if (errno === undefined) throw cause;
      throw systemError(errno, 'bpf_object__open_mem', `open object '${name}'`, {
        code: 'ERR_MW_ELF',
        hint: lastLine(output ?? '') ?? 'is it an ELF file made with clang -target bpf -g?',
        details: { output },
      });
    }
  }

  /** What libbpf said while loading; with `logLevel` the verifier's log too. */
  get log(): string {
    return this.#log;
  }

  /** The maps as they will be made, in the order of the file. */
  mapSettings(): MapSetting[] {
    return this.#open()
      .describe()
      .maps.map((map) => this.#mapSetting(map));
  }

  /** The programs as they will be loaded. */
  programSettings(): ProgramSetting[] {
    return this.#open()
      .describe()
      .programs.map((program) => this.#programSetting(program));
  }

  /** @throws ERR_MW_NOT_FOUND */
  map(name: string): MapSetting {
    const { maps } = this.#open().describe();
    const found = maps.find((map) => map.name === name);
    if (found === undefined) throw this.#unknown('map', name, maps);
    return this.#mapSetting(found);
  }

  /** @throws ERR_MW_NOT_FOUND */
  program(name: string): ProgramSetting {
    const { programs } = this.#open().describe();
    const found = programs.find((program) => program.name === name);
    if (found === undefined) throw this.#unknown('program', name, programs);
    return this.#programSetting(found);
  }

  /**
   * Writes read-only data: the `const volatile` variables of the C source.
   *
   * @param offset in `.rodata`; without it `bytes` must be the whole section. `setGlobal` finds a variable by name.
   * @throws ERR_MW_NOT_FOUND without such a section, ERR_MW_INVALID_ARGUMENT beyond its end
   */
  setRodata(bytes: Uint8Array, offset?: number): void {
    this.#setSection('.rodata', bytes, offset);
  }

  /**
   * Writes a global variable: `const volatile` (.rodata) or initialised data (.data, .bss).
   *
   * @param bytes as many as the variable has
   * @throws ERR_MW_NOT_FOUND, ERR_MW_INVALID_ARGUMENT
   */
  setGlobal(name: string, bytes: Uint8Array): void {
    const variable = this.#open().findVariable(name);
    if (variable === undefined) {
      throw new MapwireError('ERR_MW_NOT_FOUND', `object '${this.name}' has no global variable '${name}'`, {
        hint: 'it must be global, used by a program, and compiled with -g',
      });
    }
    if (variable.size !== bytes.byteLength) {
      throw invalidArgument(`variable '${name}' has ${variable.size} bytes, not ${bytes.byteLength}`);
    }
    this.#setSection(variable.section, bytes, variable.offset);
  }

  /** Where a global variable lives; undefined if there is none. */
  global(name: string): GlobalVariable | undefined {
    return this.#open().findVariable(name);
  }

  /** The initial bytes of a data section, e.g. `.rodata`; undefined if there is none. */
  section(name: string): Uint8Array | undefined {
    const map = this.#sectionMap(name);
    return map === undefined ? undefined : this.#open().initialValue(map);
  }

  /**
   * Makes the maps and loads the programs, on a pool thread. On an error everything it made is gone and the object is
   * closed.
   *
   * @throws ERR_MW_VERIFIER: `message` has the verifier's last words, `details.log` all of them, `details.program` the name;
   * ERR_MW_PRIVILEGE; ERR_MW_SYSCALL; both with libbpf's words in `details.output`
   */
  async load(options: LoadOptions = {}): Promise<this> {
    const native = this.#open();
    if (options.logLevel !== undefined) native.setLogLevel(options.logLevel);
    this.#state = 'loading';
    let result: NativeLoad;
    try {
      result = await native.load();
    } catch (cause) {
      this.#state = 'closed';
      throw cause;
    }
    this.#log = result.output;
    if (result.error !== 0) {
      this.#state = 'closed';
      throw this.#loadError(result.error, result.output);
    }
    for (const { name, fd } of result.maps) this.#maps.set(name, RawMap.own(fd, name));
    for (const { name, fd } of result.programs) this.#programs.set(name, Program.own(fd, name));
    this.#state = 'loaded';
    return this;
  }

  /** The loaded object's maps by their names in C. They close with the object. Data sections: see `dataMap`. */
  get maps(): ReadonlyMap<string, RawMap> {
    this.#loaded();
    return this.#maps;
  }

  /** The map behind a data section of the loaded object, e.g. `.data`: one entry, the whole section. */
  dataMap(section: string): RawMap | undefined {
    // libbpf puts the first letters of the object's name before the section's
    for (const [name, map] of this.maps) if (name.endsWith(section) && map.type === MapType.array) return map;
    return undefined;
  }

  /** The loaded programs by the names of their C functions. They close with the object. */
  get programs(): ReadonlyMap<string, Program> {
    this.#loaded();
    return this.#programs;
  }

  /** Closes its maps and programs. Pins, links and `dup()`s of them live on. Idempotent; refused while loading. */
  close(): void {
    if (this.#state === 'loading') throw invalidArgument(`object '${this.name}' is being loaded`);
    this.#state = 'closed';
    this.#native.close();
    for (const map of this.#maps.values()) map.close();
    for (const program of this.#programs.values()) program.close();
    this.#maps.clear();
    this.#programs.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): NativeObject {
    this.#notClosed();
    if (this.#state !== 'open') throw invalidArgument(`object '${this.name}' is loaded: too late to change it`);
    return this.#native;
  }

  #loaded(): void {
    this.#notClosed();
    if (this.#state !== 'loaded')
      throw invalidArgument(`object '${this.name}' is not loaded yet`, 'await load() first');
  }

  #notClosed(): void {
    if (this.#state === 'closed') throw new MapwireError('ERR_MW_CLOSED', `object '${this.name}' is closed`);
  }

  #unknown(kind: string, name: string, all: readonly { readonly name: string }[]): MapwireError {
    return new MapwireError('ERR_MW_NOT_FOUND', `object '${this.name}' has no ${kind} '${name}'`, {
      hint: `it has: ${all.map((one) => one.name).join(', ')}`,
    });
  }

  #sectionMap(section: string): string | undefined {
    return this.#open()
      .describe()
      .maps.find((map) => map.internal && (map.name === section || map.name.endsWith(section)))?.name;
  }

  #setSection(section: string, bytes: Uint8Array, offset: number | undefined): void {
    const native = this.#open();
    const map = this.#sectionMap(section);
    const value = map === undefined ? undefined : native.initialValue(map);
    if (map === undefined || value === undefined) {
      throw new MapwireError('ERR_MW_NOT_FOUND', `object '${this.name}' has no section '${section}'`);
    }
    const at = offset ?? 0;
    const end = at + bytes.byteLength;
    if (at < 0 || end > value.byteLength || (offset === undefined && end !== value.byteLength)) {
      throw invalidArgument(`section '${section}' has ${value.byteLength} bytes: not ${bytes.byteLength} at ${at}`);
    }
    value.set(bytes, at);
    this.#check(native.setInitialValue(map, value), 'bpf_map__set_initial_value', section);
  }

  #mapSetting(map: NativeObjectMap): MapSetting {
    const { name } = map;
    return {
      ...map,
      setMaxEntries: (entries) => {
        if (!Number.isInteger(entries) || entries < 1 || entries > 0xffffffff) {
          throw invalidArgument(`map '${name}': ${entries} is not a number of entries`);
        }
        this.#check(this.#open().setMaxEntries(name, entries), 'bpf_map__set_max_entries', name);
      },
      reuse: (other) => {
        assertReusable(map, other);
        this.#check(this.#open().reuseMap(name, other.fd), 'bpf_map__reuse_fd', name);
      },
      setInnerMap: (other) => {
        this.#check(this.#open().setInnerMap(name, other.fd), 'bpf_map__set_inner_map_fd', name);
      },
      setAutocreate: (wanted) => {
        this.#check(this.#open().setAutocreate(name, wanted), 'bpf_map__set_autocreate', name);
      },
    };
  }

  #programSetting(program: NativeObjectProgram): ProgramSetting {
    const { name } = program;
    return {
      ...program,
      setAutoload: (wanted) => {
        this.#check(this.#open().setAutoload(name, wanted), 'bpf_program__set_autoload', name);
      },
      setType: (type, expectedAttachType) => {
        const number = typeof type === 'number' ? type : ProgramType[type];
        const attach = expectedAttachType ?? (number === ProgramType.xdp ? AttachType.XDP : 0);
        this.#check(this.#open().setProgramType(name, number, attach), 'bpf_program__set_type', name);
      },
      bindToDevice: (ifindex) => {
        checkIfindex(ifindex);
        if (program.type !== ProgramType.xdp) throw invalidArgument(`program '${name}' is no XDP program`);
        const result = this.#open().setProgramDevice(name, ifindex, XDP_DEV_BOUND_ONLY);
        this.#check(result, 'bpf_program__set_flags', name);
      },
    };
  }

  #check(result: number, call: string, what: string): void {
    if (result < 0) throw systemError(result, call, `'${what}' of object '${this.name}'`);
  }

  #loadError(errno: number, output: string): MapwireError {
    const failure = verifierFailure(output);
    if (failure !== undefined) {
      return systemError(errno, 'bpf(BPF_PROG_LOAD)', `program '${failure.program}' was refused: ${failure.summary}`, {
        code: 'ERR_MW_VERIFIER',
        details: { program: failure.program, log: failure.log, summary: failure.summary, output },
      });
    }
    const said = lastLine(output);
    return systemError(
      errno,
      'bpf_object__load',
      `load object '${this.name}'${said === undefined ? '' : ` (${said})`}`,
      {
        details: { output },
      },
    );
  }
}

function lastLine(output: string): string | undefined {
  return output
    .split('\n')
    .map((line) => line.replace(/^libbpf: /, '').trim())
    .filter((line) => line !== '')
    .at(-1);
}

/** The kernel adds RDONLY_PROG to every devmap; it is no difference. */
function flagsOf(type: number, flags: number): number {
  return type === MapType.devmap || type === MapType.devmap_hash ? flags & ~MapFlag.RDONLY_PROG : flags;
}

function assertReusable(wanted: NativeObjectMap, map: RawMap): void {
  const differences: { field: string; kernel: string | number; expected: string | number }[] = [];
  const compare = (field: string, kernel: string | number, expected: string | number): void => {
    if (kernel !== expected) differences.push({ field, kernel, expected });
  };
  compare('type', map.typeName, mapTypeName(wanted.type));
  compare('key size', map.keySize, wanted.keySize);
  compare('value size', map.valueSize, wanted.valueSize);
  compare('flags', flagsOf(map.type, map.flags), flagsOf(wanted.type, wanted.flags));
  if (differences.length === 0) return;
  const text = differences.map((one) => `${one.field} is ${one.kernel}, not ${one.expected}`).join('; ');
  throw new MapwireError('ERR_MW_MAP_INCOMPATIBLE', `map '${map.name}' cannot stand for '${wanted.name}': ${text}`, {
    details: { map: wanted.name, differences },
  });
}
