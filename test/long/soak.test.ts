/**
 * Minutes of traffic, edits by file and by API, devices that come and go, daemons that end and are killed: no packet of a
 * port that did not change is lost, and when the table is what it was, so is all that an instance holds.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EditStorm } from '../support/edit-storm.ts';
import { grown, holdings } from '../support/holdings.ts';
import { scaled } from '../support/long.ts';
import type { Mapwire } from '../support/mapwire.ts';
import { chosenSeed } from '../support/packet-differential.ts';
import { eventually } from '../support/process.ts';
import { Random } from '../support/random.ts';
import { addresses, type Guest, ThreeHosts } from '../support/three-hosts.ts';
import { PingStream, transfer } from '../support/traffic.ts';

const SEED = chosenSeed();
const MINUTES = scaled(180, 30) / 60;

let hosts: ThreeHosts;
let a: Guest;
let b: Guest;
let c: Guest;

async function start(hook: 'tc' | 'xdp'): Promise<void> {
  a = await hosts.guest('a', 'ga', 10);
  b = await hosts.guest('b', 'gb', 20);
  c = await hosts.guest('c', 'gc', 30);
  await hosts.guest('b', 'other', 21);
  // a device without a guest, which comes and goes
  hosts.table.ports.flap = { network: 'blue', ...port(40), at: [{ node: 'host-a', interface: 'flap' }] };
  await plugIn();
  await hosts.writeTable();
  await hosts.start({ hook });
}

beforeEach(async () => {
  hosts = await ThreeHosts.build();
});
afterEach(() => hosts?.close());

function port(n: number): { mac: string; ips: string[] } {
  const { mac, ip4, ip6 } = addresses(n);
  return { mac, ips: [ip4, ip6] };
}

const plugIn = () => hosts.hosts.a.ip('link add flap type veth peer name flip', 'link set flap up', 'link set flip up');
const unplug = () => hosts.hosts.a.ip('link del flap');

async function isAttached(): Promise<boolean> {
  const list = JSON.parse((await hosts.a.api('GET', '/v1/ports')).text) as { port: string; hook: string }[];
  return list.some((one) => one.port === 'flap' && one.hook !== 'none');
}

/** Writes the table and waits until both hosts have it. */
async function edit(change: () => void): Promise<void> {
  const [before, beforeB] = [await hosts.a.applied(), await hosts.b.applied()];
  change();
  await hosts.writeTable();
  await Promise.all([hosts.a.appliedAfter(before), hosts.b.appliedAfter(beforeB)]);
}

async function fileEdits(random: Random): Promise<void> {
  const before = hosts.table.ports.other!.ips;
  const bulk = random.between(50, 300);
  await edit(() => {
    hosts.table.ports.other!.ips = [addresses(77).ip4];
    for (let n = 0; n < bulk; n++) {
      const [high, low] = [n >> 8, n & 255].map((byte) => byte.toString(16).padStart(2, '0'));
      const ips = [`10.2.${n >> 8}.${n & 255}`, `fd00:2::${high}:${low}`];
      hosts.table.ports[`bulk-${n}`] = {
        network: 'blue',
        mac: `02:00:00:01:${high}:${low}`,
        ips,
        allow: ['10.9.0.0/16'],
        at: [{ node: n % 2 === 0 ? 'host-b' : 'host-c' }],
      };
    }
  });
  await edit(() => {
    hosts.table.ports.other!.ips = before;
    for (let n = 0; n < bulk; n++) delete hosts.table.ports[`bulk-${n}`];
  });
}

/** Ends a daemon, in one way or another, and starts it again. */
async function restart(one: Mapwire, random: Random): Promise<void> {
  await one.stop(random.chance(0.5) ? 'SIGKILL' : 'SIGTERM');
  await one.run();
}

async function cycle(storm: EditStorm, random: Random): Promise<void> {
  await fileEdits(random);
  await storm.run(100);
  expect(await storm.differences()).toEqual([]);
  await storm.clear();
  await unplug();
  await eventually('the device is gone', async () => !(await isAttached()));
  await restart(hosts.a, random);
  await plugIn();
  await eventually('the device is attached', isAttached);
  await transfer(a.namespace, b.namespace, b.ip6, 4 << 20);
  await transfer(a.namespace, c.namespace, c.ip4, 4 << 20);
}

async function residentMiB(one: Mapwire): Promise<number> {
  const { stdout } = await one.host.run(['grep', 'VmRSS', `/proc/${one.daemon!.pid}/status`]);
  return Math.round(Number(/\d+/.exec(stdout)?.[0]) / 1024);
}

test.each(['tc', 'xdp'] as const)(`hook: %s, ${MINUTES} minutes (seed ${SEED})`, async (hook) => {
  await start(hook);
  const random = new Random(`${SEED} soak ${hook}`);
  const storm = new EditStorm(hosts.a, random);
  const streams = [
    new PingStream(a.namespace, b.ip4, 0.01),
    new PingStream(b.namespace, a.ip6, 0.01),
    new PingStream(c.namespace, a.ip4, 0.01),
  ];
  for (const stream of streams) await stream.flowing();
  // the first rounds fill what is made once: connections, caches, the log of edits
  for (let i = 0; i < 2; i++) await cycle(storm, random);
  // the daemon of host-b is never restarted
  const instances = [hosts.a, hosts.b];
  // with the programs that are made for the plan, which come a little later
  await Promise.all(instances.map((one) => one.settled()));
  const first = await Promise.all(instances.map(holdings));
  const memory = [await residentMiB(hosts.b)];
  const until = Date.now() + MINUTES * 60_000;
  let cycles = 2;
  while (Date.now() < until) {
    await cycle(storm, random);
    cycles++;
    // descriptors of the connections of a moment ago go a little later
    await eventually(`after cycle ${cycles} no more is held than at first`, async () => {
      for (const [i, one] of instances.entries()) expect(grown(first[i]!, await holdings(one))).toEqual([]);
      return true;
    });
    memory.push(await residentMiB(hosts.b));
  }
  const results = await Promise.all(streams.map((stream) => stream.stop()));
  for (const [i, stream] of streams.entries()) {
    expect(stream.lost()).toEqual([]);
    expect(results[i]!.received).toBe(results[i]!.sent);
  }
  const sent = results.reduce((sum, one) => sum + one.sent, 0);
  const words = [
    `hook ${hook}`,
    `seed ${SEED}`,
    `${cycles} cycles`,
    `${storm.acknowledged} edits by API`,
    `${sent} pings, none lost`,
  ];
  console.info(`soak: ${words.join(', ')}; memory of a daemon in MiB: ${memory.join(' ')}`);
});

/** Seconds between two restarts of the daemon that is restarted. */
const LIFE = 20;
const EDIT_SECONDS = scaled(600, 60);
/** Edits a second: through the daemon that is restarted, and through the one that is not. */
const RATES = [800, 200] as const;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Edits at a rate, until told to end; the rate that was reached. */
async function storming(storm: EditStorm, rate: number, goesOn: () => boolean): Promise<number> {
  const before = storm.acknowledged;
  const begin = performance.now();
  while (goesOn()) {
    const second = performance.now();
    await storm.run(rate);
    await pause(Math.max(1, 1_000 - (performance.now() - second)));
  }
  return (storm.acknowledged - before) / ((performance.now() - begin) / 1_000);
}

test(`edits by the thousand and a restart every ${LIFE} s, ${EDIT_SECONDS} s (seed ${SEED})`, async () => {
  await start('tc');
  const random = new Random(`${SEED} soak edits`);
  const [storm, steady] = [new EditStorm(hosts.a, random), new EditStorm(hosts.b, new Random(`${SEED} steady`))];
  const streams = [
    new PingStream(a.namespace, b.ip4, 0.01),
    new PingStream(b.namespace, a.ip6, 0.01),
    new PingStream(c.namespace, a.ip4, 0.01),
  ];
  for (const stream of streams) await stream.flowing();
  // the first ones make what is made once
  await Promise.all([storm.run(2_000), steady.run(2_000)]);
  await Promise.all([storm.clear(), steady.clear()]);
  // with the programs that are made for the plan, which come a little later
  await Promise.all([hosts.a.settled(), hosts.b.settled()]);
  const first = await holdings(hosts.a);
  const descriptors = await holdings(hosts.b);
  const until = Date.now() + EDIT_SECONDS * 1_000;
  const memory: number[] = [];
  const rates: number[] = [];
  const steadily = storming(steady, RATES[1], () => Date.now() < until);
  let restarts = 0;
  while (Date.now() < until) {
    const end = Math.min(until, Date.now() + LIFE * 1_000);
    // A kill meets edits on the way; an end by signal does as well.
    const goesOn = () => Date.now() < end && hosts.a.daemon?.running === true;
    const edits = storming(storm, RATES[0], goesOn);
    await pause(Math.max(0, end - Date.now() - 200));
    memory.push(await residentMiB(hosts.b));
    await hosts.a.stop(random.chance(0.5) ? 'SIGKILL' : 'SIGTERM');
    rates.push(Math.round(await edits));
    await hosts.a.run();
    restarts++;
    expect(await storm.differences(), `after restart ${restarts}`).toEqual([]);
  }
  rates.push(Math.round(await steadily));
  expect(await steady.differences()).toEqual([]);
  const results = await Promise.all(streams.map((stream) => stream.stop()));
  for (const [i, stream] of streams.entries()) {
    expect(stream.lost()).toEqual([]);
    expect(results[i]!.received).toBe(results[i]!.sent);
  }
  // What the edits made is gone with them, and the maps are the plan's: an ordinary restart finds nothing to write.
  await storm.clear();
  await eventually('no more is held than at first', async () => {
    expect(grown(first, await holdings(hosts.a))).toEqual([]);
    return true;
  });
  await steady.clear();
  await eventually('the daemon that was not restarted holds no more', async () => {
    expect(grown(descriptors, await holdings(hosts.b))).toEqual([]);
    return true;
  });
  for (const one of [hosts.a, hosts.b]) {
    await one.stop();
    await one.run();
    expect(await one.json('status')).toMatchObject({ state: 'ready', lastApply: { total: 0 } });
  }
  const sent = results.reduce((sum, one) => sum + one.sent, 0);
  const words = [
    `seed ${SEED}`,
    `${restarts} restarts`,
    `${storm.acknowledged + steady.acknowledged} edits`,
    `${sent} pings, none lost`,
  ];
  console.info(`soak: ${words.join(', ')}; edits a second: ${rates.join(' ')}; memory in MiB: ${memory.join(' ')}`);
  const third = Math.ceil(memory.length / 3);
  const least = (list: number[]) => Math.min(...list);
  // a heap breathes; what leaks does not come back
  expect(least(memory.slice(-third))).toBeLessThan(least(memory.slice(0, third)) * 1.25 + 16);
});
