/** `enum bpf_map_type` by number, named as bpftool names them (include/uapi/linux/bpf.h, Linux 6.18). */
export const MAP_TYPES = [
  'unspec',
  'hash',
  'array',
  'prog_array',
  'perf_event_array',
  'percpu_hash',
  'percpu_array',
  'stack_trace',
  'cgroup_array',
  'lru_hash',
  'lru_percpu_hash',
  'lpm_trie',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'sockmap',
  'cpumap',
  'xskmap',
  'sockhash',
  'cgroup_storage',
  'reuseport_sockarray',
  'percpu_cgroup_storage',
  'queue',
  'stack',
  'sk_storage',
  'devmap_hash',
  'struct_ops',
  'ringbuf',
  'inode_storage',
  'task_storage',
  'bloom_filter',
  'user_ringbuf',
  'cgrp_storage',
  'arena',
  'insn_array',
] as const;

export type MapTypeName = (typeof MAP_TYPES)[number];

/** The name of a `BPF_MAP_TYPE_*` number; `type-N` for one newer than this list. */
export function mapTypeName(type: number): MapTypeName | `type-${number}` {
  return MAP_TYPES[type] ?? `type-${type}`;
}

const WITHOUT_BTF: ReadonlySet<string> = new Set<MapTypeName>([
  'perf_event_array',
  'cgroup_array',
  'stack_trace',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'devmap_hash',
  'cpumap',
  'xskmap',
  'sockmap',
  'sockhash',
  'queue',
  'stack',
  'prog_array',
  // has neither key nor value
  'ringbuf',
]);

/**
 * Whether the kernel keeps BTF for maps of this type. For the others libbpf leaves it out when it creates them
 * (bpf_object__create_map in libbpf.c), and only sizes can be compared.
 */
export function mapTypeHasBtf(type: string): boolean {
  return !WITHOUT_BTF.has(type);
}

/** `BPF_F_*` flags of map creation, by bit (include/uapi/linux/bpf.h). */
const MAP_FLAGS = [
  'no_prealloc',
  'no_common_lru',
  'numa_node',
  'rdonly',
  'wronly',
  'stack_build_id',
  'zero_seed',
  'rdonly_prog',
  'wronly_prog',
  'clone',
  'mmapable',
  'preserve_elems',
  'inner_map',
  'link',
  'path_fd',
  'vtype_btf_obj_fd',
  'token_fd',
  'segv_on_fault',
  'no_user_conv',
] as const;

/** The names of the flags set; `bit-N` for one newer than this list. */
export function mapFlagNames(flags: number): string[] {
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    if ((flags >>> bit) & 1) names.push(MAP_FLAGS[bit] ?? `bit-${bit}`);
  }
  return names;
}
