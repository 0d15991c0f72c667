/** Numbers of include/uapi/linux/bpf.h. Later ones than a system's headers know are here on purpose. */

export const MapType = {
  hash: 1,
  array: 2,
  prog_array: 3,
  perf_event_array: 4,
  percpu_hash: 5,
  percpu_array: 6,
  stack_trace: 7,
  cgroup_array: 8,
  lru_hash: 9,
  lru_percpu_hash: 10,
  lpm_trie: 11,
  array_of_maps: 12,
  hash_of_maps: 13,
  devmap: 14,
  sockmap: 15,
  cpumap: 16,
  xskmap: 17,
  sockhash: 18,
  cgroup_storage: 19,
  reuseport_sockarray: 20,
  percpu_cgroup_storage: 21,
  queue: 22,
  stack: 23,
  sk_storage: 24,
  devmap_hash: 25,
  struct_ops: 26,
  ringbuf: 27,
  inode_storage: 28,
  task_storage: 29,
  bloom_filter: 30,
  user_ringbuf: 31,
  cgrp_storage: 32,
  arena: 33,
} as const;

/** As bpftool writes them. */
export type MapTypeName = keyof typeof MapType;

export const MapFlag = {
  NO_PREALLOC: 1 << 0,
  NUMA_NODE: 1 << 2,
  /** User space may only read. */
  RDONLY: 1 << 3,
  WRONLY: 1 << 4,
  /** Programs may only read. The kernel adds it to every devmap. */
  RDONLY_PROG: 1 << 7,
  WRONLY_PROG: 1 << 8,
  MMAPABLE: 1 << 10,
  /** An array that may stand in a map of maps beside arrays of other lengths. */
  INNER_MAP: 1 << 12,
} as const;

export const ProgramType = { unspec: 0, socket_filter: 1, sched_cls: 3, sched_act: 4, xdp: 6 } as const;
export type ProgramTypeName = keyof typeof ProgramType;

export const AttachType = { XDP: 37, TCX_INGRESS: 46, TCX_EGRESS: 47 } as const;

export const LinkType = { XDP: 6, TCX: 11, NETKIT: 13 } as const;

const mapTypeNames = new Map(Object.entries(MapType).map(([name, type]) => [type as number, name]));
const programTypeNames = new Map(Object.entries(ProgramType).map(([name, type]) => [type as number, name]));

/** `'hash'` of 1; `'type 99'` of what is newer than this table. */
export function mapTypeName(type: number): string {
  return mapTypeNames.get(type) ?? `type ${type}`;
}

export function programTypeName(type: number): string {
  return programTypeNames.get(type) ?? `type ${type}`;
}

const PER_CPU: ReadonlySet<number> = new Set([
  MapType.percpu_hash,
  MapType.percpu_array,
  MapType.lru_percpu_hash,
  MapType.percpu_cgroup_storage,
]);

/** Whether each possible CPU has its own value. */
export function isPerCpu(type: number): boolean {
  return PER_CPU.has(type);
}
