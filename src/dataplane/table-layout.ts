import { BUCKET_SLOTS } from '../generated/layout.ts';
import type { BucketKind } from '../libbpf/index.ts';
import { capacityFor, isTight, LEAST_CAPACITY } from './map-table.ts';

/** Where the address mappings are: in hash maps, or in tables of buckets (docs/decisions/0012). */
export type TableLayout = 'hash' | 'compact';

/** The mappings that there are in both layouts: their hash map, and the array of buckets that stands for it. */
const BUCKET_MAPS: Readonly<Record<BucketKind, string>> = { ip4: 'ip4_bucket', ip6: 'ip6_bucket', mac: 'mac_bucket' };

export const BUCKET_KINDS = Object.keys(BUCKET_MAPS) as readonly BucketKind[];

/** Beside `port`: where ports with one locator are. */
export const PLACE_MAP = 'place';

/** Every map that only one of the layouts uses. */
export const LAYOUT_MAPS: readonly string[] = [...BUCKET_KINDS, ...Object.values(BUCKET_MAPS), PLACE_MAP];

export function isBucketKind(map: string): map is BucketKind {
  return map in BUCKET_MAPS;
}

/** The map that holds a mapping: `ip4` → `ip4_bucket` with `compact`. */
export function mapOf(mapping: string, layout: TableLayout): string {
  return layout === 'compact' && isBucketKind(mapping) ? BUCKET_MAPS[mapping] : mapping;
}

/** Is this map there for the other layout alone? Then it has as few elements as may be, and none is used. */
export function isIdle(map: string, layout: TableLayout): boolean {
  return layout === 'compact' ? isBucketKind(map) : LAYOUT_MAPS.includes(map) && !isBucketKind(map);
}

/** Elements that a map takes, by its name, once it holds so many entries: `plan.sizes` by the names of mappings. */
export function needsOf(sizes: Readonly<Record<string, number>>, layout: TableLayout): Map<string, number> {
  const needs = new Map(Object.entries(sizes).map(([mapping, entries]) => [mapOf(mapping, layout), entries]));
  if (layout === 'compact') needs.set(PLACE_MAP, sizes.port ?? 0);
  return needs;
}

const isBucketMap = (map: string): boolean => Object.values(BUCKET_MAPS).includes(map);

/** Share of the slots of a table that may be in use before it grows. Buckets of four are filled to 95 % without trouble. */
const FULL = 0.85;
/** Slots of a new table for each entry. */
const ROOM = 1.5;

/**
 * `max_entries` for so many entries. @param had of a map that took no more, whatever is the reason; 0: none
 */
export function roomFor(map: string, entries: number, had = 0): number {
  if (!isBucketMap(map) && map !== PLACE_MAP) return Math.max(capacityFor(entries), 2 * had);
  const slots = Math.max(LEAST_CAPACITY, Math.ceil(ROOM * entries));
  return Math.max(isBucketMap(map) ? Math.ceil(slots / BUCKET_SLOTS) : slots, 2 * had);
}

/** Is a map of this `max_entries` too small for so many entries? */
export function isCrowded(map: string, entries: number, maxEntries: number): boolean {
  if (isBucketMap(map)) return entries > FULL * BUCKET_SLOTS * maxEntries;
  // A port that has no place there is looked up where all are.
  if (map === PLACE_MAP) return entries > maxEntries;
  return isTight(entries, maxEntries);
}
