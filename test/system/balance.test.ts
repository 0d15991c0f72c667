/**
 * A balanced address between three hosts: connections spread over its members, answers by direct return, a dead member moves
 * only its own, members here first. TCP and UDP, both families, both hooks.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answersOf, datagramAnswers, hold, serveAddresses, tally } from '../support/balanced.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { eventually } from '../support/process.ts';
import { ping } from '../support/traffic.ts';

const HOSTS = ['host-a', 'host-b', 'host-c'] as const;
const PORT = 8000;
const MAC = '02:00:00:01:0a:01';
const ADDRESS = { 4: '10.1.0.100', 6: 'fd00:1::100' } as const;
const FAMILIES = [4, 6] as const;
const CONNECTIONS = 60;

interface Member {
  port: string;
  weight?: number;
  priority?: number;
  state?: 'up' | 'down';
}

/** The table of these tests has a section more than others. */
function balanced(overlay: Overlay, members: readonly Member[], more: object = {}): void {
  const addresses = { web: { network: 'blue', mac: MAC, ips: [ADDRESS[4], ADDRESS[6]], ...more, members } };
  Object.assign(overlay.table, { addresses });
}

/** Says on a host what a probe that fails, or comes back, would say of a node: one map write. */
async function setDead(overlay: Overlay, host: string, node: string, dead: boolean): Promise<void> {
  const body = JSON.stringify({ node, state: dead ? 'down' : 'clear' });
  const { status, text } = await overlay.daemon(host).api('POST', '/v1/node-state', body);
  expect(status, text).toBe(200);
}

describe.each([
  ['tc', 4],
  ['xdp', 6],
] as const)('hook: %s, underlay: IPv%i', (hook, underlay) => {
  let overlay: Overlay;
  let client: OverlayGuest;
  let members: OverlayGuest[];

  beforeAll(async () => {
    overlay = await Overlay.build();
    for (const [index, name] of HOSTS.entries()) {
      await overlay.host(name, index + 1);
      overlay.node(name, [underlay], { region: name === 'host-c' ? 'south' : 'north' });
    }
    overlay.network('blue', { encap: 'vxlan', segment: 5001 });
    client = await overlay.guest('host-a', 'blue', { n: 1 });
    members = [];
    for (const [index, name] of HOSTS.entries()) {
      members.push(await overlay.guest(name, 'blue', { n: 11 + index }));
      await serveAddresses(members[index]!, name, PORT, [ADDRESS[4], ADDRESS[6]]);
    }
    balanced(
      overlay,
      members.map(({ device }) => ({ port: device })),
    );
    await overlay.start(HOSTS, { hook });
  });
  afterAll(() => overlay?.close());

  test.each(FAMILIES)('IPv%i: it is found at a MAC of its own, and answers a ping', async (family) => {
    const { received, sent } = await ping(client.namespace, ADDRESS[family], { count: 3, interval: 0.05 });
    expect(received).toBe(sent);
    const { stdout } = await client.namespace.run(['ip', '-j', 'neigh', 'show', 'to', ADDRESS[family]]);
    expect((JSON.parse(stdout) as { lladdr?: string }[])[0]?.lladdr).toBe(MAC);
  });

  test.each(FAMILIES)('IPv%i: UDP is spread over the members, and comes back from the address', async (family) => {
    const counts = tally(await datagramAnswers(client, ADDRESS[family], PORT));
    expect(Object.keys(counts).sort()).toEqual([...HOSTS]);
    for (const host of HOSTS) expect(counts[host]).toBeGreaterThan(15);
  });

  test.each(FAMILIES)('IPv%i: a dead member moves its own flows, and breaks no other connection', async (family) => {
    const name = `dead ${family}`;
    await hold(client, name, ADDRESS[family], PORT, CONNECTIONS);
    const before = await answersOf(client, name);
    expect(Object.keys(tally(before)).sort()).toEqual([...HOSTS]);
    expect(await answersOf(client, name)).toEqual(before);

    await setDead(overlay, 'host-a', 'host-b', true);
    const after = await answersOf(client, name, 600);
    before.forEach((server, i) => {
      // those of host-b arrive where nobody knows them
      if (server === 'host-b') expect(after[i]).not.toBe('host-b');
      else expect(after[i]).toBe(server);
    });
    const counts = tally(await datagramAnswers(client, ADDRESS[family], PORT));
    expect(Object.keys(counts).sort()).toEqual(['host-a', 'host-c']);

    await setDead(overlay, 'host-a', 'host-b', false);
    await client.agent.ask('unkeep', { name });
    expect(Object.keys(tally(await datagramAnswers(client, ADDRESS[family], PORT))).sort()).toEqual([...HOSTS]);
  });

  test('a member that is marked down leaves at once; most connections of the others stay', async () => {
    const name = 'down';
    await hold(client, name, ADDRESS[4], PORT, CONNECTIONS);
    const before = await answersOf(client, name);
    const list: Member[] = members.map(({ device }) => ({ port: device }));
    balanced(overlay, [list[0]!, list[1]!, { ...list[2]!, state: 'down' }]);
    await overlay.applyTable();
    const after = await answersOf(client, name, 600);
    const others = before.filter((server) => server !== 'host-c').length;
    const kept = before.filter((server, i) => server !== 'host-c' && after[i] === server).length;
    console.info(`balance: ${hook}: one of three members leaves: ${kept} of ${others} connections of the others stay`);
    expect(after).not.toContain('host-c');
    expect(kept).toBeGreaterThanOrEqual(others * 0.9);
    expect(Object.keys(tally(await datagramAnswers(client, ADDRESS[4], PORT))).sort()).toEqual(['host-a', 'host-b']);
    await client.agent.ask('unkeep', { name });
  });

  test('members here first; without their interface, the others', async () => {
    balanced(
      overlay,
      members.map(({ device }) => ({ port: device })),
      { prefer: 'local' },
    );
    await overlay.applyTable();
    for (const family of FAMILIES)
      expect(tally(await datagramAnswers(client, ADDRESS[family], PORT))).toEqual({ 'host-a': 120 });
    // the interface goes: another name is no port's
    const { namespace } = overlay.hosts.get('host-a')!;
    const { device } = members[0]!;
    await namespace.ip(`link set ${device} down`, `link set ${device} name gone`, 'link set gone up');
    await eventually('host-a misses the interface', async () => {
      return (await datagramAnswers(client, ADDRESS[4], PORT, 20)).every(
        (server) => server === 'host-b' || server === 'host-c',
      );
    });
    for (const family of FAMILIES) {
      expect(Object.keys(tally(await datagramAnswers(client, ADDRESS[family], PORT))).sort()).toEqual([
        'host-b',
        'host-c',
      ]);
    }
    await namespace.ip('link set gone down', `link set gone name ${device}`, `link set ${device} up`);
    await eventually('host-a has it again', async () => {
      return (await datagramAnswers(client, ADDRESS[6], PORT, 20)).every((server) => server === 'host-a');
    });
  });

  /** The address with these differences of members, in the order of the hosts. */
  async function apply(differences: readonly Partial<Member>[], more: object = {}): Promise<void> {
    balanced(
      overlay,
      members.map(({ device }, i) => ({ port: device, ...differences[i] })),
      more,
    );
    await overlay.applyTable();
  }

  /** Who answers datagrams and new connections. */
  async function answering(family: 4 | 6): Promise<string[]> {
    const name = `answering ${family}`;
    await hold(client, name, ADDRESS[family], PORT, 20);
    const answers = [...(await answersOf(client, name)), ...(await datagramAnswers(client, ADDRESS[family], PORT, 60))];
    await client.agent.ask('unkeep', { name });
    return Object.keys(tally(answers)).sort();
  }

  test('members of the region first; the others when none of it lives', async () => {
    await apply([], { prefer: 'region' });
    for (const family of FAMILIES) expect(await answering(family)).toEqual(['host-a', 'host-b']);
    await apply([{ state: 'down' }], { prefer: 'region' });
    for (const family of FAMILIES) expect(await answering(family)).toEqual(['host-b']);
    await setDead(overlay, 'host-a', 'host-b', true);
    for (const family of FAMILIES) expect(await answering(family)).toEqual(['host-c']);
    await setDead(overlay, 'host-a', 'host-b', false);
    for (const family of FAMILIES) expect(await answering(family)).toEqual(['host-b']);
  });

  test('the lower priority while one of it lives; weights', async () => {
    await apply([{ priority: 2 }, {}, { priority: 2 }]);
    for (const family of FAMILIES) expect(await answering(family)).toEqual(['host-b']);
    await setDead(overlay, 'host-a', 'host-b', true);
    for (const family of FAMILIES) expect(await answering(family)).toEqual(['host-a', 'host-c']);
    await setDead(overlay, 'host-a', 'host-b', false);
    await apply([{ weight: 5 }, { weight: 90 }, { weight: 5 }]);
    for (const family of FAMILIES) {
      expect(tally(await datagramAnswers(client, ADDRESS[family], PORT))['host-b']).toBeGreaterThan(80);
    }
  });

  test('the last that lives has all flows, however few its slots are', async () => {
    await apply([{ weight: 1 }, { weight: 80 }, { weight: 80 }]);
    for (const host of ['host-b', 'host-c']) await setDead(overlay, 'host-a', host, true);
    for (const family of FAMILIES) {
      expect(tally(await datagramAnswers(client, ADDRESS[family], PORT))).toEqual({ 'host-a': 120 });
    }
    for (const host of ['host-b', 'host-c']) await setDead(overlay, 'host-a', host, false);
  });

  test('a drained port, and a port on a drained node, get nothing while another is up', async () => {
    await apply([]);
    const port = overlay.table.ports[members[0]!.device]!;
    port.state = 'drain';
    await overlay.applyTable();
    for (const family of FAMILIES) expect(await answering(family)).toEqual(['host-b', 'host-c']);
    const { status } = await overlay
      .daemon('host-a')
      .api('POST', '/v1/node-state', JSON.stringify({ node: 'host-b', state: 'drain' }));
    expect(status).toBe(200);
    for (const family of FAMILIES) expect(await answering(family)).toEqual(['host-c']);
    await setDead(overlay, 'host-a', 'host-b', false);
    delete port.state;
    await overlay.applyTable();
    for (const family of FAMILIES) expect(await answering(family)).toEqual([...HOSTS]);
  });

  test('affinity: flow drops fragments by reason; affinity: source carries them, and keeps all of a source together', async () => {
    const large = (family: 4 | 6) => ping(client.namespace, ADDRESS[family], { size: 4000, interval: 0.02 });
    const fragments = async () => (await overlay.drops('host-a'))['balanced-fragment'] ?? 0;
    for (const family of FAMILIES) {
      const before = await fragments();
      // the first may be answered with "too big"
      await eventually('fragments are dropped', async () => {
        expect((await large(family)).received).toBe(0);
        return (await fragments()) > before;
      });
    }
    await apply([], { affinity: 'source' });
    const dropped = await fragments();
    for (const family of FAMILIES) {
      const [only, ...others] = await answering(family);
      expect(HOSTS).toContain(only);
      expect(others).toEqual([]);
      // the member learns how much fits, too
      await eventually('fragments come through', async () => (await large(family)).received === 3);
    }
    expect(await fragments()).toBe(dropped);
  });
});
