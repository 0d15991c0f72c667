/** The packet fixtures of test/fixtures/packets through both compiled objects. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packetFixtures } from '../../fixtures/packets/index.ts';
import { mixed } from '../../fixtures/packets/scenes.ts';
import { differences } from '../../support/packet-compare.ts';
import { expectationOf, frameOf, type PacketFixture } from '../../support/packet-fixture.ts';
import { type LoadVariant, PacketKernel, PLAIN } from '../../support/packet-kernel.ts';
import { environmentOf, programOf } from '../../support/scene.ts';

const ONE_ANSWER: LoadVariant = { ...PLAIN, tooBigRate: 1 };
const QUIET: LoadVariant = { ...PLAIN, quiet: true };

let kernel: PacketKernel;
let installed: string | undefined;
/** Packets that the kernel's test run does not take; few, and counted below. */
const refused = new Set<string>();

beforeAll(async () => {
  const most = Math.max(...packetFixtures.map(({ scene }) => Object.keys(scene.devices).length));
  kernel = await PacketKernel.start(most);
}, 60_000);

afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
});

async function install({ scene, change }: PacketFixture): Promise<void> {
  const key = `${scene.name} ${JSON.stringify(change)}`;
  if (installed === key) return;
  await kernel.install(scene.table, environmentOf(scene, change));
  installed = key;
}

function inputOf(fixture: PacketFixture, hook: 'xdp' | 'tc') {
  const { gsoSize, firstBuffer } = fixture;
  return {
    hook,
    program: programOf(fixture.scene, fixture.from),
    device: fixture.from,
    frame: frameOf(fixture.frame),
    ...(hook === 'tc' && gsoSize !== undefined && { gsoSize }),
    ...(hook === 'xdp' && firstBuffer !== undefined && { firstBuffer }),
  };
}

async function run(fixture: PacketFixture, hook: 'xdp' | 'tc') {
  const input = inputOf(fixture, hook);
  if (fixture.change?.tooBigSpent !== true) return kernel.run(input);
  // one answer a second: the second packet of a second gets none; a second may end between the two
  const wanted = kernel.expected(expectationOf(fixture, hook).record).verdict;
  for (let tries = 0; ; tries++) {
    const outcome = await kernel.run(input, ONE_ANSWER);
    if (outcome?.raw.verdict === wanted || tries === 5) return outcome;
  }
}

/** Exactly one of the two programs counts a packet; what is left or goes to the stack is counted by neither. */
function expectedCounters(fixture: PacketFixture, hook: 'xdp' | 'tc'): Record<string, number> {
  const { record, outputs } = expectationOf(fixture, hook);
  const { from } = fixture;
  switch (record.verdict) {
    case 'drop':
      return { [`drops ${record.reason}`]: 1, ...(record.reason !== 'no-port' && { [`${from} drops`]: 1 }) };
    case 'answer':
      return { [`${from} rxPackets`]: 1, [`${from} answers`]: 1, [`${from} txPackets`]: 1 };
    case 'flood': {
      const sent: Record<string, number> = { [`${from} rxPackets`]: 1 };
      for (const { device } of outputs) sent[`${device} txPackets`] = (sent[`${device} txPackets`] ?? 0) + 1;
      return sent;
    }
    case 'deliver':
    case 'encap':
      return { [`${from} rxPackets`]: 1, [`${record.device} txPackets`]: 1 };
    default:
      return {};
  }
}

/** Runs with the constants that most fixtures have: each other set is one more load of both objects. */
function isOrdinary({ scene, change = {} }: PacketFixture): boolean {
  const { guard, ports, unknownSegment, tooBigSpent } = change;
  return scene === mixed && guard !== 'off' && !ports && !unknownSegment && tooBigSpent !== true;
}

const runnable = packetFixtures.filter(({ notInKernel }) => notInKernel === undefined);

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  test.each(runnable.map((fixture) => [fixture.name, fixture] as const))('%s', async (_, fixture) => {
    await install(fixture);
    const input = frameOf(fixture.frame);
    const outcome = await run(fixture, hook);
    if (outcome === undefined) refused.add(`${hook} ${fixture.name}`);
    else expect(differences(kernel, hook, input, expectationOf(fixture, hook), outcome)).toEqual([]);
  });
});

describe('what else has to hold', () => {
  test.each(['xdp', 'tc'] as const)(
    '%s: every packet is counted once, by the program that finished it',
    async (hook) => {
      const wrong: string[] = [];
      for (const fixture of runnable) {
        if (fixture.change?.tooBigSpent === true) continue;
        await install(fixture);
        kernel.resetCounters();
        if ((await kernel.run(inputOf(fixture, hook))) === undefined) continue;
        const counted = Object.fromEntries([...kernel.counters()].sort());
        const wanted = Object.fromEntries(Object.entries(expectedCounters(fixture, hook)).sort());
        if (JSON.stringify(counted) !== JSON.stringify(wanted)) {
          wrong.push(`${fixture.name}: ${JSON.stringify(counted)}, not ${JSON.stringify(wanted)}`);
        }
      }
      expect(wrong).toEqual([]);
    },
  );

  test.each(['xdp', 'tc'] as const)(
    '%s: a quiet load says the same, counts nothing and sends nothing',
    async (hook) => {
      const wrong: string[] = [];
      for (const fixture of runnable.filter(isOrdinary)) {
        await install(fixture);
        kernel.resetCounters();
        const outcome = await kernel.run(inputOf(fixture, hook), QUIET);
        if (outcome === undefined) continue;
        const { record } = expectationOf(fixture, hook);
        const [got, wanted] = [kernel.describe(outcome.raw), kernel.describe(kernel.expected(record))];
        if (got !== wanted) wrong.push(`${fixture.name}: ${got}, not ${wanted}`);
        if (outcome.sent.length > 0) wrong.push(`${fixture.name}: sent ${outcome.sent.length} frames`);
        if (kernel.counters().size > 0) wrong.push(`${fixture.name}: counted`);
      }
      expect(wrong).toEqual([]);
    },
  );

  test('the reasons why a fixture is not run here are few and known', () => {
    const reasons = new Set(packetFixtures.flatMap(({ notInKernel }) => notInKernel ?? []));
    expect([...reasons].sort()).toEqual([
      'the test run cannot set skb->vlan_tci; test/system sends such frames through a veth',
      'the test run takes no frame shorter than an Ethernet header',
    ]);
    expect(runnable.length).toBeGreaterThanOrEqual(150);
    expect([...refused].filter((name) => !name.startsWith('tc '))).toEqual([]);
    expect(refused.size).toBeLessThanOrEqual(15);
  });
});
