/** Edits against reading everything anew: the same tables, the same mistakes; and old versions stay what they were. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  applyDelta,
  type CompactTable,
  type Diagnostic,
  diffTables,
  equalTables,
  formatTable,
  parseTable,
  readTable,
  renderDiagnostics,
  type Severity,
  type Table,
  TableEdit,
} from '../../../src/table/index.ts';
import { readTableFile } from '../../../src/table/read-file.ts';
import { clashingRecord, line, type RandomRecord } from './random-content.ts';

/** What a table says, whatever the order in which it says it. */
function content(table: Table): string {
  return [...formatTable(table)].sort().join('');
}

/**
 * A mistake without what depends on the order of records of which none is older: which of several nodes is named as an
 * example, or which of several ports.
 */
function gist({ code, message }: Diagnostic): string {
  const names = [...message.matchAll(/'([^']*)'/g)].map((match) => match[1]!);
  if (code === 'MW143') return code;
  // which of several ports that list the MAC under 'macs'
  if (code === 'MW185' && message.includes(' of port ')) return `${code} ${names[0]} ${names[2]}`;
  if (code === 'MW128' || code === 'MW156') return `${code} ${names[0]}`;
  return `${code} ${names.sort()}`;
}

const ofSeverity = (diagnostics: readonly Diagnostic[], wanted: Severity) =>
  diagnostics.filter(({ severity }) => severity === wanted);
/** Networks that meet in a segment, each set of them as one mistake: which is the first of them depends on the order. */
function meetings(diagnostics: readonly Diagnostic[]): string[] {
  const networks = new Map<string, Set<string>>();
  for (const { message } of diagnostics) {
    const [, other, segment, first] = /^network '(.+)' is addressed by (.+) on node .+, as network '(.+)' is$/.exec(
      message,
    )!;
    networks.set(segment!, (networks.get(segment!) ?? new Set()).add(other!).add(first!));
  }
  return [...networks].map(([segment, names]) => `MW151 ${segment}: ${[...names].sort()}`);
}

const gists = (diagnostics: readonly Diagnostic[]) => {
  const [meeting, others] = [true, false].map((wanted) =>
    diagnostics.filter(({ code }) => (code === 'MW151') === wanted),
  );
  return [...new Set([...meetings(meeting!), ...others!.map(gist)])].sort();
};

/** The same errors. Warnings are told of what the edit touches: of those of the whole table, some. */
function sameMistakes(
  partial: readonly Diagnostic[],
  full: readonly Diagnostic[],
  form: (all: Diagnostic[]) => string[],
) {
  expect(form(ofSeverity(partial, 'error'))).toEqual(form(ofSeverity(full, 'error')));
  expect(form(ofSeverity(full, 'warning'))).toEqual(expect.arrayContaining(form(ofSeverity(partial, 'warning'))));
}

/** The content as a program would keep it: the latest record of each id, the latest last. */
class Model {
  records = new Map<string, RandomRecord>();

  after(batch: readonly RandomRecord[]): Model {
    const next = new Model();
    next.records = new Map(this.records);
    for (const record of batch) {
      const key = `${record.kind} ${record.id}`;
      next.records.delete(key);
      if (record.fields !== undefined) next.records.set(key, record);
    }
    return next;
  }

  has(record: RandomRecord): boolean {
    return this.records.has(`${record.kind} ${record.id}`);
  }

  text(): string {
    return `{"mapwire":1}\n${[...this.records.values()].map(line).join('\n')}\n`;
  }
}

/** The batch without removals of what is not there. */
function possible(model: Model, batch: readonly RandomRecord[]): RandomRecord[] {
  const kept: RandomRecord[] = [];
  for (const record of batch) {
    if (record.fields !== undefined || model.after(kept).has(record)) kept.push(record);
  }
  return kept;
}

const START = `{"mapwire":1}
{"node":"a","underlay":"192.0.2.201"}
{"node":"b","underlay":"192.0.2.202"}
{"network":"n1","segment":101}
{"network":"n2","segment":102}
{"port":"s1","network":"n1","mac":"02:00:00:00:01:01","macs":["00:00:5e:00:01:01"],"at":{"node":"a"}}
{"port":"s2","network":"n1","mac":"02:00:00:00:01:02","macs":["00:00:5e:00:01:01"],"at":{"node":"a"}}
{"port":"s3","network":"n1","mac":"02:00:00:00:01:03","macs":["00:00:5e:00:01:01"],"at":{"node":"a"}}
`;

describe('deltas', { timeout: 60_000 }, () => {
  const seen = new Map<string, number>();

  test('give the table, and the mistakes, that reading everything gives', () => {
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(
        fc.array(fc.array(clashingRecord(), { minLength: 1, maxLength: 4 }), { maxLength: 30, size: 'max' }),
        (batches) => {
          let model = new Model().after(
            START.trim()
              .split('\n')
              .slice(1)
              .map((text): RandomRecord => {
                const { node, network, port, ...rest } = JSON.parse(text) as Record<string, string>;
                if (port !== undefined) return { kind: 'port', id: port, fields: { network, ...rest } };
                return { kind: node === undefined ? 'network' : 'node', id: (node ?? network)!, fields: rest };
              }),
          );
          let table = parseTable(model.text()).table!;
          const versions: { table: CompactTable; content: string }[] = [];
          for (const proposed of batches) {
            const batch = possible(model, proposed);
            const next = model.after(batch);
            const full = parseTable(next.text());
            const partial = applyDelta(table, batch.map(line).join('\n'));
            sameMistakes(partial.diagnostics, full.diagnostics, gists);
            for (const { code } of full.diagnostics) seen.set(code, (seen.get(code) ?? 0) + 1);
            if (partial.table === undefined) {
              refused++;
              expect(content(table)).toBe(content(parseTable(model.text()).table!));
              continue;
            }
            accepted++;
            expect(content(partial.table)).toBe(content(full.table!));
            expect(equalTables(partial.table, full.table!)).toBe(true);
            checkChanges(table, partial.table, partial.changes!, batch);
            versions.push({ table, content: content(table) });
            table = partial.table;
            model = next;
            checkLookups(table);
          }
          for (const version of versions) expect(content(version.table)).toBe(version.content);
          const oldest = versions[0];
          if (oldest !== undefined) {
            checkLookups(oldest.table);
            expect([...diffTables(oldest.table, table).ports].sort()).toEqual(
              expect.arrayContaining([...naiveDifference(oldest.table, table)]),
            );
          }
        },
      ),
      // of half as many one in twenty misses some clash
      { numRuns: 240 },
    );
    expect(accepted).toBeGreaterThan(300);
    expect(refused).toBeGreaterThan(300);
  });

  test('met every clash on the way', () => {
    const codes =
      'MW104 MW105 MW126 MW127 MW128 MW130 MW131 MW141 MW143 MW150 MW151 MW153 MW156 MW164 MW165 MW180 MW181 MW184 MW185 MW186 MW204 MW205 MW206'.split(
        ' ',
      );
    expect(codes.filter((code) => !seen.has(code))).toEqual([]);
  });
});

function naiveDifference(before: Table, after: Table): Set<string> {
  const text = (table: Table) => new Map([...table.ports()].map((port) => [port.id, JSON.stringify(port)]));
  const old = text(before);
  const now = text(after);
  return new Set([...old.keys(), ...now.keys()].filter((id) => old.get(id) !== now.get(id)));
}

function checkChanges(
  before: CompactTable,
  after: CompactTable,
  changes: ReturnType<typeof diffTables>,
  batch: readonly RandomRecord[],
): void {
  const touched = (kind: string) => batch.filter((record) => record.kind === kind).map((record) => record.id);
  expect(diffTables(before, after)).toEqual(changes);
  expect([...changes.ports]).toEqual(expect.arrayContaining([...naiveDifference(before, after)]));
  expect(touched('port')).toEqual(expect.arrayContaining([...changes.ports]));
  expect(touched('node')).toEqual(expect.arrayContaining([...changes.nodes]));
  expect(touched('network')).toEqual(expect.arrayContaining([...changes.networks]));
  expect(touched('address')).toEqual(expect.arrayContaining([...changes.addresses]));
  for (const id of touched('address')) {
    const differs = JSON.stringify(before.addresses.get(id)) !== JSON.stringify(after.addresses.get(id));
    if (differs) expect(changes.addresses).toContain(id);
  }
  for (const id of touched('node')) {
    const differs = JSON.stringify(before.nodes.get(id)) !== JSON.stringify(after.nodes.get(id));
    if (differs) expect(changes.nodes).toContain(id);
  }
}

function checkLookups(table: CompactTable): void {
  for (const port of table.ports()) {
    expect(table.port(port.id)).toEqual(port);
    expect(table.portByMac(port.network, port.mac)?.id).toBe(port.id);
    for (const ip of port.ips) expect(table.portByIp(port.network, ip)?.id).toBe(port.id);
  }
  expect([...table.ports()]).toHaveLength(table.portCount);
}

describe('files that are read again', { timeout: 60_000 }, () => {
  const FILES = ['a.ndjson', 'b.ndjson', 'c.ndjson'];

  test('give the table, the mistakes and the places that reading all files gives', () => {
    const edits = fc.array(
      fc.array(fc.record({ file: fc.nat(2), records: fc.array(clashingRecord(), { maxLength: 5 }) }), {
        minLength: 1,
        maxLength: 2,
      }),
      { maxLength: 10 },
    );
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(edits, (steps) => {
        const folder = mkdtempSync(join(tmpdir(), 'mapwire-table-'));
        try {
          writeFileSync(join(folder, 'start.ndjson'), START);
          for (const name of FILES) writeFileSync(join(folder, name), '{"mapwire":1}\n');
          let table = readTable(folder).table!;
          let stale = new Set<string>();
          for (const step of steps) {
            for (const { file, records } of step) {
              const path = join(folder, FILES[file]!);
              const written = ownRecords(file, records).map(line);
              writeFileSync(path, `{"mapwire":1}\n${written.join('\n')}\n`);
              stale.add(path);
            }
            const full = readTable(folder);
            const edit = new TableEdit(table);
            for (const path of stale) edit.removeFile({ name: path, source: 'file', rank: 0 });
            for (const path of [...stale].sort()) edit.whenOver(readTableFile(edit, path).close);
            const partial = edit.finish();
            sameMistakes(partial.diagnostics, full.diagnostics, places);
            if (partial.table === undefined) {
              refused++;
              sameMistakes(partial.diagnostics, full.diagnostics, gists);
              continue;
            }
            accepted++;
            expect(content(partial.table)).toBe(content(full.table!));
            checkLookups(partial.table);
            table = partial.table;
            stale = new Set();
          }
        } finally {
          rmSync(folder, { recursive: true });
        }
      }),
      { numRuns: 120 },
    );
    expect(accepted).toBeGreaterThan(50);
    expect(refused).toBeGreaterThan(50);
  });

  /** Most files define things of their own; a record in six is taken as it is, and then is often a second one. */
  function ownRecords(file: number, records: readonly RandomRecord[]): RandomRecord[] {
    return records.flatMap((record, index) => {
      if (record.fields === undefined) return [];
      if ((index + record.id.charCodeAt(1)) % 6 === 0) return [record];
      if (record.kind === 'port') return [{ ...record, id: `${file}${record.id}` }];
      return OWN[file]!.includes(record.id) ? [record] : [];
    });
  }

  const OWN = [[], ['c', 'n3'], ['d']];

  const places = (diagnostics: readonly Diagnostic[]) =>
    diagnostics.map(({ code, file, line: at, column, excerpt }) => `${code} ${file}:${at}:${column} ${excerpt?.text}`);
});

describe('versions', () => {
  const base = () =>
    parseTable(`${START}{"port":"p","network":"n1","mac":"02:00:00:00:00:01","ips":["10.0.0.1"],"at":{"node":"a"}}\n`)
      .table!;
  const port = (id: string, last: number, node = 'a') => ({
    port: id,
    network: 'n1',
    mac: `02:00:00:00:00:${last.toString(16).padStart(2, '0')}`,
    ips: [`10.0.0.${last}`],
    at: { node },
  });

  test('an old version can be edited: it gets a store of its own', () => {
    const first = base();
    const second = applyDelta(first, [port('q', 2)]).table!;
    const other = applyDelta(first, [port('r', 2)]).table!;
    expect([second.port('q')?.id, second.port('r')]).toEqual(['q', undefined]);
    expect([other.port('q'), other.port('r')?.id]).toEqual([undefined, 'r']);
    expect(first.portCount).toBe(4);
    expect([...diffTables(second, other).ports].sort()).toEqual(['q', 'r']);
  });

  test('an iteration that began before an edit goes on with its own version', () => {
    let table = base();
    for (let i = 2; i < 100; i++) table = applyDelta(table, [port(`p${i}`, i)]).table!;
    const before = [...table.ports()];
    const iterator = table.ports();
    const got = [iterator.next().value, iterator.next().value];
    applyDelta(table, [
      ...Array.from({ length: 50 }, (_, i) => ({ delete: 'port', id: `p${2 * i + 2}` })).slice(0, 49),
      port('new', 200),
      port('p3', 201, 'b'),
    ]);
    expect([...got, ...iterator]).toEqual(before);
  });

  test('far behind, a version still reads as it was', () => {
    const first = base();
    let table = first;
    for (let i = 0; i < 200; i++)
      table = applyDelta(table, [port('p', i % 2 === 0 ? 7 : 1), port(`x${i}`, 50 + i)]).table!;
    expect(first.port('p')?.ips).toEqual(['10.0.0.1']);
    expect(first.port('x3')).toBeUndefined();
    expect(first.portByIp('n1', '10.0.0.60')).toBeUndefined();
    expect(first.portByIp('n1', '10.0.0.1')?.id).toBe('p');
    expect([...first.ports()].map(({ id }) => id)).toEqual(['s1', 's2', 's3', 'p']);
    expect([...diffTables(first, table).ports]).toHaveLength(201);
  });

  test('an edit that changes nothing is the same version; a wanted revision is given', () => {
    const table = base();
    expect(table.revision).toBe(1);
    expect(applyDelta(table, [port('p', 1)]).table).toBe(table);
    expect(applyDelta(table, [port('p', 1)], { revision: 9 }).table?.revision).toBe(9);
    expect(applyDelta(base(), [port('p', 2)]).table?.revision).toBe(2);
  });

  test('records of one edit count in their order', () => {
    const result = applyDelta(base(), [port('q', 5), { delete: 'port', id: 'p' }, port('p', 5), port('q', 6)]);
    expect(renderDiagnostics(result.diagnostics)).toBe('');
    expect(result.table?.portByIp('n1', '10.0.0.5')?.id).toBe('p');
    expect(result.table?.portByIp('n1', '10.0.0.6')?.id).toBe('q');
  });

  test('removals: both forms, and what is not there', () => {
    const table = base();
    expect(applyDelta(table, '{"port":"p","delete":true}').table?.portCount).toBe(3);
    expect(applyDelta(table, [{ delete: 'port', id: 'nobody' }]).diagnostics).toMatchObject([
      { code: 'MW178', line: 1 },
    ]);
    expect(applyDelta(table, [{ delete: 'node', id: 'aa' }]).diagnostics).toMatchObject([
      { code: 'MW178', hint: "did you mean 'a'?" },
    ]);
    expect(applyDelta(table, [{ delete: 'bridge', id: 'p' }]).diagnostics).toMatchObject([{ code: 'MW109' }]);
    const orphans = applyDelta(table, [{ delete: 'node', id: 'a' }]).diagnostics;
    expect(orphans.map(({ code, line: at }) => [code, at])).toEqual([6, 7, 8, 9].map((at) => ['MW104', at]));
    expect(applyDelta(table, [{ delete: 'port' }]).diagnostics).toMatchObject([{ code: 'MW102' }]);
  });

  test('a source does not touch what another has given', () => {
    const table = applyDelta(base(), [port('own', 9)], { source: 'api', name: 'api' }).table!;
    const refused = applyDelta(table, [port('p', 8), { delete: 'node', id: 'b' }], { source: 'api', name: 'api' });
    expect(refused.diagnostics.map(({ code, file, line: at }) => [code, file, at])).toEqual([
      ['MW106', 'api', 1],
      ['MW106', 'api', 2],
    ]);
    expect(applyDelta(table, [port('own', 10)], { source: 'api', name: 'api' }).table?.port('own')?.ips).toEqual([
      '10.0.0.10',
    ]);
    // A clash with an older record of the API has no line to show any more.
    const clash = applyDelta(table, [port('other', 9)], { source: 'api', name: 'api' });
    expect(clash.diagnostics[0]?.related).toMatchObject([{ file: 'api', line: 0 }]);
  });
});

// Quadratic work would take minutes here, far beyond the time limit.
test('a table in which everything clashes is read, told of and mended like any', { timeout: 60_000 }, () => {
  const count = 20_000;
  const same = Array.from({ length: count }, (_, i) => {
    const at = '{"node":"a","interface":"tap0"}';
    return `{"port":"x${i}","network":"n1","mac":"02:00:00:00:09:09","ips":["10.9.9.9","fd00::9"],"at":${at}}\n`;
  }).join('');
  const whole = parseTable(`${START}${same}`, { format: 'ndjson' });
  expect(whole.table).toBeUndefined();
  expect(whole.diagnostics.at(-1)).toMatchObject({
    code: 'MW199',
    message: `${4 * (count - 1) - 100} more errors in this file`,
  });

  // The same as an edit: it is rolled back, and the next one finds the store in order.
  const good = parseTable(START, { format: 'ndjson' }).table!;
  const first = applyDelta(good, same.slice(0, same.indexOf('\n'))).table!;
  expect(applyDelta(first, same).table).toBeUndefined();
  expect(first.portCount).toBe(4);
  checkLookups(first);
  const removed = applyDelta(first, [{ delete: 'port', id: 'x0' }]).table!;
  expect(removed.portByIp('n1', '10.9.9.9')).toBeUndefined();
});
