/** docs/drop-reasons.md has a row for each verdict and reason of bpf/reasons.h, with its number. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';

const root = packageRoot();
const header = readFileSync(join(root, 'bpf', 'reasons.h'), 'utf8');
const page = readFileSync(join(root, 'docs', 'drop-reasons.md'), 'utf8');

/** number -> name, as users see it. */
function enumerators(prefix: string): [number, string][] {
  return [...header.matchAll(new RegExp(`^\\t${prefix}(\\w+) = (\\d+),`, 'gm'))].map(([, name, number]) => [
    Number(number),
    (name as string).toLowerCase().replaceAll('_', '-'),
  ]);
}

/** The rows of the tables between two headings. */
function rows(from: string, to: string | undefined): string[][] {
  const start = page.indexOf(`\n## ${from}\n`);
  const section = page.slice(start, to === undefined ? undefined : page.indexOf(`\n## ${to}\n`));
  return [...section.matchAll(/^\| (\d+) \| `([\w-]+)` \|(.+)\|$/gm)].map(([, number, name, rest]) => [
    number as string,
    name as string,
    ...(rest as string).split(' | ').map((cell) => cell.trim()),
  ]);
}

describe.each([
  ['verdicts', 'MW_VERDICT_', rows('Verdicts', 'Reasons')],
  ['reasons', 'MW_REASON_', rows('Reasons', undefined)],
] as const)('docs/drop-reasons.md: %s', (_, prefix, found) => {
  test('each has its row, in the order of its number', () => {
    const expected = enumerators(prefix);
    expect(expected.length).toBeGreaterThan(7);
    expect(found.map(([number, name]) => [Number(number), name])).toEqual(expected);
  });
});

test('each reason says what it means and what to do', () => {
  for (const [, name, meaning, remedy] of rows('Reasons', undefined)) {
    if (name === 'none' || name === 'count') continue;
    expect(meaning?.length, name).toBeGreaterThan(20);
    expect(remedy?.length, name).toBeGreaterThan(20);
  }
});
