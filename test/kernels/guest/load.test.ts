/**
 * Runs under every kernel of `npm run test:kernels`: its verifier accepts every program of every object, with every feature
 * switched off and with every feature switched on, in both layouts of the address mappings.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { config as configCodec } from '../../../src/generated/layout.ts';
import { BpfObject } from '../../../src/libbpf/index.ts';

const folder = join(packageRoot(), 'dist', 'bpf');
const { shape } = configCodec;
const COMPACT = (shape.kind === 'struct' && shape.fields.find(({ name }) => name === 'compact')?.offset) as number;
/** Programs for one device are no programs for all: test/kernel/dataplane/tags.test.ts. */
const files = readdirSync(folder).filter((name) => name.endsWith('.bpf.o') && name !== 'xdp_bound.bpf.o');

test('there are objects', () => {
  expect(files).toEqual(expect.arrayContaining(['xdp.bpf.o', 'tc.bpf.o']));
});

describe.each(files)('%s', (file) => {
  // struct mw_config is numbers and switches: all ones means every feature in use, whatever fields it has
  test.each([
    ['off', 0, 'hash'],
    ['on', 1, 'hash'],
    ['off', 0, 'compact'],
    ['on', 1, 'compact'],
  ])('loads with every feature %s (%i), layout %s', async (_, value, layout) => {
    using object = BpfObject.open(readFileSync(join(folder, file)), { name: 'mwkernels' });
    const config = object.global('mw_config');
    if (config === undefined) throw new Error(`${file} has no mw_config`);
    const constants = new Uint8Array(config.size).fill(value);
    constants[COMPACT] = layout === 'compact' ? 1 : 0;
    object.setGlobal('mw_config', constants);
    const wanted = object.programSettings().map((program) => program.name);
    await object.load();
    expect([...object.programs.keys()].sort()).toEqual(wanted.sort());
    expect(wanted.length).toBeGreaterThan(0);
  });
});
