/**
 * YAML and JSON read in steps, and YAML by the two readers that there are for it, give the records, lines, places and mistakes of
 * the whole text parsed in one go (whole-readers.ts). MAPWIRE_SEED replays a failure.
 */
import { describe, expect, it } from 'vitest';
import type { DiagnosticCode } from '../../../src/table/diagnostics.ts';
import type { Document, RecordKind, RecordSink } from '../../../src/table/document.ts';
import { atOnce, type Steps, TableEdit } from '../../../src/table/index.ts';
import { plainYamlSteps } from '../../../src/table/plain-yaml.ts';
import { memoryFile } from '../../../src/table/read-file.ts';
import { jsonSteps } from '../../../src/table/read-json.ts';
import { libraryYamlSteps, yamlSteps } from '../../../src/table/read-yaml.ts';
import type { Path } from '../../../src/table/row.ts';
import { TextPieces, textSteps } from '../../../src/table/text-pieces.ts';
import { Random } from '../../support/random.ts';
import { damaged, type Oddity, randomJson, randomYaml } from './random-yaml.ts';
import { readWholeJson, readWholeYaml } from './whole-readers.ts';

const SEED = process.env.MAPWIRE_SEED ?? String(Date.now() % 1_000_000);
const RUNS = process.env.MAPWIRE_SLOW === undefined ? 500 : 5_000;

type Reader = (sink: RecordSink, show: (document: Document) => void) => void;

function piecesOf(text: string, size?: number): TextPieces {
  const pieces = atOnce(textSteps(Buffer.from(text), size));
  if (pieces instanceof TextPieces) return pieces;
  throw new Error(pieces.mistake.message);
}

const steps =
  (read: (text: TextPieces, sink: RecordSink, show: (document: Document) => void) => Steps<void>) =>
  (text: string, size?: number): Reader =>
  (sink, show) =>
    atOnce(read(piecesOf(text, size), sink, show));

/** Paths of all values in one. */
function* paths(value: unknown, at: Path = []): Generator<Path> {
  yield at;
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    yield* paths((value as Record<string, unknown>)[key], [...at, Array.isArray(value) ? Number(key) : key]);
  }
}

/** All that a reader tells, with the places of all values. */
function told(read: Reader): unknown[] {
  const all: unknown[] = [];
  const records: unknown[] = [];
  let document: Document | undefined;
  const places = (path: Path): unknown => [true, false].map((key) => document?.locate(path, key));
  const sink: RecordSink = {
    record(kind: RecordKind, id: string, value: unknown, line: number) {
      const record = document!.recordPath(kind, id, line);
      const found = document!.recordValue(kind, id, line);
      const where = [...paths(value)].map((path) => places([...record, ...path]));
      const missing = places([...record, 'missing', 1]);
      // Ids that are numbers come first in a mapping of JavaScript, and in their place in a list.
      records.push({ kind, id, value: plain(value), found: plain(found), line, where, missing });
    },
    plainPort: () => false,
    expect() {},
    remove() {},
    mistake: (code: DiagnosticCode, path: Path, message: string, extra) =>
      all.push({ code, message, hint: extra?.hint, place: document?.locate(path, extra?.key ?? false) }),
    mistakeAt: (code, position, message, extra) => all.push({ code, message, ...extra, position }),
    incomplete: () => all.push('incomplete'),
  };
  read(sink, (shown) => {
    document = shown;
  });
  return [all, records.map((record) => JSON.stringify(record)).sort()];
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));

/** What becomes of a table. */
function outcome(text: string, name: string, read: Reader): unknown {
  const edit = new TableEdit(undefined, { revision: 1 });
  edit.replaceFile(memoryFile(name, 'memory', 0, Buffer.from(text), name.endsWith('json') ? 'json' : 'yaml'));
  read(edit, edit.show);
  const { table, diagnostics } = edit.finish();
  if (table === undefined) return { diagnostics };
  const { nodeOrigins, networkOrigins } = table.parts;
  const ports = [...table.storedPorts()].map(({ row, file, line }) => JSON.stringify({ row, file, line })).sort();
  return { diagnostics, nodeOrigins, networkOrigins, ports };
}

describe.each<[string, Oddity, boolean]>([
  ['plain', 0, false],
  ['with a few odd things', 0.02, false],
  ['odd', 0.2, false],
  ['plain and damaged', 0, true],
  ['odd and damaged', 0.02, true],
])('tables that are %s', (name, odd, broken) => {
  it(`in YAML (seed ${SEED})`, { timeout: RUNS * 100 }, () => {
    const random = new Random(`${SEED} yaml ${name}`);
    let asPlain = 0;
    let refused = 0;
    for (let run = 0; run < RUNS / 5; run++) {
      const right = randomYaml(random, odd);
      // Half of a surrogate pair is no text of a file.
      const text = Buffer.from(broken ? damaged(random, right) : right).toString();
      if (text.startsWith('\ufeff') || text.trim() === '') continue;
      const why = `seed ${SEED}, run ${run}\n${text}`;
      const whole: Reader = (sink, show) => readWholeYaml(text, sink, show);
      const wanted = told(whole);
      const size = random.pick([7, 60, 500, 100_000]);
      const cuts = { step: random.pick([1, 2, 5, 64]), items: random.pick([4, 5, 9, 24]) };
      const library = steps((pieces, sink, show) => libraryYamlSteps(pieces, sink, show, cuts));
      expect(told(steps(yamlSteps)(text, size)), why).toEqual(wanted);
      expect(told(library(text, size)), `${why}\ncuts ${JSON.stringify(cuts)}`).toEqual(wanted);
      const verdict = outcome(text, 't.yaml', whole);
      expect(outcome(text, 't.yaml', steps(yamlSteps)(text)), why).toEqual(verdict);
      if (atOnce(plainYamlSteps(piecesOf(text))) !== undefined) asPlain++;
      if ((wanted[0] as unknown[]).length > 0) refused++;
    }
    // The tables are what they are meant to be.
    const share = (count: number): number => count / (RUNS / 5);
    if (odd === 0 && !broken) expect(share(asPlain)).toBeGreaterThan(0.2);
    if (odd === 0.2 || broken) expect(share(refused)).toBeGreaterThan(0.3);
    if (odd === 0.02 && !broken) expect(share(refused)).toBeLessThan(0.95);
  });

  it(`in JSON (seed ${SEED})`, { timeout: RUNS * 100 }, () => {
    const random = new Random(`${SEED} json ${name}`);
    let refused = 0;
    for (let run = 0; run < RUNS / 5; run++) {
      const right = randomJson(random, odd);
      // Half of a surrogate pair is no text of a file.
      const text = Buffer.from(broken ? damaged(random, right) : right).toString();
      if (text.startsWith('\ufeff') || text.trim() === '') continue;
      const why = `seed ${SEED}, run ${run}\n${text}`;
      const whole: Reader = (sink, show) => readWholeJson(text, sink, show);
      const wanted = told(whole);
      for (const size of [4, random.between(5, 40), 300, 100_000]) {
        expect(told(steps(jsonSteps)(text, size)), `${why}\npieces of ${size}`).toEqual(wanted);
      }
      expect(outcome(text, 't.json', steps(jsonSteps)(text)), why).toEqual(outcome(text, 't.json', whole));
      if ((wanted[0] as unknown[]).length > 0) refused++;
    }
    if (broken) expect(refused / (RUNS / 5)).toBeGreaterThan(0.3);
  });
});

it('what stands below a key without a colon is no section, though it looks like one', () => {
  const fields = [
    '    network: blue',
    '    mac: 02:00:00:00:00:01',
    '    ips: []',
    '    role: router',
    '    at: { node: a }',
  ];
  const text = ['ports:', '  port-1:', '@      # no colon', ...fields, '  port-2: {}', ''].join('\n');
  const library = steps((pieces, sink, show) => libraryYamlSteps(pieces, sink, show, { step: 1, items: 4 }));
  const wanted = told((sink, show) => readWholeYaml(text, sink, show));
  expect((wanted[0] as unknown[]).length).toBeGreaterThan(2);
  expect(told(library(text))).toEqual(wanted);
});
