import { MapFlag, RawMap } from '../libbpf/index.ts';

/**
 * Flood lists: each value of the outer map is an array of its own, so that a list is replaced as one value and no reader
 * sees half of one. Here a list is the bytes of its elements.
 */

const ELEMENT = 16;

function innerMap(bytes: Uint8Array): RawMap {
  const count = bytes.length / ELEMENT;
  return RawMap.create({
    type: 'array',
    name: 'mw_flood_list',
    keySize: 4,
    valueSize: ELEMENT,
    maxEntries: count,
    flags: MapFlag.INNER_MAP,
  });
}

function u32Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Replaces a list. One write of the outer map; the inner one is filled before anyone can see it. */
export async function writeFloodList(outer: RawMap, key: Uint8Array, list: Uint8Array): Promise<void> {
  using inner = innerMap(list);
  const count = list.length / ELEMENT;
  const keys = new Uint8Array(new Uint32Array(count).map((_, i) => i).buffer);
  const error = inner.batchError(await inner.updateBatch(keys, list, count));
  if (error !== undefined) throw error;
  outer.update(key, u32Bytes(inner.fd));
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
