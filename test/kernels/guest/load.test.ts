/**
 * Runs under every kernel of `npm run test:kernels`: its verifier accepts every program of every object, with every feature
 * switched off and with every feature switched on.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { BpfObject } from '../../../src/libbpf/index.ts';

const folder = join(packageRoot(), 'dist', 'bpf');
/** Programs for one device are no programs for all: test/kernel/dataplane/tags.test.ts. */
const files = readdirSync(folder).filter((name) => name.endsWith('.bpf.o') && name !== 'xdp_bound.bpf.o');

test('there are objects', () => {
  expect(files).toEqual(expect.arrayContaining(['xdp.bpf.o', 'tc.bpf.o']));
});

describe.each(files)('%s', (file) => {
  // struct mw_config is numbers and switches: all ones means every feature in use, whatever fields it has
  test.each([
    ['off', 0],
    ['on', 1],
  ])('loads with every feature %s', async (_, value) => {
    using object = BpfObject.open(readFileSync(join(folder, file)), { name: 'mwkernels' });
    const config = object.global('mw_config');
    if (config === undefined) throw new Error(`${file} has no mw_config`);
    object.setGlobal('mw_config', new Uint8Array(config.size).fill(value));
    const wanted = object.programSettings().map((program) => program.name);
    await object.load();
    expect([...object.programs.keys()].sort()).toEqual(wanted.sort());
    expect(wanted.length).toBeGreaterThan(0);
  });
});
