/**
 * Readers under damaged input: whatever the bytes are, there is a table or at least one error, never an exception, and
 * never both. The seed of a failure is printed by fast-check and replays.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import {
  applyDelta,
  formatTable,
  hasErrors,
  parseTable,
  renderDiagnostics,
  tableFromObject,
} from '../../../src/table/index.ts';
import { parseJson } from '../../../src/table/json.ts';
import { tableObject } from './random-content.ts';

const FRAGMENTS = [
  ...[
    '\0',
    '\t',
    '\n',
    '\r\n',
    '\ufeff',
    '\u2028',
    '"',
    "'",
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '- ',
    '? ',
    '| ',
    '> ',
    '# ',
    '&a ',
    '*a',
  ],
  ...[
    '!!str ',
    '<<: *a',
    '---\n',
    '...\n',
    '%YAML 1.1\n',
    'null',
    'true',
    '1e999',
    '-0',
    '0x10',
    '.nan',
    '[[[[[[[[',
    '{{{{',
  ],
  ...[
    '"\\ud800"',
    '"__proto__": ',
    '{"mapwire":1}\n',
    '{"delete":"port","id":"x"}\n',
    'port/1',
    'ff:ff:ff:ff:ff:ff',
    '::',
    '0.0.0.0/0',
  ],
].map((text) => Buffer.from(text));

interface Damage {
  readonly at: number;
  readonly kind: 'flip' | 'insert' | 'cut' | 'copy';
  readonly value: number;
  readonly length: number;
}

const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.nat(1_000_000),
  kind: fc.constantFrom('flip', 'insert', 'insert', 'cut', 'copy'),
  value: fc.nat(255),
  length: fc.nat(40),
});

function damaged(bytes: Buffer, damages: readonly Damage[]): Buffer {
  let result = Buffer.from(bytes);
  for (const { at, kind, value, length } of damages) {
    const place = at % (result.length + 1);
    const before = result.subarray(0, place);
    const after = result.subarray(place);
    if (kind === 'flip' && place < result.length) result[place]! ^= value;
    else if (kind === 'insert') result = Buffer.concat([before, FRAGMENTS[value % FRAGMENTS.length]!, after]);
    else if (kind === 'cut') result = Buffer.concat([before, after.subarray(length)]);
    else result = Buffer.concat([before, after.subarray(0, length), after]);
  }
  return result;
}

const FORMATS = {
  yaml: (object: object) => stringify({ mapwire: 1, ...object }, { aliasDuplicateObjects: false }),
  json: (object: object) => JSON.stringify({ mapwire: 1, ...object }),
  ndjson: (object: object) => [...formatTable(tableFromObject(object as Record<string, unknown>))].join(''),
} as const;

describe.each(Object.keys(FORMATS) as (keyof typeof FORMATS)[])('%s', { timeout: 60_000 }, (format) => {
  test('damaged tables are refused or read', () => {
    let refused = 0;
    let read = 0;
    fc.assert(
      fc.property(tableObject(), fc.array(damage, { maxLength: 6 }), (object, damages) => {
        const bytes = damaged(Buffer.from(FORMATS[format](object)), damages);
        const { table, diagnostics } = parseTable(bytes, { format, name: 't' });
        expect(table === undefined).toBe(hasErrors(diagnostics));
        renderDiagnostics(diagnostics);
        if (table === undefined) {
          refused++;
          expect(diagnostics.every(({ line, column }) => (line === 0) === (column === 0))).toBe(true);
          return;
        }
        read++;
        // What was read is a table like any: it can be written and read back.
        expect(parseTable([...formatTable(table)].join(''), { format: 'ndjson' }).table?.portCount).toBe(
          table.portCount,
        );
      }),
      { numRuns: 400 },
    );
    expect(refused).toBeGreaterThan(20);
    expect(read).toBeGreaterThan(20);
  });

  test('any bytes at all are survived', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.nat(255).map((n) => Buffer.of(n)),
            fc.constantFrom(...FRAGMENTS),
          ),
          { maxLength: 60 },
        ),
        (parts) => {
          const { table, diagnostics } = parseTable(Buffer.concat(parts), { format, name: 't' });
          expect(table === undefined).toBe(hasErrors(diagnostics));
        },
      ),
      { numRuns: 500 },
    );
  });
});

test('damaged deltas leave the table as it was, or change it', { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(tableObject(), tableObject(), fc.array(damage, { maxLength: 4 }), (object, other, damages) => {
      const table = tableFromObject(object);
      const before = [...formatTable(table)].join('');
      const text = FORMATS.ndjson(other).split('\n').slice(1).join('\n');
      const result = applyDelta(table, damaged(Buffer.from(text), damages));
      expect(result.table === undefined).toBe(hasErrors(result.diagnostics));
      expect([...formatTable(table)].join('')).toBe(before);
    }),
    { numRuns: 150 },
  );
});

describe('JSON', () => {
  const near = fc.array(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      '"\\u00e9"',
      '"\\x"',
      '1',
      '-',
      '0',
      '01',
      '1.5e3',
      'e',
      'true',
      'nul',
      ' ',
      '\n',
      '"',
    ),
    { maxLength: 12 },
  );

  function outcome(parse: () => unknown): unknown {
    try {
      return { value: JSON.parse(JSON.stringify(parse())) };
    } catch {
      return 'refused';
    }
  }

  test('is what JSON.parse says it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          near.map((parts) => parts.join('')),
          fc.json(),
        ),
        (text) => {
          expect(outcome(() => parseJson(text))).toEqual(outcome(() => JSON.parse(text)));
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('repeated keys are told', () => {
    const repeats: unknown[] = [];
    parseJson('{"a": 1, "b": {"a": 2, "a": 3}, "a": 4}', (repeat) => repeats.push(repeat));
    expect(repeats).toEqual([
      { key: 'a', depth: 2, first: { start: 15, end: 18 }, second: { start: 23, end: 26 } },
      { key: 'a', depth: 1, first: { start: 1, end: 4 }, second: { start: 32, end: 35 } },
    ]);
  });
});
