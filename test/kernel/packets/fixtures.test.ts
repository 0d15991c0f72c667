/** The packet fixtures of test/fixtures/packets through both compiled objects. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { every } from '../../fixtures/packets/encap-scene.ts';
import { packetFixtures } from '../../fixtures/packets/index.ts';
import { mixed } from '../../fixtures/packets/scenes.ts';
import { differences } from '../../support/packet-compare.ts';
import { countersOf, membersFor } from '../../support/packet-counters.ts';
import { expectationOf, frameOf, hooksOf, type PacketFixture } from '../../support/packet-fixture.ts';
import { asReceived, type LoadVariant, type PacketInput, PacketKernel, PLAIN } from '../../support/packet-kernel.ts';
import { environmentOf, programOf } from '../../support/scene.ts';

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

function inputOf(fixture: PacketFixture, hook: 'xdp' | 'tc'): PacketInput {
  const { gsoSize, firstBuffer, metadataTag } = fixture;
  return asReceived({
    hook,
    program: programOf(fixture.scene, fixture.from),
    device: fixture.from,
    frame: frameOf(fixture.frame),
    ...(fixture.second === true && { second: true }),
    ...(hook === 'tc' && gsoSize !== undefined && { gsoSize }),
    ...(hook === 'tc' && metadataTag !== undefined && { metadataTag }),
    ...(hook === 'xdp' && firstBuffer !== undefined && { firstBuffer }),
  });
}

function expectedCounters(fixture: PacketFixture, hook: 'xdp' | 'tc'): Record<string, number> {
  const { record, outputs } = expectationOf(fixture, hook);
  const { scene, from, change } = fixture;
  const { network } = record;
  const hasList = change?.faults?.some(({ target, key }) => target === 'flood' && key === network) !== true;
  const members = network === undefined ? 0 : membersFor(scene, from, network, hasList);
  return countersOf(from, record, outputs, members, fixture.second);
}

/** Runs with the constants that most fixtures have: each other set is one more load of both objects. */
function isOrdinary({ scene, change = {} }: PacketFixture): boolean {
  const { guard, ports, unknownSegment, ttl, dscp, tooBigSpent, floodSpent, segmenter } = change;
  const constants = [ports, unknownSegment, ttl, dscp, tooBigSpent, floodSpent, segmenter];
  return (scene === mixed || scene === every) && guard !== 'off' && constants.every((value) => value === undefined);
}

function runnable(hook: 'xdp' | 'tc'): PacketFixture[] {
  return packetFixtures.filter((fixture) => fixture.notInKernel === undefined && hooksOf(fixture).includes(hook));
}

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  test.each(runnable(hook).map((fixture) => [fixture.name, fixture] as const))('%s', async (_, fixture) => {
    await install(fixture);
    const input = inputOf(fixture, hook);
    const outcome = await kernel.run(input);
    if (outcome === undefined) refused.add(`${hook} ${fixture.name}`);
    else expect(differences(kernel, input, expectationOf(fixture, hook), outcome)).toEqual([]);
  });
});

describe('what else has to hold', () => {
  test.each(['xdp', 'tc'] as const)(
    '%s: every packet is counted once, by the program that finished it',
    async (hook) => {
      const wrong: string[] = [];
      for (const fixture of runnable(hook)) {
        await install(fixture);
        kernel.resetCounters();
        if ((await kernel.run(inputOf(fixture, hook), PLAIN, true)) === undefined) continue;
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
      for (const fixture of runnable(hook).filter(isOrdinary)) {
        await install(fixture);
        kernel.resetCounters();
        const outcome = await kernel.run(inputOf(fixture, hook), QUIET, true);
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
    expect([...reasons].sort()).toEqual(['the test run takes no frame shorter than an Ethernet header']);
    expect(runnable('xdp').length).toBeGreaterThanOrEqual(150);
    expect([...refused].filter((name) => !name.startsWith('tc '))).toEqual([]);
    expect(refused.size).toBeLessThan(runnable('tc').length / 50);
  });
});
