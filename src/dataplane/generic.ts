import type { Config } from '../generated/layout.ts';
import type { Program, RawMap } from '../libbpf/index.ts';
import type { LinkPrograms, Role } from './attachments.ts';
import { genericOf } from './config.ts';
import { type Generation, loadObjects } from './generation.ts';
import { PROGRAMS, type ProgramObjects } from './objects.ts';

/**
 * Programs that are right for any plan, loaded on all maps of a generation and kept at hand: TC does everything, XDP leaves every frame
 * to it (one that was loaded for a device could not be had for all devices beforehand). They are not pinned: links that run them keep
 * them, and a process that finds them there loads others.
 */
export class GenericPrograms implements Disposable {
  readonly of: Generation;
  readonly config: Config;
  readonly #maps: ReadonlyMap<string, RawMap>;
  readonly #programs: ReadonlyMap<string, Program>;

  private constructor(
    of: Generation,
    config: Config,
    maps: ReadonlyMap<string, RawMap>,
    programs: ReadonlyMap<string, Program>,
  ) {
    this.of = of;
    this.config = config;
    this.#maps = maps;
    this.#programs = programs;
  }

  /** @throws ERR_MW_VERIFIER, ERR_MW_SYSCALL */
  static async load(of: Generation, config: Config, objects: ProgramObjects): Promise<GenericPrograms> {
    const generic = { ...genericOf(config), leave: 1 };
    const { maps, programs } = await loadObjects({
      objects,
      config: generic,
      capacity: () => undefined,
      reuse: (short) => of.maybeMap(short),
      instance: of.meta()?.instance as Uint8Array,
    });
    return new GenericPrograms(of, generic, maps, programs);
  }

  linkPrograms(role: Role): LinkPrograms {
    const of = (hook: 'xdp' | 'tc'): Program => this.#programs.get(PROGRAMS[hook][role]) as Program;
    return { xdp: of('xdp'), tc: of('tc') };
  }

  close(): void {
    for (const map of this.#maps.values()) map.close();
    for (const program of this.#programs.values()) program.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
