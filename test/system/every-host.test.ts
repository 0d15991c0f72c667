/**
 * A metadata service and a gateway that are on every host of a network but one, by balanced addresses with `prefer: local`: each guest reaches
 * those of its own host, by one address for all; a host without them reaches another's. Ping, TCP and UDP, both families, both hooks.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answersOf, datagramAnswers, hold, serveAddresses, tally } from '../support/balanced.ts';
import { broadcasts } from '../support/exchange.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { eventually } from '../support/process.ts';
import { ping, receivers } from '../support/traffic.ts';

const SERVING = ['a', 'b', 'c'] as const;
const HOSTS = [...SERVING, 'd'] as const;
type HostName = (typeof HOSTS)[number];
const PORT = 80;
const FAMILIES = [4, 6] as const;
const METADATA = { mac: '02:00:00:01:0a:fe', 4: '169.254.169.254', 6: 'fd00:ec2::254' } as const;
const GATEWAY = { mac: '02:00:00:01:0a:01', 4: '10.1.0.254', 6: 'fd00:1::fe' } as const;
/** Behind each of the gateways. */
const BEYOND = { 4: '203.0.113.1', 6: '2001:db8:99::1' } as const;
/** What is asked for: by an address of the network, and through a router. */
const WAYS = [
  ['metadata', METADATA],
  ['what is behind the gateway', BEYOND],
] as const;

describe.each([
  ['tc', 4],
  ['xdp', 6],
] as const)('hook: %s, underlay: IPv%i', (hook, underlay) => {
  let overlay: Overlay;
  const clients = {} as Record<HostName, OverlayGuest>;
  const services = {} as Record<(typeof SERVING)[number], OverlayGuest>;

  /** Who gets what the guest of a host sends to an address, by ping, TCP and UDP. */
  async function reached(host: HostName, to: string): Promise<string[]> {
    const client = clients[host];
    const devices = Object.fromEntries(SERVING.map((name) => [name, [services[name].namespace, 'eth0'] as const]));
    const answers = new Set(await receivers(client.namespace, to, devices));
    await hold(client, to, to, PORT, 5);
    for (const name of await answersOf(client, to)) answers.add(name);
    await client.agent.ask('unkeep', { name: to });
    for (const name of await datagramAnswers(client, to, PORT, 20)) answers.add(name);
    return [...answers].sort();
  }

  beforeAll(async () => {
    overlay = await Overlay.build();
    for (const [i, name] of HOSTS.entries()) {
      await overlay.host(name, i + 1);
      overlay.node(name, [underlay]);
    }
    overlay.network('blue', { encap: 'geneve', segment: 5001 });
    for (const [i, name] of HOSTS.entries()) {
      const client = await overlay.guest(name, 'blue', { n: i + 1 });
      await client.namespace.ip(
        `route add ${METADATA[4]}/32 dev eth0`,
        `route add ${METADATA[6]}/128 dev eth0`,
        `route add default via ${GATEWAY[4]}`,
        `route add default via ${GATEWAY[6]}`,
      );
      clients[name] = client;
    }
    for (const [i, name] of SERVING.entries()) {
      const port = { role: 'router', allow: [`${BEYOND[4]}/32`, `${BEYOND[6]}/128`] };
      const service = await overlay.guest(name, 'blue', { n: 201 + i, port });
      await serveAddresses(
        service,
        name,
        PORT,
        [METADATA, GATEWAY, BEYOND].flatMap((one) => [one[4], one[6]]),
      );
      services[name] = service;
    }
    const members = SERVING.map((name) => ({ port: services[name].device }));
    const address = ({ mac, ...ips }: typeof METADATA | typeof GATEWAY) => ({
      ...{ network: 'blue', mac, ips: [ips[4], ips[6]], prefer: 'local', affinity: 'source', members },
    });
    Object.assign(overlay.table, { addresses: { metadata: address(METADATA), gateway: address(GATEWAY) } });
    await overlay.start(HOSTS, { hook });
  }, 60_000);
  afterAll(() => overlay?.close());

  describe.each(WAYS)('%s', (_, to) => {
    test.each(FAMILIES)('IPv%i: each host has its own', async (family) => {
      for (const host of SERVING) expect(await reached(host, to[family])).toEqual([host]);
    });

    test.each(FAMILIES)('IPv%i: a host without reaches one of another host, always the same', async (family) => {
      const answers = await reached('d', to[family]);
      expect(answers).toHaveLength(1);
      expect(SERVING).toContain(answers[0]);
    });
  });

  test.each(FAMILIES)('IPv%i: who loses its own is served by another, until it is back', async (family) => {
    const { namespace } = overlay.hosts.get('b')!;
    const { device } = services.b;
    const served = async () => tally(await datagramAnswers(clients.b, METADATA[family], PORT, 10, 300));
    // another name is no port's
    await namespace.ip(`link set ${device} down`, `link set ${device} name gone`, 'link set gone up');
    await eventually('b asks elsewhere', async () => {
      const counts = await served();
      return counts.a === 10 || counts.c === 10;
    });
    await namespace.ip('link set gone down', `link set gone name ${device}`, `link set ${device} up`);
    await eventually('b has its own again', async () => (await served()).b === 10);
  });

  test('one MAC answers for them everywhere, and nothing of the guests is refused', async () => {
    for (const host of HOSTS) {
      for (const { mac, ...ips } of [METADATA, GATEWAY]) {
        for (const family of FAMILIES) {
          const argv = ['ip', '-j', 'neigh', 'show', 'to', ips[family], 'dev', 'eth0'];
          const { stdout } = await clients[host].namespace.run(argv);
          expect((JSON.parse(stdout) as { lladdr?: string }[])[0]?.lladdr).toBe(mac);
        }
      }
      const drops = Object.keys(await overlay.drops(host));
      expect(drops.filter((reason) => /^(guard|balanced|stale|unknown)/.test(reason))).toEqual([]);
    }
  });

  test('what is too large for the network goes to one of them in fragments', async () => {
    for (const host of ['a', 'd'] as const) {
      for (const to of [METADATA, BEYOND]) {
        for (const family of FAMILIES) {
          const { namespace } = clients[host];
          // both ends learn how much fits by what they lose
          await eventually(`${host} knows the MTU to ${to[family]}`, async () => {
            return (await ping(namespace, to[family], { count: 1, size: 4000 })).received === 1;
          });
          expect(await ping(namespace, to[family], { size: 4000 })).toMatchObject({ sent: 3, received: 3 });
        }
      }
    }
  });

  test('each host’s plan and `simulate` tell who is reached', async () => {
    for (const host of SERVING) {
      const argv = ['simulate', overlay.tablePath, '--from', clients[host].device, '--to', METADATA[4]];
      const { stdout } = await overlay.daemon(host).command(argv);
      expect(stdout).toContain(services[host].device);
      expect(stdout).toMatch(/deliver/i);
    }
  });

  test('an instance that is for its own host alone is nobody else’s', async () => {
    const limited = ['b', 'c'] as const;
    for (const name of limited) overlay.table.ports[services[name].device]!.at[0]!.for = [name];
    await overlay.applyTable();
    for (const family of FAMILIES) {
      for (const host of SERVING) expect(await reached(host, METADATA[family])).toEqual([host]);
      expect(await reached('d', METADATA[family])).toEqual(['a']);
    }
    // as the first question of DHCP: the instances that are for their own hosts alone hear their own hosts only
    for (const family of FAMILIES) {
      for (const host of HOSTS) {
        const hears = (name: string) => name === 'a' || name === host;
        const hear = SERVING.filter(hears).map((name) => services[name]);
        const deaf = SERVING.filter((name) => !hears(name)).map((name) => services[name]);
        await broadcasts(clients[host], hear, family, undefined, deaf);
      }
    }
    for (const name of limited) delete overlay.table.ports[services[name].device]!.at[0]!.for;
    await overlay.applyTable();
  }, 60_000);
});
