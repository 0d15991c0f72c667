import { describe, expect, test } from 'vitest';
import { journey, questionFrame } from '../../../src/simulator/index.ts';
import { mac, mixed } from '../../fixtures/packets/scenes.ts';
import { frame, toHex } from '../../support/packet.ts';
import { packetFaults } from '../../support/packet-check.ts';

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
