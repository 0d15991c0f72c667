import { describe, expect, test } from 'vitest';
import { journey, questionFrame } from '../../../src/simulator/index.ts';
import { tableFromObject } from '../../../src/table/index.ts';
import { mac, mixed } from '../../fixtures/packets/scenes.ts';
import { frame, toHex } from '../../support/packet.ts';
import { packetFaults } from '../../support/packet-check.ts';
import { EVERY_ENCAP, ipOf, tableOf } from './hosts.ts';

const { table } = mixed;

describe('the frame of a question', () => {
  test('an echo request is as a guest sends it', () => {
    const got = questionFrame(table, { from: 'web-1', to: '10.1.0.2' });
    const head = `eth ${mac.web1}>${mac.web2} | ip4 10.1.0.1>10.1.0.2 df | icmp word=1 | hex ${'00'.repeat(56)}`;
    expect(toHex(got)).toBe(toHex(frame(head)));
  });

  test.each([
    ['an IPv6 address', { from: 'web-1', to: 'fd00:1::11' }],
    ['a MAC', { from: 'web-1', to: mac.db1 }],
    ['a MAC that is nobody’s', { from: 'web-1', to: mac.nobody }],
    ['a multicast address', { from: 'web-1', to: 'ff02::1' }],
    ['an ARP request', { from: 'web-1', to: '10.1.0.2', kind: 'resolve' }],
    ['a solicitation', { from: 'web-1', to: 'fd00:1::2', kind: 'resolve' }],
    ['a large one', { from: 'web-1', to: '10.1.0.2', size: 1500 }],
  ] as const)('%s makes a sound frame', (_, question) => {
    expect(packetFaults(questionFrame(table, question))).toEqual([]);
  });

  test('an address outside the network goes to its router', () => {
    expect(toHex(questionFrame(table, { from: 'web-1', to: '8.8.8.8' }).subarray(0, 6))).toBe(
      mac.gw.replaceAll(':', ''),
    );
  });

  test.each([
    [{ from: 'nobody', to: '10.1.0.2' }, "no port 'nobody'"],
    [{ from: 'web-1', to: 'web-2' }, 'neither an IP address nor a MAC'],
    [{ from: 'mist-1', to: 'fd00::1' }, 'no address of the family'],
  ])('a question without an answer: %o', (question, message) => {
    expect(() => questionFrame(table, question)).toThrow(message);
  });
});

describe('a journey', () => {
  test('stays here', () => {
    const [only, ...more] = journey(table, { from: 'web-1', to: '10.1.0.2' });
    expect(only!.simulation.record).toEqual({
      verdict: 'deliver',
      reason: 'none',
      network: 'blue',
      port: 'web-2',
      device: 'p2',
    });
    expect(more).toEqual([]);
  });

  test('goes to another node, with the segment of that node', () => {
    const [here, there] = journey(table, { from: 'web-1', to: '10.1.0.12' });
    expect(here!.simulation.record).toMatchObject({ verdict: 'encap', node: 'c', segment: 5002 });
    expect(there).toMatchObject({ node: 'c', program: 'underlay' });
    expect(there!.simulation.record).toMatchObject({ verdict: 'deliver', port: 'db-2' });
    expect(toHex(there!.simulation.outputs[0]!.frame)).toBe(toHex(here!.frame));
  });

  test('is flooded to every node with a port', () => {
    const hops = journey(table, { from: 'web-1', to: 'ff02::1' });
    expect(hops.map(({ node }) => node).sort()).toEqual(['a', 'b', 'c', 'e', 'f']);
    expect(hops.slice(1).every(({ simulation }) => simulation.record.verdict === 'flood')).toBe(true);
  });

  test('ends where a rule says so, and says which', () => {
    const [only] = journey(table, { from: 'web-1', to: mac.nobody });
    expect(only!.simulation.record).toMatchObject({ verdict: 'drop', reason: 'unknown-unicast' });
    expect(only!.simulation.steps.at(-1)).toMatchObject({ rule: '2.9', found: expect.stringContaining('no port') });
  });

  test('a port without a place on that node', () => {
    expect(() => journey(table, { from: 'web-1', to: '10.1.0.2', node: 'b' })).toThrow("no place on node 'b'");
  });
});

describe('a journey by every encapsulation', () => {
  const every = tableOf({
    ...EVERY_ENCAP,
    untagged: { encap: 'flat' },
  });
  const names = [...Object.keys(EVERY_ENCAP), 'untagged'];

  test.each(names.flatMap((name, i) => (['b', 'v', 'x'] as const).map((to) => [name, to, i + 1] as const)))(
    '%s to %s',
    (name, to, n) => {
      for (const family of [4, 6] as const) {
        const [here, there, ...more] = journey(every, { from: `${name}-1`, to: ipOf(n, to, family) });
        expect(here!.simulation.record).toMatchObject({ verdict: 'encap', network: name, node: to });
        expect(there).toMatchObject({ node: to, program: 'underlay' });
        expect(there!.simulation.record).toMatchObject({ verdict: 'deliver', port: `${name}-${to}` });
        expect(toHex(there!.simulation.outputs[0]!.frame)).toBe(toHex(here!.frame));
        expect(more).toEqual([]);
      }
    },
  );

  test('the trace names encapsulation, family and outer header', () => {
    const found = (name: string, to: 'b' | 'x', n: number) => {
      const { steps } = journey(every, { from: `${name}-1`, to: ipOf(n, to) })[0]!.simulation;
      return steps.find(({ rule }) => rule === '4')?.found;
    };
    expect(found('vxlan', 'b', 1)).toMatch(
      /^vxlan over IPv4, 192\.0\.2\.1 > 192\.0\.2\.2, segment 66051, TTL 64, DSCP 0, ECN 0, UDP port \d+$/,
    );
    expect(found('geneve', 'x', 3)).toMatch(
      /^geneve over IPv6, 2001:db8::1 > 2001:db8::f, segment 66053, .*, flow label 0x[0-9a-f]{5}, UDP checksum$/,
    );
    expect(found('gre', 'x', 4)).toMatch(/^gre over IPv6, .*, ECN 0, flow label 0x[0-9a-f]{5}$/);
    expect(found('flat', 'b', 6)).toBe('with a tag, VLAN 100');
    expect(found('untagged', 'b', 7)).toBe('as it is, untagged');
  });

  test('what is flooded gets to the nodes with a port, by list, group or wire', () => {
    const both = (last: number) => ({ underlay: [`192.0.2.${last}`, `2001:db8::${last}`] });
    const nodes = { a: both(1), b: both(2), v: both(6), x: both(15), lonely: both(99) };
    const networks = {
      list: { encap: 'geneve', segment: 1 },
      four: { encap: 'gre', segment: 2, flood: 'multicast', group: '239.1.1.1' },
      six: { encap: 'lisp', segment: 3, flood: 'multicast', group: 'ff05::1' },
      wire: { encap: 'flat', segment: 7 },
    };
    const own = tableOf(networks, () => {}, nodes);
    for (const name of Object.keys(networks)) {
      const hops = journey(own, { from: `${name}-1`, to: 'ff02::1' });
      expect(hops.map(({ node }) => node)).toEqual(['a', 'b', 'v', 'x']);
      expect(hops.map(({ simulation }) => simulation.record.verdict)).toEqual(['flood', 'flood', 'flood', 'flood']);
      expect(hops[1]!.simulation.record).toMatchObject({ network: name, copies: 1 });
    }
  });
});

describe('a balanced address', () => {
  const balanced = tableFromObject({
    nodes: { a: { underlay: '192.0.2.1' }, b: { underlay: '192.0.2.2' } },
    networks: { blue: { segment: 5001 } },
    ports: {
      client: { network: 'blue', mac: '02:00:00:00:00:01', ips: ['10.1.0.1', 'fd00:1::1'], at: { node: 'a' } },
      server: { network: 'blue', mac: '02:00:00:00:00:02', ips: ['10.1.0.2'], at: { node: 'b' } },
    },
    addresses: {
      web: { network: 'blue', mac: '02:00:00:00:0a:01', ips: ['10.1.0.100'], members: [{ port: 'server' }] },
    },
  });

  test('the journey ends at the member, which its steps and its record name', () => {
    const hops = journey(balanced, { from: 'client', to: '10.1.0.100' });
    expect(hops.map(({ node }) => node)).toEqual(['a', 'b']);
    expect(hops[0]?.simulation.record).toMatchObject({ verdict: 'encap', node: 'b', port: 'server' });
    expect(hops[0]?.simulation.steps.map(({ asked, found }) => `${asked}: ${found}`).join('\n')).toMatch(
      /members of web: slot 0 of 1: server, its first/,
    );
    expect(hops[1]?.simulation.record).toMatchObject({ verdict: 'deliver', port: 'server' });
  });

  test('it is looked for at its own MAC', () => {
    const [hop] = journey(balanced, { from: 'client', to: '10.1.0.100', kind: 'resolve' });
    expect(hop?.simulation.record).toEqual({
      verdict: 'answer',
      reason: 'none',
      network: 'blue',
      device: expect.any(String),
    });
    expect(toHex(hop!.simulation.outputs[0]!.frame.subarray(6, 12))).toBe('020000000a01');
  });
});
