/** Every packet fixture with `layout: compact`; the short run has those with the usual constants. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packetFixtures } from '../fixtures/packets/index.ts';
import { differences } from '../support/packet-compare.ts';
import { expectationOf } from '../support/packet-fixture.ts';
import { inputOf, installer, runnable } from '../support/packet-fixture-run.ts';
import { COMPACT, isOnlyInHash, PacketKernel } from '../support/packet-kernel.ts';

let kernel: PacketKernel;
const install = installer(() => kernel);

beforeAll(async () => {
  kernel = await PacketKernel.start(Math.max(...packetFixtures.map(({ scene }) => Object.keys(scene.devices).length)));
});

afterAll(() => kernel?.[Symbol.asyncDispose]());

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  const fixtures = runnable(hook).filter(({ change }) => change?.faults?.some(isOnlyInHash) !== true);

  test.each(fixtures.map((fixture) => [fixture.name, fixture] as const))('%s', async (_, fixture) => {
    await install(fixture);
    const input = inputOf(fixture, hook);
    const outcome = await kernel.run(input, COMPACT);
    if (outcome !== undefined) expect(differences(kernel, input, expectationOf(fixture, hook), outcome)).toEqual([]);
  });
});
