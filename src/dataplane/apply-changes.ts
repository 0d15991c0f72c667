import { decodeEntry, type Entry, type EntryChange, keyBytes } from '../compiler/index.ts';
import { IpFlags, MacFlags } from '../generated/layout.ts';
import { ENTRY_ORDER, type EntryMap, type RawEntry } from './map-table.ts';
import { type MapWriter, readEntry } from './map-writer.ts';
import { finished, HISTORY, type Surroundings } from './reconcile.ts';

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

/** Writes what an edit adds or alters, in the order of the maps. */
export async function putChanges(
  changes: readonly EntryChange[],
  around: Surroundings,
  writer: MapWriter,
): Promise<void> {
  const groups = new Map<EntryMap, RawEntry[]>();
  for (const change of changes) {
    if (change.op !== 'put') continue;
    const { entry } = change;
    const key = keyBytes(entry);
    const held = HISTORY.includes(entry.map) ? await readEntry(writer.generation, entry.map, key) : undefined;
    const raw: RawEntry = { map: entry.map, key, value: finished(entry, held, around) };
    const known = groups.get(entry.map);
    if (known === undefined) groups.set(entry.map, [raw]);
    else known.push(raw);
  }
  for (const map of ENTRY_ORDER) await writer.put(map, groups.get(map) ?? []);
}

/**
 * Removes what an edit takes away, in the opposite order. Compare-and-delete: an entry that another port owns by now
 * stays.
 */
export async function removeChanges(changes: readonly EntryChange[], writer: MapWriter): Promise<void> {
  const groups = new Map<EntryMap, Uint8Array[]>();
  for (const change of changes) {
    if (change.op !== 'delete') continue;
    const { entry } = change;
    const key = keyBytes(entry);
    const owner = ownerOf(entry);
    if (owner !== undefined) {
      const held = await readEntry(writer.generation, entry.map, key);
      if (held === undefined || ownerOf(decodeEntry(entry.map, key, held)) !== owner) continue;
    }
    const known = groups.get(entry.map);
    if (known === undefined) groups.set(entry.map, [key]);
    else known.push(key);
  }
  for (const map of [...ENTRY_ORDER].reverse()) await writer.remove(map, groups.get(map) ?? []);
}
