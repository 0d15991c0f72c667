/** Every packet fixture with `layout: compact`; the short run has those with the usual constants. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packetFixtures } from '../fixtures/packets/index.ts';
import { differences } from '../support/packet-compare.ts';
import { expectationOf, hooksOf } from '../support/packet-fixture.ts';
import { inOrder, inputOf, installer } from '../support/packet-fixture-run.ts';
import { COMPACT, isOnlyInHash, PacketKernel } from '../support/packet-kernel.ts';

let kernel: PacketKernel;
const install = installer(() => kernel);

beforeAll(async () => {
  kernel = await PacketKernel.start(Math.max(...packetFixtures.map(({ scene }) => Object.keys(scene.devices).length)));
});

afterAll(() => kernel?.[Symbol.asyncDispose]());

const fixtures = inOrder().filter(({ change }) => change?.faults?.some(isOnlyInHash) !== true);

test.each(fixtures.map((fixture) => [fixture.name, fixture] as const))('%s', async (_, fixture) => {
  await install(fixture);
  for (const hook of hooksOf(fixture)) {
    const input = inputOf(fixture, hook);
    const outcome = await kernel.run(input, COMPACT);
    if (outcome !== undefined) expect(differences(kernel, input, expectationOf(fixture, hook), outcome)).toEqual([]);
  }
});
