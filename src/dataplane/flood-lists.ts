import { readBtf } from '../bintools/btf.ts';
import { floodTarget } from '../generated/layout.ts';
import { Btf, MapFlag, RawMap } from '../libbpf/index.ts';
import type { Generation } from './generation.ts';

/**
 * Flood lists: each value of the outer map is an array of its own, so that a list is replaced as one value and no reader
 * sees half of one. Here a list is the bytes of its elements.
 */

const ELEMENT = floodTarget.size;

/** Types of an inner map, for bpftool: from the BTF that the object gave its other maps. */
interface Types {
  readonly btfId: number;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

const typesOf = new WeakMap<Generation, Types | undefined>();

function findTypes(generation: Generation): Types | undefined {
  const { btfId, btfKeyTypeId } = generation.map('network').info();
  if (btfId === 0) return undefined;
  using loaded = Btf.fromId(btfId);
  const value = readBtf(loaded.raw()).types.find((type) => type.kind === 'struct' && type.name === 'mw_flood_target');
  return value === undefined ? undefined : { btfId, keyTypeId: btfKeyTypeId, valueTypeId: value.id };
}

function createList(generation: Generation, elements: number): RawMap {
  if (!typesOf.has(generation)) typesOf.set(generation, findTypes(generation));
  const types = typesOf.get(generation);
  const spec = {
    type: 'array',
    name: 'mw_flood_list',
    keySize: 4,
    valueSize: ELEMENT,
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
export async function writeFloodList(generation: Generation, key: Uint8Array, list: Uint8Array): Promise<void> {
  const count = list.length / ELEMENT;
  using inner = createList(generation, count);
  const keys = new Uint8Array(new Uint32Array(count).map((_, i) => i).buffer);
  const error = inner.batchError(await inner.updateBatch(keys, list, count));
  if (error !== undefined) throw error;
  generation.map('flood').update(key, u32Bytes(inner.fd));
}

/** The elements of the list that the outer map's value (a map id) names; empty when it vanished meanwhile. */
export async function readFloodList(value: Uint8Array): Promise<Uint8Array> {
  const id = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
  try {
    using inner = RawMap.fromId(id);
    const { count, keys, values } = await inner.dump();
    const list = new Uint8Array(inner.maxEntries * ELEMENT);
    const view = new DataView(keys.buffer, keys.byteOffset);
    for (let i = 0; i < count; i++) {
      const index = view.getUint32(i * 4, true);
      list.set(values.subarray(i * inner.valueStride, i * inner.valueStride + ELEMENT), index * ELEMENT);
    }
    return list;
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_MW_NOT_FOUND') return new Uint8Array(0);
    throw error;
  }
}
