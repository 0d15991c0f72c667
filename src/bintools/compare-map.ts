import { MapwireError } from '../errors.ts';
import type { Btf } from './btf.ts';
import type { MapLayout } from './map-spec.ts';
import { type Shape, shapeName, shapeOf } from './shape.ts';

/** What the kernel tells of a map (BPF_OBJ_GET_INFO_BY_FD). */
export interface KernelMap {
  /** As bpftool names it. */
  readonly type: string;
  /** In bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  /** `BPF_F_*` of creation. */
  readonly flags: number;
  /** The BTF it was made with, when it has any, and in it the ids of its types; 0: none. */
  readonly btf?: Btf;
  readonly keyTypeId?: number;
  readonly valueTypeId?: number;
}

/** One way in which a map differs from what is expected of it. */
export interface MapDifference {
  /** `type`, `flags`, `key size` …, or a place in its types: `key`, `value.at[].node`. */
  readonly field: string;
  readonly kernel: string | number;
  readonly expected: string | number;
}

/** The kernel adds this to a devmap: programs may not write it (dev_map_alloc in kernel/bpf/devmap.c). */
const BPF_F_RDONLY_PROG = 1 << 7;

/**
 * All differences between a map in the kernel and what this build expects, field by field of their BTF; none means
 * that it can be used. Without BTF only type, sizes and flags are compared. Never throws for what the kernel holds: a
 * type that cannot be represented is a difference too.
 */
export function compareMap(kernel: KernelMap, expected: Omit<MapLayout, 'name'>): MapDifference[] {
  const differences: MapDifference[] = [];
  const compare: Compare = (field, found, wanted) => {
    if (found !== wanted) differences.push({ field, kernel: found, expected: wanted });
  };
  compare('type', kernel.type, expected.type);
  compare('key size', kernel.keySize, expected.key.size);
  compare('value size', kernel.valueSize, expected.value.size);
  const added = expected.type.startsWith('devmap') ? BPF_F_RDONLY_PROG : 0;
  compare('flags', kernel.flags & ~added, expected.flags & ~added);
  if (kernel.btf) {
    compareType(kernel.btf, kernel.keyTypeId ?? 0, 'key', expected.key.shape, compare);
    compareType(kernel.btf, kernel.valueTypeId ?? 0, 'value', expected.value.shape, compare);
  }
  return differences;
}

type Compare = (field: string, kernel: string | number, expected: string | number) => void;

function compareType(btf: Btf, id: number, path: string, expected: Shape, compare: Compare): void {
  if (id === 0) return;
  try {
    compareShapes(path, shapeOf(btf, id, path), expected, compare);
  } catch (error) {
    if (!(error instanceof MapwireError)) throw error;
    compare(path, error.message, shapeName(expected));
  }
}

function compareShapes(path: string, kernel: Shape, expected: Shape, compare: Compare): void {
  if (kernel.kind !== expected.kind) {
    compare(path, shapeName(kernel), shapeName(expected));
    return;
  }
  if (kernel.kind === 'int' && expected.kind === 'int') compare(`type of ${path}`, kernel.type, expected.type);
  else compare(`size of ${path}`, kernel.size, expected.size);
  if (kernel.kind === 'array' && expected.kind === 'array') {
    compareShapes(`${path}[]`, kernel.element, expected.element, compare);
  }
  if (kernel.kind !== 'struct' || expected.kind !== 'struct') return;
  compare(`name of ${path}`, kernel.name, expected.name);
  const fields = new Map(kernel.fields.map((field) => [field.name, field]));
  for (const field of expected.fields) {
    const name = `${path}.${field.name}`;
    const found = fields.get(field.name);
    fields.delete(field.name);
    if (!found) {
      compare(name, 'absent', shapeName(field.shape));
      continue;
    }
    compare(`offset of ${name}`, found.offset, field.offset);
    compareShapes(name, found.shape, field.shape, compare);
  }
  for (const field of fields.values()) compare(`${path}.${field.name}`, shapeName(field.shape), 'absent');
}
