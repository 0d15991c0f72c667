/** Older news never overrides newer: in deltas, in files, over restarts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SequenceBook } from '../../../src/sources/sequences.ts';
import { bytesOf } from '../../../src/table/byte-source.ts';
import {
  applyDelta,
  type CompactTable,
  diffTables,
  type EditOptions,
  type EditResult,
  parseTable,
  TableEdit,
} from '../../../src/table/index.ts';
import { readNdjson } from '../../../src/table/read-ndjson.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mw-sequences-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const HEAD = [
  '{"mapwire": 1}',
  '{"node": "a", "underlay": "192.0.2.1"}',
  '{"node": "b", "underlay": "192.0.2.2"}',
  '{"network": "blue", "segment": 1}',
];

function record(node: string, sequence?: number): string {
  return JSON.stringify({
    port: 'p',
    network: 'blue',
    mac: '02:00:00:00:00:01',
    ...(sequence && { sequence }),
    at: { node },
  });
}

const FILE = { name: 'table.ndjson', source: 'file', rank: 0 };

/** A file read over what is in force. */
function read(base: CompactTable | undefined, lines: readonly string[], options: EditOptions = {}) {
  const edit = new TableEdit(base, options);
  return edit
    .fill(() => {
      edit.replaceFile(FILE);
      readNdjson(bytesOf(Buffer.from([...HEAD, ...lines].join('\n'))), edit, edit.show);
      return edit;
    })
    .finish();
}

const placeOf = (table: CompactTable | undefined) => {
  const port = table?.port('p');
  return port && `${port.at[0]!.node} ${port.sequence ?? 0}`;
};

test('a delta with a lower sequence, or none, is refused; an equal or higher one counts', () => {
  const { table } = parseTable([...HEAD, record('a', 5)].join('\n'), { name: 't.ndjson' });
  for (const stale of [record('b', 4), record('b'), '{"delete": "port", "id": "p", "sequence": 4}']) {
    const { table: none, diagnostics } = applyDelta(table!, stale);
    expect(none).toBeUndefined();
    expect(diagnostics.map(({ code, line }) => `${code} ${line}`)).toEqual(['MW194 1']);
    expect(diagnostics[0]!.hint).toContain('at least 5');
    expect(placeOf(table)).toBe('a 5');
  }
  expect(placeOf(applyDelta(table!, record('b', 5)).table)).toBe('b 5');
  expect(placeOf(applyDelta(table!, record('b', 6)).table)).toBe('b 6');
  // among changes of one edit, too: add, then the late one
  expect(applyDelta(table!, [record('b', 7), record('a', 6)].join('\n')).diagnostics[0]!.code).toBe('MW194');
  for (const gone of ['{"delete": "port", "id": "p", "sequence": 5}', '{"delete": "port", "id": "p"}']) {
    expect(placeOf(applyDelta(table!, gone).table)).toBeUndefined();
  }
  expect(applyDelta(table!, '{"delete": "port", "id": "p", "sequence": 0}').diagnostics[0]!.code).toBe('MW110');
  expect(applyDelta(table!, '{"delete": "node", "id": "b", "sequence": 1}').diagnostics[0]!.code).toBe('MW101');
});

test('of a file that is older the newer record is kept, told of, and the rest counts', () => {
  const first = read(undefined, [record('b', 5)]);
  const later = read(first.table, [record('a', 4), '{"node": "c", "underlay": "192.0.2.3"}']);
  expect(placeOf(later.table)).toBe('b 5');
  expect(later.table!.nodes.has('c')).toBe(true);
  expect(later.diagnostics.map(({ code, line, severity }) => `${code} ${line} ${severity}`)).toEqual([
    'MW208 5 warning',
  ]);
  // again, and then what is newer
  const again = read(later.table, [record('a', 4)]);
  expect(again.diagnostics.map(({ code }) => code)).toEqual(['MW208']);
  const newer = read(again.table, [record('a', 6)]);
  expect([placeOf(newer.table), newer.diagnostics]).toEqual(['a 6', []]);
  // taken out of the file it is gone
  expect(placeOf(read(newer.table, []).table)).toBeUndefined();
});

test('over a restart the book knows what was in force, and what was removed by a move', async () => {
  const fail = (error: unknown) => {
    throw error;
  };
  let book = await SequenceBook.open(folder, fail);
  const one = read(undefined, [record('a', 4)]).table!;
  book.note(one, undefined, undefined);
  const two = read(one, [record('b', 5)]).table!;
  book.note(two, one, diffTables(one, two));
  await book.close();

  book = await SequenceBook.open(folder, fail);
  const newest = (port: string) => book.newest(port);
  const restarted = read(undefined, [record('a', 4)], { newest });
  expect(placeOf(restarted.table)).toBe('b 5');
  expect(restarted.diagnostics.map(({ code }) => code)).toEqual(['MW208']);
  book.note(restarted.table!, undefined, undefined);
  // removed by a move: what is older does not come back, and is not told of as kept
  const without = read(restarted.table, []).table!;
  book.note(without, restarted.table, diffTables(restarted.table!, without));
  book.bury('p', 6);
  await book.close();

  book = await SequenceBook.open(folder, fail);
  const late = read(undefined, [record('b', 5)], { newest });
  expect(placeOf(late.table)).toBeUndefined();
  expect(late.diagnostics[0]!.message).toContain('removed it');
  expect(placeOf(read(undefined, [record('b', 7)], { newest }).table)).toBe('b 7');
  await book.close();
});

test('another place with the same sequence is refused: what was heard of the first would count for it', async () => {
  const move = (to: string, sequence: number, activate = 'announcement') =>
    JSON.stringify({ ...JSON.parse(record('a', sequence)), move: { to: { node: to }, activate } });
  const nodes = ['{"node": "c", "underlay": "192.0.2.3"}'];
  const first = read(undefined, [...nodes, move('b', 8)]).table!;
  const codes = ({ table, diagnostics }: EditResult) => [table !== undefined, ...diagnostics.map(({ code }) => code)];
  expect(codes(applyDelta(first, move('c', 8)))).toEqual([false, 'MW195']);
  expect(codes(read(first, [...nodes, move('c', 8)]))).toEqual([false, 'MW195']);
  // the same again, the end of the move, by table, and by a higher sequence
  for (const good of [move('b', 8), record('b', 8), move('c', 8, 'table'), move('c', 9)])
    expect(codes(applyDelta(first, good))).toEqual([true]);

  // over a restart, while the kernel still knows what was heard
  const book = await SequenceBook.open(folder, () => {});
  book.note(first, undefined, undefined);
  await book.close();
  const next = await SequenceBook.open(folder, () => {});
  const newest = (port: string) => next.newest(port);
  expect(codes(read(undefined, [...nodes, move('c', 8)], { newest }))).toEqual([false, 'MW195']);
  expect(codes(read(undefined, [...nodes, move('b', 8)], { newest }))).toEqual([true]);
  await next.close();
});

test('a port that a file gives up begins anew', async () => {
  const book = await SequenceBook.open(folder, () => {});
  const one = read(undefined, [record('a', 4)]).table!;
  book.note(one, undefined, undefined);
  const two = read(one, []).table!;
  book.note(two, one, diffTables(one, two));
  await book.close();
  const next = await SequenceBook.open(folder, () => {});
  expect(next.newest('p')).toBeUndefined();
  await next.close();
});

test('a table of an earlier run counts only as long as no newer move was heard of', async () => {
  const tableAt = (...records: string[]) => parseTable([...HEAD, ...records].join('\n'), { name: 't.ndjson' }).table!;
  const failed = (error: unknown) => {
    throw error;
  };
  let book = await SequenceBook.open(folder, failed);
  expect(book.isHeldBy(tableAt())).toBe(true);
  const first = tableAt(record('a', 5));
  book.note(first, undefined, undefined);
  await book.close();

  book = await SequenceBook.open(folder, failed);
  expect([4, 5, 6].map((sequence) => book.isHeldBy(tableAt(record('a', sequence))))).toEqual([false, true, true]);
  expect(book.isHeldBy(tableAt(record('a')))).toBe(false);
  expect(book.isHeldBy(tableAt())).toBe(false);
  const { table, changes } = applyDelta(first, '{"delete": "port", "id": "p", "sequence": 7}');
  book.note(first, undefined, undefined);
  book.bury('p', 7);
  book.note(table!, first, changes);
  await book.close();

  book = await SequenceBook.open(folder, failed);
  expect(book.isHeldBy(tableAt())).toBe(true);
  expect([6, 7, 8].map((sequence) => book.isHeldBy(tableAt(record('a', sequence))))).toEqual([false, true, true]);
  await book.close();
});
