import { readBtf } from '../bintools/btf.ts';
import { balanceSlot, floodTarget } from '../generated/layout.ts';
import { Btf, MapFlag, RawMap } from '../libbpf/index.ts';
import type { Generation } from './generation.ts';

/**
 * Maps of lists: each value of the outer map is an array of its own, so that a list is replaced as one value and no reader
 * sees half of one. Here a list is the bytes of its elements.
 */
const LISTS = {
  flood: { name: 'mw_flood_list', struct: 'mw_flood_target', element: floodTarget.size },
  balance: { name: 'mw_balance_list', struct: 'mw_balance_slot', element: balanceSlot.size },
} as const;

export type ListMap = keyof typeof LISTS;

export function isListMap(map: string): map is ListMap {
  return map in LISTS;
}

/** Types of an inner map, for bpftool: from the BTF that the object gave its other maps. */
interface Types {
  readonly btfId: number;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

const typesOf = new WeakMap<Generation, Map<ListMap, Types | undefined>>();

function findTypes(generation: Generation, map: ListMap): Types | undefined {
  const { btfId, btfKeyTypeId } = generation.map('network').info();
  if (btfId === 0) return undefined;
  using loaded = Btf.fromId(btfId);
  const value = readBtf(loaded.raw()).types.find((type) => type.kind === 'struct' && type.name === LISTS[map].struct);
  return value === undefined ? undefined : { btfId, keyTypeId: btfKeyTypeId, valueTypeId: value.id };
}

function knownTypes(generation: Generation, map: ListMap): Types | undefined {
  const known = typesOf.get(generation) ?? new Map<ListMap, Types | undefined>();
  typesOf.set(generation, known);
  if (!known.has(map)) known.set(map, findTypes(generation, map));
  return known.get(map);
}

function createList(generation: Generation, map: ListMap, elements: number): RawMap {
  const types = knownTypes(generation, map);
  const spec = {
    type: 'array',
    name: LISTS[map].name,
    keySize: 4,
    valueSize: LISTS[map].element,
    maxEntries: elements,
    flags: MapFlag.INNER_MAP,
  } as const;
  if (types === undefined) return RawMap.create(spec);
  using btf = Btf.fromId(types.btfId);
  return RawMap.create({ ...spec, btf: { btf, keyTypeId: types.keyTypeId, valueTypeId: types.valueTypeId } });
}

function u32Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Replaces a list. One write of the outer map; the inner one is filled before anyone can see it. */
export async function writeList(
  generation: Generation,
  map: ListMap,
  key: Uint8Array,
  list: Uint8Array,
): Promise<void> {
  const count = list.length / LISTS[map].element;
  using inner = createList(generation, map, count);
  const keys = new Uint8Array(new Uint32Array(count).map((_, i) => i).buffer);
  const error = inner.batchError(await inner.updateBatch(keys, list, count));
  if (error !== undefined) throw error;
  generation.map(map).update(key, u32Bytes(inner.fd));
}

/** The elements of the list that the outer map's value (a map id) names; empty when it vanished meanwhile. */
export async function readList(map: ListMap, value: Uint8Array): Promise<Uint8Array> {
  const { element } = LISTS[map];
  const id = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
  try {
    using inner = RawMap.fromId(id);
    const { count, keys, values } = await inner.dump();
    const list = new Uint8Array(inner.maxEntries * element);
    const view = new DataView(keys.buffer, keys.byteOffset);
    for (let i = 0; i < count; i++) {
      const index = view.getUint32(i * 4, true);
      list.set(values.subarray(i * inner.valueStride, i * inner.valueStride + element), index * element);
    }
    return list;
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_MW_NOT_FOUND') return new Uint8Array(0);
    throw error;
  }
}
