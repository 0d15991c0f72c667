import { readBtf } from '../bintools/btf.ts';
import { compareMap, type MapDifference } from '../bintools/compare-map.ts';
import { MapwireError } from '../errors.ts';
import { MAPS } from '../generated/layout.ts';
import { Btf, type RawMap } from '../libbpf/index.ts';
import type { Generation } from './generation.ts';
import { shortName } from './map-table.ts';

type Expected = Parameters<typeof compareMap>[1];

const EXPECTED: ReadonlyMap<string, Expected> = new Map(
  Object.values(MAPS).map((map) => [shortName(map.name) ?? map.name, map as unknown as Expected]),
);

/**
 * Compares every map of a generation, field by field of its BTF, with what this build expects.
 *
 * @throws ERR_MW_MAP_INCOMPATIBLE with all `differences`
 */
export function assertLayouts(generation: Generation): void {
  const differences: (MapDifference & { readonly map: string })[] = [];
  for (const map of EXPECTED.keys()) {
    const pinned = generation.maybeMap(map);
    if (pinned === undefined) differences.push({ map, field: 'map', kernel: 'absent', expected: 'present' });
    else for (const difference of layoutDifferences(map, pinned)) differences.push({ map, ...difference });
  }
  const [first] = differences;
  if (first === undefined) return;
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

function layoutDifferences(short: string, map: RawMap): MapDifference[] {
  const expected = EXPECTED.get(short);
  if (expected === undefined) return [{ field: 'map', kernel: 'present', expected: 'absent' }];
  const kernel = { type: map.typeName, keySize: map.keySize, valueSize: map.valueSize, flags: map.flags };
  const { btfId, btfKeyTypeId, btfValueTypeId } = map.info();
  // Some types of map keep no BTF (maps of maps, devmaps on older kernels): then sizes must do.
  if (btfId === 0) return compareMap(kernel, expected);
  using loaded = Btf.fromId(btfId);
  return compareMap(
    { ...kernel, btf: readBtf(loaded.raw()), keyTypeId: btfKeyTypeId, valueTypeId: btfValueTypeId },
    expected,
  );
}
