/** The packet fixtures of test/fixtures/packets through both compiled objects. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { every } from '../../fixtures/packets/encap-scene.ts';
import { packetFixtures } from '../../fixtures/packets/index.ts';
import { mixed } from '../../fixtures/packets/scenes.ts';
import { differences } from '../../support/packet-compare.ts';
import { countersOf, membersFor } from '../../support/packet-counters.ts';
import { expectationOf, hooksOf, type PacketFixture } from '../../support/packet-fixture.ts';
import { inOrder, inputOf, installer } from '../../support/packet-fixture-run.ts';
import { COMPACT, isOnlyInHash, type LoadVariant, PacketKernel, PLAIN } from '../../support/packet-kernel.ts';

const QUIET: LoadVariant = { ...PLAIN, quiet: true };

let kernel: PacketKernel;
const install = installer(() => kernel);
/** Packets that the kernel's test run does not take; few, and counted below. */
const refused = new Set<string>();
const runs = { xdp: 0, tc: 0 };

beforeAll(async () => {
  const most = Math.max(...packetFixtures.map(({ scene }) => Object.keys(scene.devices).length));
  kernel = await PacketKernel.start(most);
}, 60_000);

afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
});

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

/** Verdict record, frames that leave, what the program returned. */
async function wrongOutcome(fixture: PacketFixture, hook: 'xdp' | 'tc'): Promise<string[]> {
  const input = inputOf(fixture, hook);
  const outcome = await kernel.run(input);
  if (outcome !== undefined) return differences(kernel, input, expectationOf(fixture, hook), outcome);
  refused.add(`${hook} ${fixture.name}`);
  return [];
}

/** Every packet is counted once, by the program that finished it. */
async function wrongCounters(fixture: PacketFixture, hook: 'xdp' | 'tc'): Promise<string[]> {
  await kernel.resetCounters();
  if ((await kernel.run(inputOf(fixture, hook), PLAIN, true)) === undefined) return [];
  const text = (counters: Iterable<readonly [string, number]>) =>
    JSON.stringify(Object.fromEntries([...counters].sort()));
  const [counted, wanted] = [text(kernel.counters()), text(Object.entries(expectedCounters(fixture, hook)))];
  return counted === wanted ? [] : [`counted ${counted}, not ${wanted}`];
}

/** A quiet load says the same, counts nothing and sends nothing. */
async function wrongWhenQuiet(fixture: PacketFixture, hook: 'xdp' | 'tc'): Promise<string[]> {
  await kernel.resetCounters();
  const outcome = await kernel.run(inputOf(fixture, hook), QUIET, true);
  if (outcome === undefined) return [];
  const { record } = expectationOf(fixture, hook);
  const [got, wanted] = [kernel.describe(outcome.raw), kernel.describe(kernel.expected(record))];
  return [
    ...(got === wanted ? [] : [`quiet: ${got}, not ${wanted}`]),
    ...(outcome.sent.length === 0 ? [] : [`quiet: sent ${outcome.sent.length} frames`]),
    ...(kernel.counters().size === 0 ? [] : ['quiet: counted']),
  ];
}

/** Addresses in tables of buckets make no difference. */
async function wrongWhenCompact(fixture: PacketFixture, hook: 'xdp' | 'tc'): Promise<string[]> {
  if (fixture.change?.faults?.some(isOnlyInHash)) return [];
  const input = inputOf(fixture, hook);
  const outcome = await kernel.run(input, COMPACT);
  const found = outcome === undefined ? [] : differences(kernel, input, expectationOf(fixture, hook), outcome);
  return found.map((text) => `compact: ${text}`);
}

test.each(inOrder().map((fixture) => [fixture.name, fixture] as const))('%s', async (_, fixture) => {
  await install(fixture);
  const wrong: string[] = [];
  for (const hook of hooksOf(fixture)) {
    const found = [
      ...(await wrongOutcome(fixture, hook)),
      ...(await wrongCounters(fixture, hook)),
      ...(isOrdinary(fixture) ? await wrongWhenQuiet(fixture, hook) : []),
      ...(isOrdinary(fixture) ? await wrongWhenCompact(fixture, hook) : []),
    ];
    runs[hook]++;
    wrong.push(...found.map((text) => `${hook}: ${text}`));
  }
  expect(wrong).toEqual([]);
});

test('the reasons why a fixture is not run here are few and known', () => {
  const reasons = new Set(packetFixtures.flatMap(({ notInKernel }) => notInKernel ?? []));
  expect([...reasons].sort()).toEqual(['the test run takes no frame shorter than an Ethernet header']);
  expect(runs.xdp).toBeGreaterThanOrEqual(150);
  expect([...refused].filter((name) => !name.startsWith('tc '))).toEqual([]);
  expect(refused.size).toBeLessThan(runs.tc / 50);
});
