/** A whole table as one value — from YAML, JSON or a program — into records. */

import { quote } from './diagnostics.ts';
import { RECORD_KINDS, type RecordKind, type RecordSink, SECTION_OF } from './document.ts';
import { describe, idMistake, isMapping } from './row.ts';
import { nearest } from './suggest.ts';

export const FORMAT_VERSION = 1;
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

/** The sections of a table; `line` gives the line of a record. */
export function readTree(root: unknown, sink: RecordSink, line: (kind: RecordKind, id: string) => number): void {
  if (!isMapping(root)) {
    if (root === null || root === undefined) {
      sink.mistake('MW173', [], 'the table is empty', { hint: "a table begins with 'mapwire: 1'" });
    } else {
      sink.mistake('MW103', [], `a table must be a mapping, not ${describe(root)}`);
    }
    sink.incomplete();
    return;
  }
  if (!checkVersion(root.mapwire, sink, ['mapwire']) && root.mapwire !== undefined) {
    // Another version may mean something else by the same words.
    sink.incomplete();
    return;
  }
  for (const key in root) {
    if (TOP_KEYS.includes(key)) continue;
    const meant = nearest(key, TOP_KEYS);
    sink.mistake('MW101', [key], `the table has the unknown key ${quote(key)}`, {
      key: true,
      hint: meant === undefined ? `the keys are ${TOP_KEYS.join(', ')}` : `did you mean '${meant}'?`,
    });
    sink.incomplete();
  }
  for (const kind of RECORD_KINDS) readSection(kind, root[SECTION_OF[kind]], sink, line);
}

function readSection(
  kind: RecordKind,
  value: unknown,
  sink: RecordSink,
  line: (kind: RecordKind, id: string) => number,
): void {
  if (value === undefined || value === null) return;
  const section = SECTION_OF[kind];
  if (!isMapping(value)) {
    sink.mistake('MW103', [section], `'${section}' must be a mapping of ids, not ${describe(value)}`, {
      hint: Array.isArray(value) ? `write '${section}:' and below it 'ID: { … }'` : undefined,
    });
    sink.incomplete();
    return;
  }
  for (const id in value) {
    const mistake = idMistake(id);
    if (mistake !== undefined) {
      sink.mistake('MW108', [section, id], `the ${kind} id ${quote(id)} ${mistake}`, { key: true });
      continue;
    }
    sink.record(kind, id, value[id], line(kind, id));
  }
}
