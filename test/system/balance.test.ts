/**
 * A balanced address between three hosts: connections spread over its members, answers by direct return, a dead member moves
 * only its own, members here first. TCP and UDP, both families, both hooks.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { pinnedMap } from '../support/pinned-maps.ts';
import { eventually, run } from '../support/process.ts';
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
  state?: 'up' | 'down';
}

/** The table of these tests has a section more than others. */
function balanced(overlay: Overlay, members: readonly Member[], more: object = {}): void {
  const addresses = { web: { network: 'blue', mac: MAC, ips: [ADDRESS[4], ADDRESS[6]], ...more, members } };
  Object.assign(overlay.table, { addresses });
}

/** A guest that serves the address: it has it on its loopback device, and never speaks of it. */
async function serve(guest: OverlayGuest): Promise<void> {
  const { namespace } = guest;
  await namespace.sysctl({
    'net.ipv4.conf.all.arp_ignore': 1,
    'net.ipv4.conf.eth0.arp_ignore': 1,
    'net.ipv4.conf.all.arp_announce': 2,
    'net.ipv4.conf.eth0.arp_announce': 2,
  });
  await namespace.ip('link set lo up', `addr add ${ADDRESS[4]}/32 dev lo`, `addr add ${ADDRESS[6]}/128 dev lo nodad`);
  await guest.agent.ask('serveName', { name: guest.host, port: PORT, addresses: [ADDRESS[4], ADDRESS[6]] });
}

function tally(answers: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
}

async function poll(client: OverlayGuest, name: string, wait = 3000): Promise<string[]> {
  return (await client.agent.ask<{ answers: string[] }>('poll', { name, wait })).answers;
}

let first = 20_000;

async function datagrams(client: OverlayGuest, family: 4 | 6, count = 120): Promise<string[]> {
  first += count;
  const request = { to: ADDRESS[family], port: PORT, count, first, wait: 3000 };
  return (await client.agent.ask<{ answers: string[] }>('askNames', request)).answers;
}

/** Marks a node dead in the map of a host's data plane: one write, as a probe that fails would make. */
async function setDead(overlay: Overlay, host: string, node: string, dead: boolean): Promise<void> {
  const path = await pinnedMap(overlay.daemon(host), 'node');
  const { stdout } = await run(['bpftool', '-j', 'map', 'dump', 'pinned', path]);
  const remote = Buffer.from(`00000000000000000000ffff${hex(overlay.hosts.get(node)!.ip4)}`, 'hex');
  for (const { key, value } of JSON.parse(stdout) as { key: string[]; value: string[] }[]) {
    const bytes = value.map(Number);
    if (!Buffer.from(bytes.slice(8, 24)).equals(remote)) continue;
    bytes[4] = dead ? bytes[4]! | 1 : bytes[4]! & ~1;
    await run(['bpftool', 'map', 'update', 'pinned', path, 'key', ...key, 'value', ...bytes.map(String)]);
    return;
  }
  throw new Error(`${host} has no entry of ${node}`);
}

function hex(ip4: string): string {
  return Buffer.from(ip4.split('.').map(Number)).toString('hex');
}

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let overlay: Overlay;
  let client: OverlayGuest;
  let members: OverlayGuest[];

  beforeAll(async () => {
    overlay = await Overlay.build();
    for (const [index, name] of HOSTS.entries()) {
      await overlay.host(name, index + 1);
      overlay.node(name);
    }
    overlay.network('blue', { encap: 'vxlan', segment: 5001 });
    client = await overlay.guest('host-a', 'blue', { n: 1 });
    members = [];
    for (const [index, name] of HOSTS.entries()) {
      members.push(await overlay.guest(name, 'blue', { n: 11 + index }));
      await serve(members[index]!);
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
    const counts = tally(await datagrams(client, family));
    expect(Object.keys(counts).sort()).toEqual([...HOSTS]);
    for (const host of HOSTS) expect(counts[host]).toBeGreaterThan(15);
  });

  test.each(FAMILIES)('IPv%i: a dead member moves its own flows, and breaks no other connection', async (family) => {
    const name = `dead ${family}`;
    await client.agent.ask('keep', { name, to: ADDRESS[family], port: PORT, count: CONNECTIONS });
    const before = await poll(client, name);
    expect(Object.keys(tally(before)).sort()).toEqual([...HOSTS]);
    expect(await poll(client, name)).toEqual(before);

    await setDead(overlay, 'host-a', 'host-b', true);
    const after = await poll(client, name, 600);
    before.forEach((server, i) => {
      // those of host-b arrive where nobody knows them
      if (server === 'host-b') expect(after[i]).not.toBe('host-b');
      else expect(after[i]).toBe(server);
    });
    const counts = tally(await datagrams(client, family));
    expect(Object.keys(counts).sort()).toEqual(['host-a', 'host-c']);

    await setDead(overlay, 'host-a', 'host-b', false);
    await client.agent.ask('unkeep', { name });
    expect(Object.keys(tally(await datagrams(client, family))).sort()).toEqual([...HOSTS]);
  });

  test('a member that is marked down leaves at once; most connections of the others stay', async () => {
    const name = 'down';
    await client.agent.ask('keep', { name, to: ADDRESS[4], port: PORT, count: CONNECTIONS });
    const before = await poll(client, name);
    const list: Member[] = members.map(({ device }) => ({ port: device }));
    balanced(overlay, [list[0]!, list[1]!, { ...list[2]!, state: 'down' }]);
    await overlay.applyTable();
    const after = await poll(client, name, 600);
    const others = before.filter((server) => server !== 'host-c').length;
    const kept = before.filter((server, i) => server !== 'host-c' && after[i] === server).length;
    console.info(`balance: ${hook}: one of three members leaves: ${kept} of ${others} connections of the others stay`);
    expect(after).not.toContain('host-c');
    expect(kept).toBeGreaterThanOrEqual(others * 0.9);
    expect(Object.keys(tally(await datagrams(client, 4))).sort()).toEqual(['host-a', 'host-b']);
    await client.agent.ask('unkeep', { name });
  });

  test('members here first; without their interface, the others', async () => {
    balanced(
      overlay,
      members.map(({ device }) => ({ port: device })),
      { prefer: 'local' },
    );
    await overlay.applyTable();
    for (const family of FAMILIES) expect(tally(await datagrams(client, family))).toEqual({ 'host-a': 120 });
    // the interface goes: another name is no port's
    const { namespace } = overlay.hosts.get('host-a')!;
    const { device } = members[0]!;
    await namespace.ip(`link set ${device} down`, `link set ${device} name gone`, 'link set gone up');
    await eventually('host-a misses the interface', async () => {
      return (await datagrams(client, 4, 20)).every((server) => server === 'host-b' || server === 'host-c');
    });
    for (const family of FAMILIES) {
      expect(Object.keys(tally(await datagrams(client, family))).sort()).toEqual(['host-b', 'host-c']);
    }
    await namespace.ip('link set gone down', `link set gone name ${device}`, `link set ${device} up`);
    await eventually('host-a has it again', async () => {
      return (await datagrams(client, 6, 20)).every((server) => server === 'host-a');
    });
  });
});
