import { differs, type Entry, type EntryChange, keyText, sortChanges } from './entries.ts';
import type { Plan } from './plan.ts';

/**
 * What has to be written to get from one plan to another, make-before-break. Both plans must use one IdBook, else their
 * ids mean different things. Costs what the plans hold; `replan` costs what an edit changes.
 */
export function diff(before: Plan, after: Plan): EntryChange[] {
  return diffEntries(before.entries(), after.entries());
}

export function diffEntries(before: Iterable<Entry>, after: Iterable<Entry>): EntryChange[] {
  const old = new Map<string, Entry>();
  for (const entry of before) old.set(keyText(entry), entry);
  const changes: EntryChange[] = [];
  for (const entry of after) {
    const key = keyText(entry);
    const had = old.get(key);
    old.delete(key);
    if (had === undefined || differs(had, entry)) {
      changes.push({ op: 'put', entry, before: had });
    }
  }
  for (const entry of old.values()) changes.push({ op: 'delete', entry });
  return sortChanges(changes);
}
