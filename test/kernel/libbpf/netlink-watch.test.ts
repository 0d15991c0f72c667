import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Netlink, type NetlinkEvent, NetlinkWatch } from '../../../src/libbpf/index.ts';
import { run } from '../../support/process.ts';
import { openDescriptors, Pair, uniqueName } from './support.ts';

let pair: Pair;
beforeAll(async () => {
  pair = await Pair.create();
});
afterAll(() => pair[Symbol.asyncDispose]());

/** Events until one satisfies `last`. */
async function until(watch: NetlinkWatch, last: (event: NetlinkEvent) => boolean): Promise<NetlinkEvent[]> {
  const events: NetlinkEvent[] = [];
  for await (const event of watch) {
    events.push(event);
    if (last(event)) return events;
  }
  throw new Error('the watch ended');
}

describe('events', () => {
  test('a device comes, changes and goes', async () => {
    using watch = new NetlinkWatch({ groups: ['devices'] });
    const name = uniqueName();
    await run(['ip', 'link', 'add', name, 'type', 'bridge']);
    await run(['ip', 'link', 'set', name, 'mtu', '1300', 'up']);
    await run(['ip', 'link', 'del', name]);
    const events = await until(
      watch,
      (event) => event.type === 'device' && event.action === 'del' && event.device.name === name,
    );
    const own = events.filter((event) => event.type === 'device' && event.device.name === name);
    expect(own[0]).toMatchObject({ action: 'new', device: { kind: 'bridge', up: false } });
    expect(own).toContainEqual(
      expect.objectContaining({ action: 'new', device: expect.objectContaining({ mtu: 1300, up: true }) }),
    );
  });

  test('addresses, routes and neighbours, IPv4 and IPv6', async () => {
    using watch = new NetlinkWatch({ groups: ['addresses', 'routes', 'neighbours'] });
    using netlink = new Netlink();
    const six = Uint8Array.from([0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 5]);
    await pair.configure();
    await run(['ip', 'route', 'add', '203.0.113.9/32', 'dev', pair.name]);
    const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
    await netlink.putNeighbour({ ifindex: pair.ifindex, address: six, mac });
    await netlink.deleteNeighbour({ ifindex: pair.ifindex, address: six });
    await run(['ip', 'route', 'del', '203.0.113.9/32']);
    const events = await until(
      watch,
      (event) =>
        event.type === 'route' &&
        event.action === 'del' &&
        event.route.destination?.join('.') === '203.0.113.9' &&
        event.route.table === 254,
    );
    const own = events.filter(
      (event) => !('neighbour' in event) || event.neighbour.address.byteLength === 16 || event.action === 'new',
    );
    expect(own).toContainEqual(
      expect.objectContaining({
        type: 'address',
        action: 'new',
        address: expect.objectContaining({ ifindex: pair.ifindex, prefixLength: 24 }),
      }),
    );
    expect(own).toContainEqual(
      expect.objectContaining({
        type: 'neighbour',
        action: 'new',
        neighbour: expect.objectContaining({ address: six, mac, ifindex: pair.ifindex }),
      }),
    );
  });
});

test('lost notifications are said, once, and then it goes on', async () => {
  using watch = new NetlinkWatch({ groups: ['devices'], receiveBuffer: 2048 });
  const name = uniqueName();
  await run(['ip', 'link', 'add', name, 'type', 'bridge']);
  // nobody reads meanwhile
  const lines = Array.from({ length: 400 }, (_, i) => `link set ${name} mtu ${1000 + i}`);
  await run(['ip', '-batch', '-'], { input: lines.join('\n') });
  const events = await until(watch, (event) => event.type === 'overrun');
  expect(events.length).toBeLessThan(400);
  await run(['ip', 'link', 'del', name]);
  const rest = await until(
    watch,
    (event) => event.type === 'device' && event.action === 'del' && event.device.name === name,
  );
  expect(rest.filter(({ type }) => type === 'overrun').length).toBeLessThan(2);
});

describe('ending', () => {
  test('a signal ends it, and gives everything back', async () => {
    const before = openDescriptors();
    const controller = new AbortController();
    const watch = new NetlinkWatch({ groups: ['devices'], signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    const events: NetlinkEvent[] = [];
    for await (const event of watch) events.push(event);
    expect(watch.closed).toBe(true);
    watch.close();
    expect(openDescriptors()).toBe(before);
  });

  test('leaving the loop leaves it open for another', async () => {
    using watch = new NetlinkWatch({ groups: ['devices'] });
    const name = uniqueName();
    await run(['ip', 'link', 'add', name, 'type', 'bridge']);
    await until(watch, (event) => event.type === 'device' && event.device.name === name);
    await run(['ip', 'link', 'del', name]);
    await until(watch, (event) => event.type === 'device' && event.action === 'del' && event.device.name === name);
    expect(watch.closed).toBe(false);
  });
});
