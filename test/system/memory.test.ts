/** What a process of Mapwire keeps for itself. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { launcher } from '../support/mapwire.ts';
import { run } from '../support/process.ts';

const grown = fileURLToPath(new URL('../support/young-space.mjs', import.meta.url)).replace('/dist/test/', '/test/');

async function youngBytes(script: readonly string[]): Promise<number> {
  const { stdout } = await run([process.execPath, '--import', grown, ...script]);
  return Number(/young: (\d+)/.exec(stdout)?.[1]);
}

test('V8’s space for young objects does not grow by what a load allocates', async () => {
  expect(await youngBytes(['-e', ''])).toBeGreaterThan(8e6);
  expect(await youngBytes([launcher, '--version'])).toBeLessThan(4e6);
});
