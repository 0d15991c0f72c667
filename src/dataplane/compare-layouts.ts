import { readBtf } from '../bintools/btf.ts';
import { type Shape, shapeOf } from '../bintools/shape.ts';
import { MapwireError } from '../errors.ts';
import { MAPS } from '../generated/layout.ts';
import { Btf, type RawMap } from '../libbpf/index.ts';
import type { Generation } from './generation.ts';
import { shortName } from './map-table.ts';

interface Expected {
  readonly type: string;
  readonly key: { readonly size: number; readonly shape: Shape };
  readonly value: { readonly size: number; readonly shape: Shape };
}

const EXPECTED = new Map<string, Expected>(
  Object.values(MAPS).map((map) => [shortName(map.name) ?? map.name, map as Expected]),
);

/** One way in which a pinned map differs from what this build expects. */
export interface LayoutDifference {
  readonly map: string;
  readonly field: string;
  readonly kernel: string | number;
  readonly expected: string | number;
}

/**
 * Compares every map of a generation, field by field of its BTF, with what this build expects.
 *
 * @throws ERR_MW_MAP_INCOMPATIBLE with all `differences`
 */
export function assertLayouts(generation: Generation): void {
  const differences: LayoutDifference[] = [];
  for (const short of EXPECTED.keys()) {
    const map = generation.maybeMap(short);
    if (map === undefined) differences.push({ map: short, field: 'map', kernel: 'absent', expected: 'present' });
    else differences.push(...layoutDifferences(short, map));
  }
  if (differences.length === 0) return;
  const [first] = differences as [LayoutDifference];
  throw new MapwireError(
    'ERR_MW_MAP_INCOMPATIBLE',
    `pinned map '${first.map}': ${first.field} is ${first.kernel}, not ${first.expected}` +
      (differences.length > 1 ? ` (and ${differences.length - 1} more differences)` : ''),
    {
      hint: 'another build with the same layout version made it; run `mapwire down` and start again',
      details: { differences },
    },
  );
}

/** Can this map go on as the one that this build calls so? */
export function sameLayout(short: string, map: RawMap): boolean {
  return layoutDifferences(short, map).length === 0;
}

export function layoutDifferences(short: string, map: RawMap): LayoutDifference[] {
  const expected = EXPECTED.get(short);
  if (expected === undefined) return [{ map: short, field: 'map', kernel: 'present', expected: 'absent' }];
  const differences: LayoutDifference[] = [];
  const compare = (field: string, kernel: string | number, wanted: string | number): void => {
    if (kernel !== wanted) differences.push({ map: short, field, kernel, expected: wanted });
  };
  compare('type', map.typeName, expected.type);
  compare('key size', map.keySize, expected.key.size);
  compare('value size', map.valueSize, expected.value.size);
  if (differences.length > 0) return differences;
  const info = map.info();
  // Maps of maps have no BTF of their own before 6.x, and devmaps may have none: sizes must do.
  if (info.btfId === 0) return differences;
  using loaded = Btf.fromId(info.btfId);
  const btf = readBtf(loaded.raw());
  for (const [part, id] of [
    ['key', info.btfKeyTypeId],
    ['value', info.btfValueTypeId],
  ] as const) {
    if (id === 0) continue;
    compareShapes(part, shapeOf(btf, id), expected[part].shape, compare);
  }
  return differences;
}

function compareShapes(
  path: string,
  kernel: Shape,
  expected: Shape,
  compare: (field: string, kernel: string | number, expected: string | number) => void,
): void {
  if (kernel.kind !== expected.kind) {
    compare(path, kernel.kind, expected.kind);
    return;
  }
  compare(`size of ${path}`, kernel.size, expected.size);
  if (kernel.kind === 'int' && expected.kind === 'int') compare(`type of ${path}`, kernel.type, expected.type);
  if (kernel.kind === 'array' && expected.kind === 'array') {
    compareShapes(`${path}[]`, kernel.element, expected.element, compare);
  }
  if (kernel.kind !== 'struct' || expected.kind !== 'struct') return;
  const fields = new Map(kernel.fields.map((field) => [field.name, field]));
  for (const field of expected.fields) {
    const found = fields.get(field.name);
    fields.delete(field.name);
    const name = `${path}.${field.name}`;
    if (found === undefined) {
      compare(name, 'absent', 'present');
      continue;
    }
    compare(`offset of ${name}`, found.offset, field.offset);
    compareShapes(name, found.shape, field.shape, compare);
  }
  for (const name of fields.keys()) compare(`${path}.${name}`, 'present', 'absent');
}
