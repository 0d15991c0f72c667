/** The reasons that only a refusal of the kernel brings about: a program in front of ours has changed the packet. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { refusalFixtures } from '../../fixtures/packets/refusals.ts';
import { frameOf, recordOf } from '../../support/packet-fixture.ts';
import { FRONTS, PacketFront } from '../../support/packet-front.ts';
import { PacketKernel, PLAIN } from '../../support/packet-kernel.ts';
import { environmentOf, programOf } from '../../support/scene.ts';

let kernel: PacketKernel;
let front: PacketFront;

beforeAll(async () => {
  const most = Math.max(...refusalFixtures.map(({ scene }) => Object.keys(scene.devices).length));
  kernel = await PacketKernel.start(most);
  front = await PacketFront.load();
}, 60_000);

afterAll(async () => {
  front?.[Symbol.dispose]();
  await kernel?.[Symbol.asyncDispose]();
});

test.each(refusalFixtures.map((fixture) => [fixture.name, fixture] as const))('%s', async (_, fixture) => {
  await kernel.install(fixture.scene.table, environmentOf(fixture.scene));
  const hook = FRONTS[fixture.front];
  const program = programOf(fixture.scene, fixture.from);
  const input = { hook, program, device: fixture.from, frame: frameOf(fixture.frame) };
  const ours = await kernel.program(hook, program, PLAIN);

  const wanted = kernel.expected(recordOf(fixture.expect));
  await kernel.resetCounters();
  const outcome = await kernel.run({ ...input, through: front.before(fixture.front, ours) });
  expect(kernel.describe(outcome!.raw)).toBe(kernel.describe(wanted));
  expect(outcome!.retval).toBe({ xdp: 1, tc: 2 }[hook]);
  expect(outcome!.sent).toEqual([]);
  expect(Object.fromEntries(kernel.counters())).toEqual({
    [`drops ${recordOf(fixture.expect).reason}`]: 1,
    [`${fixture.from} drops`]: 1,
  });

  // it is the program in front that makes the difference
  const plain = await kernel.run(input);
  expect(kernel.describe(plain!.raw)).toBe(kernel.describe(kernel.expected(recordOf(fixture.otherwise))));
});
