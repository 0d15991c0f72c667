/** docs/errors.md and src/errors.ts say the same. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { ERRORS } from '../../../src/errors.ts';

const root = packageRoot();

describe('docs/errors.md', () => {
  const rows = new Map(
    [
      ...readFileSync(join(root, 'docs', 'errors.md'), 'utf8').matchAll(
        /^\| `(ERR_MW_\w+)` \| ([^|]+) \| ([^|]+) \|$/gm,
      ),
    ].map((row) => [row[1] as string, { meaning: (row[2] as string).trim(), remedy: (row[3] as string).trim() }]),
  );

  test('has a row for each code, in the same order', () => {
    expect([...rows.keys()]).toEqual(Object.keys(ERRORS));
  });

  test.each(Object.entries(ERRORS))('%s means there what it means here', (code, meaning) => {
    expect(rows.get(code)?.meaning).toBe(meaning);
    expect(rows.get(code)?.remedy.length).toBeGreaterThan(10);
  });
});

test('every code is thrown somewhere', () => {
  const text = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== 'errors.ts')
    .map((name) => readFileSync(join(root, 'src', name), 'utf8'))
    .join('\n');
  expect(Object.keys(ERRORS).filter((code) => !text.includes(`'${code}'`))).toEqual([]);
});
