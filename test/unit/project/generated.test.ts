/** src/generated/ is what bpf/ gives: C and TypeScript never describe a layout twice. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildObjects } from '../../../src/bintools/build-objects.ts';
import { generate } from '../../../src/bintools/generate.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';

describe('src/generated', () => {
  test('is in step with the C sources (npm run gen)', async () => {
    const root = packageRoot();
    const folder = join(root, 'src', 'generated');
    const files = generate(await buildObjects(root));
    expect(readdirSync(folder).sort()).toEqual([...files.keys()].sort());
    for (const [name, text] of files) expect(readFileSync(join(folder, name), 'utf8'), name).toBe(text);
  }, 120_000);
});
