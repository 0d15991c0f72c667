import { decodeEntry, type Entry, type EntryChange, keyBytes } from '../compiler/index.ts';
import { IpFlags, MacFlags } from '../generated/layout.ts';
import { ENTRY_ORDER, type EntryMap, type RawEntry } from './map-table.ts';
import { type MapWriter, readEntry } from './map-writer.ts';
import { finished, group, HISTORY, type Surroundings } from './reconcile.ts';

/** Entries between two pauses. */
const STEP = 64;

/** The port or balanced address that an address entry belongs to; undefined for entries without an owner. */
function ownerOf(entry: Entry): string | undefined {
  switch (entry.map) {
    case 'ip4':
    case 'ip6':
      return `${(entry.value.flags & IpFlags.BALANCED) !== 0} ${entry.value.port}`;
    case 'mac':
      return `${(entry.value.flags & MacFlags.BALANCED) !== 0} ${entry.value.port}`;
    case 'allow4':
    case 'allow6':
      return `${entry.value.port}`;
    default:
      return undefined;
  }
}

/** Entries of changes of one kind, by their maps. */
function entriesOf(changes: readonly EntryChange[], op: EntryChange['op']): ReadonlyMap<EntryMap, Entry[]> {
  return group(changes.filter((change) => change.op === op).map(({ entry }) => entry));
}

/** Writes what an edit adds or alters, in the order of the maps: the entries of a map all together. */
export async function putChanges(
  changes: readonly EntryChange[],
  around: Surroundings,
  writer: MapWriter,
  pause: () => Promise<void>,
): Promise<void> {
  const groups = entriesOf(changes, 'put');
  for (const map of ENTRY_ORDER) {
    const raw: RawEntry[] = [];
    let count = 0;
    for (const entry of groups.get(map) ?? []) {
      const key = keyBytes(entry);
      const held = HISTORY.includes(map) ? await readEntry(writer.generation, map, key) : undefined;
      raw.push({ map, key, value: finished(entry, held, around) });
      if (++count % STEP === 0) await pause();
    }
    await writer.put(map, raw);
  }
}

/**
 * Removes what an edit takes away, in the opposite order. Compare-and-delete: an entry that another port owns by now
 * stays.
 */
export async function removeChanges(
  changes: readonly EntryChange[],
  writer: MapWriter,
  pause: () => Promise<void>,
): Promise<void> {
  const groups = entriesOf(changes, 'delete');
  for (const map of [...ENTRY_ORDER].reverse()) {
    const keys: Uint8Array[] = [];
    let count = 0;
    for (const entry of groups.get(map) ?? []) {
      if (++count % STEP === 0) await pause();
      const key = keyBytes(entry);
      const owner = ownerOf(entry);
      if (owner !== undefined) {
        const held = await readEntry(writer.generation, map, key);
        if (held === undefined || ownerOf(decodeEntry(entry.map, key, held)) !== owner) continue;
      }
      keys.push(key);
    }
    await writer.remove(map, keys);
  }
}
