/** docs/testing.md names the reasons that the differential test does not ask for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { REASON_NAMES } from '../../../src/simulator/types.ts';
import { IMPOSSIBLE } from '../../support/packet-differential.ts';

test('the page and the test name the same', () => {
  const page = readFileSync(join(packageRoot(), 'docs', 'testing.md'), 'utf8').replace(/\s+/g, ' ');
  const listed = /but for those that no such frame brings about: ([^.]*)\./.exec(page)?.[1] ?? '';
  const names = [...listed.matchAll(/`([\w-]+)`/g)].map(([, name]) => name);
  expect(names.sort()).toEqual(Object.keys(IMPOSSIBLE).sort());
  expect(REASON_NAMES).toEqual(expect.arrayContaining(names));
});
