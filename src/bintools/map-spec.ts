import type { Codec } from './codec.ts';
import type { Shape } from './shape.ts';

/** What this build expects of a map: the generated table of maps consists of these. */
export interface MapSpec<K = unknown, V = unknown> {
  /** As in the kernel and in the pin directory. */
  readonly name: string;
  /** As bpftool names it, e.g. `hash`. */
  readonly type: string;
  /** `BPF_MAP_TYPE_*`. */
  readonly typeNumber: number;
  readonly key: Codec<K>;
  /** Of a map of maps: 32 bits, a file descriptor when written and an id when read. */
  readonly value: Codec<V>;
  /** As declared; the loader may size the map by the plan. */
  readonly maxEntries: number;
  /** `BPF_F_*` of creation. */
  readonly flags: number;
}

/** What of a map's spec can be compared without its values: any MapSpec is one. */
export interface MapLayout {
  readonly name: string;
  readonly type: string;
  readonly flags: number;
  readonly key: { readonly size: number; readonly shape: Shape };
  readonly value: { readonly size: number; readonly shape: Shape };
  readonly inner?: MapLayout;
}

/** A map of maps. */
export interface OuterMapSpec<K = unknown, IK = unknown, IV = unknown> extends MapSpec<K, number> {
  readonly inner: MapSpec<IK, IV>;
}

/** A program in one of the objects. */
export interface ProgramSpec {
  readonly name: string;
  /** The ELF section, which says the program type, e.g. `xdp.frags`. */
  readonly section: string;
}

/** One of the object files. */
export interface ObjectSpec {
  /** In dist/bpf/. */
  readonly file: string;
  readonly programs: readonly ProgramSpec[];
  /** Names of the maps it declares. */
  readonly maps: readonly string[];
}
