/**
 * Thousands of edits through the API, and the daemon killed again and again, in their midst and while it starts: what was
 * acknowledged is in the kernel, and nothing else is.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EditStorm } from '../support/edit-storm.ts';
import { scaled } from '../support/long.ts';
import { Mapwire } from '../support/mapwire.ts';
import { chosenSeed } from '../support/packet-differential.ts';
import { eventually } from '../support/process.ts';
import { Random } from '../support/random.ts';
import { ThreeHosts } from '../support/three-hosts.ts';

const SEED = chosenSeed();
const ROUNDS = scaled(30);
const EDITS = 1_000;

let hosts: ThreeHosts;
let mapwire: Mapwire;

beforeAll(async () => {
  hosts = await ThreeHosts.build();
  await hosts.guest('a', 'ga', 10);
  await hosts.guest('b', 'gb', 20);
  await hosts.writeTable();
  mapwire = await Mapwire.start(hosts.hosts.a, { node: 'host-a', table: hosts.tablePath });
});
afterAll(() => hosts?.close());

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test(`${ROUNDS} kills among ${ROUNDS * EDITS} edits (seed ${SEED})`, async () => {
  const random = new Random(`${SEED} edits`);
  const storm = new EditStorm(mapwire, random);
  let kills = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const before = storm.acknowledged;
    const point = before + random.between(1, EDITS - 100);
    const storming = storm.run(EDITS);
    await eventually('the point of the kill', () => storm.acknowledged >= point, 120_000);
    await mapwire.stop('SIGKILL');
    await storming;
    expect(storm.acknowledged - before).toBeLessThan(EDITS);
    kills++;
    if (random.chance(0.5)) {
      const daemon = await mapwire.run(false);
      await pause(random.below(600));
      daemon.child.kill('SIGKILL');
      await daemon.exit();
      kills++;
    }
    await mapwire.run();
    expect(await storm.differences(), `round ${round}`).toEqual([]);
    await storm.run(EDITS - (storm.acknowledged - before));
    expect(await storm.differences(), `the rest of round ${round}`).toEqual([]);
    expect(storm.acknowledged - before).toBe(EDITS);
  }
  // an ordinary restart has nothing to write
  await mapwire.stop();
  await mapwire.run();
  expect(await mapwire.json('status')).toMatchObject({ state: 'ready', lastApply: { total: 0 } });
  expect(await storm.differences()).toEqual([]);
  console.info(`edits: seed ${SEED}, ${storm.acknowledged} acknowledged, ${kills} kills, ${storm.ports} ports left`);
});
