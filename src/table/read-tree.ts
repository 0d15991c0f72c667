/** A whole table as one value — from YAML or JSON — into records. */

import { quote } from './diagnostics.ts';
import { LEAST_EXPECTED, RECORD_KINDS, type RecordKind, type RecordSink, SECTION_OF } from './document.ts';
import { describe, idMistake } from './row.ts';
import type { Steps } from './steps.ts';
import { nearest } from './suggest.ts';
import { EntryList, TableTree } from './table-tree.ts';

export const FORMAT_VERSION = 1;
/** Records between two pauses. */
const STEP = 64;
const TOP_KEYS = ['mapwire', ...Object.values(SECTION_OF)];

/** Reports a missing or wrong version; true when it is right. */
export function checkVersion(version: unknown, sink: RecordSink, path: readonly (string | number)[]): boolean {
  if (version === FORMAT_VERSION) return true;
  if (version === undefined) {
    sink.mistake('MW174', [], "there is no 'mapwire: 1', the version of the format", {
      hint: "begin with 'mapwire: 1'",
    });
    return false;
  }
  const newer = typeof version === 'number' && version > FORMAT_VERSION;
  sink.mistake('MW174', path, `the version of the format must be ${FORMAT_VERSION}, not ${describe(version)}`, {
    hint: newer ? 'this table is for a newer Mapwire' : undefined,
  });
  return false;
}

/** The sections of a table. */
export function* readTreeSteps(root: unknown, sink: RecordSink): Steps<void> {
  if (!(root instanceof TableTree)) {
    if (root === null || root === undefined) {
      sink.mistake('MW173', [], 'the table is empty', { hint: "a table begins with 'mapwire: 1'" });
    } else {
      sink.mistake('MW103', [], `a table must be a mapping, not ${describe(root)}`);
    }
    sink.incomplete();
    return;
  }
  const version = root.entries.get('mapwire')?.content;
  if (!checkVersion(version, sink, ['mapwire']) && version !== undefined) {
    // Another version may mean something else by the same words.
    sink.incomplete();
    return;
  }
  for (const key of root.entries.keys()) {
    if (TOP_KEYS.includes(key)) continue;
    const meant = nearest(key, TOP_KEYS);
    sink.mistake('MW101', [key], `the table has the unknown key ${quote(key)}`, {
      key: true,
      hint: meant === undefined ? `the keys are ${TOP_KEYS.join(', ')}` : `did you mean '${meant}'?`,
    });
    sink.incomplete();
  }
  for (const kind of RECORD_KINDS) yield* sectionSteps(kind, root, sink);
}

function* sectionSteps(kind: RecordKind, root: TableTree, sink: RecordSink): Steps<void> {
  const section = SECTION_OF[kind];
  const list = root.entries.get(section)?.content;
  if (list === undefined || list === null) return;
  if (!(list instanceof EntryList)) {
    sink.mistake('MW103', [section], `'${section}' must be a mapping of ids, not ${describe(list)}`, {
      hint: Array.isArray(list) ? `write '${section}:' and below it 'ID: { … }'` : undefined,
    });
    sink.incomplete();
    return;
  }
  if (kind === 'port' && list.length > LEAST_EXPECTED) sink.expect(list.length);
  for (let i = 0; i < list.length; i++) {
    if (i % STEP === STEP - 1) yield;
    const id = list.ids[i]!;
    const mistake = idMistake(id);
    if (mistake !== undefined) {
      sink.mistake('MW108', [section, id], `the ${kind} id ${quote(id)} ${mistake}`, { key: true });
      continue;
    }
    sink.record(kind, id, list.values[i], root.lineOf(section, list, i));
  }
}
