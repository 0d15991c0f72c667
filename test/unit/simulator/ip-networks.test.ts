/** Networks that carry IP alone (vxlan-gpe, lisp): answers, what is not carried, MACs from the map. */
import { describe, expect, test } from 'vitest';
import { concat, frame } from '../../support/packet.ts';
import { arriving } from './arriving.ts';
import { EVERY_ENCAP, hex, ipOf, lines, macOf, NODES, run, tableOf, UNDERLAY_DEVICE } from './hosts.ts';

const networks = {
  gpe: { ...EVERY_ENCAP.gpe, flood: 'replicate' },
  quiet: { encap: 'lisp', segment: 9, flood: 'none' },
};
const table = tableOf({ ...networks, vxlan: EVERY_ENCAP.vxlan });
const ALL = 'ff:ff:ff:ff:ff:ff';
const own = macOf(1, '1');
const other = macOf(1, 'b');

function send(text: string | Uint8Array, more: Partial<Parameters<typeof run>[0]> = {}) {
  return run({ table, device: 'gpe1', frame: typeof text === 'string' ? frame(text) : text, ...more });
}

const outcome = ({ record }: ReturnType<typeof run>) => (record.reason === 'none' ? record.verdict : record.reason);
const request = (mac: string, ip: string) =>
  `eth ${own}>${mac} | arp request ${own} ${ipOf(1, '1')} > 00:00:00:00:00:00 ${ip}`;

describe('unicast probes', () => {
  test('an ARP request', () => {
    const { record, outputs } = send(request(other, ipOf(1, 'b')));
    expect(record).toEqual({ verdict: 'answer', reason: 'none', network: 'gpe', port: 'gpe-b', device: 'gpe1' });
    const reply = `eth ${other}>${own} | arp reply ${other} ${ipOf(1, 'b')} > ${own} ${ipOf(1, '1')}`;
    expect(lines(outputs[0]!.frame)).toBe(lines(frame(reply)));
  });

  const solicit = (mac: string, source: string, destination: string) =>
    `eth ${own}>${mac} | ip6 ${source}>${destination} hlim=255 | ns ${ipOf(1, 'b', 6)}`;

  test('a solicitation', () => {
    const { record, outputs } = send(solicit(other, ipOf(1, '1', 6), ipOf(1, 'b', 6)));
    expect(record).toMatchObject({ verdict: 'answer', port: 'gpe-b' });
    // S and O set
    expect(outputs[0]!.frame[58]).toBe(0x60);
    expect(lines(outputs[0]!.frame.subarray(0, 6))).toBe(own.replaceAll(':', ''));
  });

  test.each([
    ['a solicitation to the solicited-node group, sent to one MAC', solicit(other, ipOf(1, '1', 6), 'ff02::1:ff00:3')],
    ['a request to a group that is not broadcast', request('01:00:5e:00:00:01', ipOf(1, 'b'))],
    ['an ARP reply', request(other, ipOf(1, 'b')).replace('request', 'reply')],
    ['a request for nobody', request(other, '10.1.0.99')],
    ['a gratuitous request', request(ALL, ipOf(1, '1'))],
  ])('not answered, and not carried: %s', (_, text) => {
    expect(outcome(send(text))).toBe('not-ip');
  });

  test('from ::, with the guard off: not answered', () => {
    const text = solicit(other, '::', ipOf(1, 'b', 6));
    expect(outcome(send(text, { change: { guard: 'mac' } }))).toBe('not-ip');
  });

  test('in other networks they go to the guest', () => {
    const [from, to] = [macOf(3, '1'), macOf(3, 'b')];
    const text = `eth ${from}>${to} | arp request ${from} ${ipOf(3, '1')} > 00:00:00:00:00:00 ${ipOf(3, 'b')}`;
    expect(outcome(send(text, { device: 'vxlan1' }))).toBe('encap');
  });
});

describe('not-ip', () => {
  test.each([
    ['an unknown protocol', `eth ${own}>${other} | data 46`, 'not-ip'],
    ['broadcast of an unknown protocol', `eth ${own}>${ALL} | data 46`, 'not-ip'],
    ['a router solicitation', `eth ${own}>33:33:00:00:00:02 | ip6 ${ipOf(1, '1', 6)}>ff02::2 hlim=255 | rs`, 'not-ip'],
    [
      'neighbour discovery in a first fragment',
      `eth ${own}>${other} | ip6 ${ipOf(1, '1', 6)}>${ipOf(1, 'b', 6)} | frag m | icmp6 type=135`,
      'not-ip',
    ],
    ['an echo request', `eth ${own}>${other} | ip6 ${ipOf(1, '1', 6)}>${ipOf(1, 'b', 6)} | icmp6 type=128`, 'encap'],
    ['an MLD report', `eth ${own}>33:33:00:00:00:16 | ip6 ${ipOf(1, '1', 6)}>ff02::16 | icmp6 type=143`, 'flood'],
    ['an unknown protocol that stays here', `eth ${own}>${macOf(1, '2')} | data 46`, 'deliver'],
  ])('%s: %s', (_, text, wanted) => {
    expect(outcome(send(text, { change: { guard: 'mac' } }))).toBe(wanted);
  });

  test('after flood-off and no-locator, before no-node and the size', () => {
    const quiet = (to: string) => `eth ${macOf(2, '1')}>${to} | data 46`;
    expect(outcome(send(quiet(ALL), { device: 'quiet1' }))).toBe('flood-off');
    expect(
      outcome(send(quiet(macOf(2, 'b')), { device: 'quiet1', change: { states: new Map([['b', 'down' as const]]) } })),
    ).toBe('no-locator');
    const faults = [{ target: 'node', key: 'b', effect: 'missing' }] as const;
    expect(outcome(send(quiet(macOf(2, 'b')), { device: 'quiet1', change: { faults } }))).toBe('not-ip');
    expect(outcome(send(`eth ${own}>${ALL} | data 2000`))).toBe('not-ip');
  });
});

/** From `b`. */
function arrive(
  packet: string | Uint8Array,
  more: Partial<Parameters<typeof run>[0]> = {},
  header = '0c 0000 01 010204 00',
) {
  const payload = typeof packet === 'string' ? frame(`eth ${own}>${own} | ${packet}`).subarray(14) : packet;
  const input = arriving({ port: 4790, header, payload });
  return run({ table, device: UNDERLAY_DEVICE, frame: input, ...more });
}

const ip4 = `ip4 ${ipOf(1, 'b')}>${ipOf(1, '1')} | udp 1>2`;
const ip6 = `ip6 ${ipOf(1, 'b', 6)}>${ipOf(1, '1', 6)} | udp 1>2`;

describe('MACs are restored', () => {
  test.each([
    ['IPv4', ip4, own],
    ['IPv6', ip6, own],
    ['a link-local of EUI-64 form, both ends', 'ip6 fe80::ff:fe00:103>fe80::ff:fe00:101 | udp 1>2', own],
  ])('%s', (_, packet, mac) => {
    const { record, outputs } = arrive(packet);
    expect(record).toMatchObject({ verdict: 'deliver', port: 'gpe-1' });
    expect(lines(outputs[0]!.frame)).toBe(lines(frame(`eth ${other}>${mac} | ${packet}`)));
  });

  test('padding inside the tunnel stays', () => {
    const packet = concat(frame(`eth ${own}>${own} | ${ip4}`).subarray(14), hex('aabb'));
    expect(lines(arrive(packet).outputs[0]!.frame.subarray(-2))).toBe('aabb');
  });

  test.each([
    ['IPv4 multicast', `ip4 ${ipOf(1, 'b')}>239.129.1.2 | udp 1>2`, '01:00:5e:01:01:02'],
    ['limited broadcast', `ip4 ${ipOf(1, 'b')}>255.255.255.255 | udp 1>2`, ALL],
    ['IPv6 multicast', `ip6 ${ipOf(1, 'b', 6)}>ff05::1:2 | udp 1>2`, '33:33:00:01:00:02'],
  ])('%s is a group frame', (_, packet, mac) => {
    const { record, outputs } = arrive(packet);
    expect(record).toMatchObject({ verdict: 'flood', copies: 2 });
    for (const output of outputs) expect(lines(output.frame)).toBe(lines(frame(`eth ${other}>${mac} | ${packet}`)));
  });

  test('the broadcast address of a subnet is nobody’s', () => {
    expect(outcome(arrive(`ip4 ${ipOf(1, 'b')}>10.1.0.255 | udp 1>2`))).toBe('unknown-unicast');
  });
});

describe('refused', () => {
  test.each([
    ['nothing', hex('')],
    ['version 5', hex('55')],
    ['an ARP message', frame(request(other, ipOf(1, 'b'))).subarray(14)],
    ['half a header', hex('4500 0020 0000')],
    ['an Ethernet frame', frame(`eth ${other}>${own} | ${ip4}`)],
  ])('%s: malformed', (_, packet) => {
    expect(arrive(packet).record).toEqual({ verdict: 'drop', reason: 'malformed', network: 'gpe' });
  });

  test('the version decides, not what the header says', () => {
    expect(outcome(arrive(ip6, {}, '0c 0000 01 010204 00'))).toBe('deliver');
    expect(outcome(arrive(ip4, {}, '0c 0000 02 010204 00'))).toBe('deliver');
  });

  test.each([
    ['a source that no port has', 'ip4 10.1.0.99>10.1.0.1 | udp 1>2', 'full', 'guard-remote'],
    ['the same with the guard off', 'ip4 10.1.0.99>10.1.0.1 | udp 1>2', 'off', 'guard-remote'],
    ['a source that is elsewhere', `ip4 ${ipOf(1, 'v')}>10.1.0.1 | udp 1>2`, 'full', 'guard-remote'],
    ['the same with the guard off', `ip4 ${ipOf(1, 'v')}>10.1.0.1 | udp 1>2`, 'off', 'deliver'],
    ['a destination that no port has', `ip4 ${ipOf(1, 'b')}>10.1.0.99 | udp 1>2`, 'full', 'unknown-unicast'],
    ['a destination that is elsewhere', `ip4 ${ipOf(1, 'b')}>${ipOf(1, 'v')} | udp 1>2`, 'full', 'not-local'],
  ] as const)('%s, guard %s: %s', (_, packet, guard, wanted) => {
    expect(outcome(arrive(packet, { change: { guard } }))).toBe(wanted);
  });

  test('an open node sends from known addresses all the same', () => {
    const nodes = { ...NODES, b: { ...NODES.b, kind: 'foreign', guard: 'open' } };
    const opened = tableOf({ ...networks, vxlan: EVERY_ENCAP.vxlan }, () => {}, nodes);
    expect(outcome(arrive('ip4 10.1.0.99>10.1.0.1 | udp 1>2', { table: opened }))).toBe('guard-remote');
    expect(outcome(arrive(`ip4 ${ipOf(1, 'v')}>10.1.0.1 | udp 1>2`, { table: opened }))).toBe('guard-remote');
  });

  test.each([
    ['the source', 'ip', `gpe ${ipOf(1, 'b')}`, 'stale'],
    ['the destination', 'ip', `gpe ${ipOf(1, '1')}`, 'stale'],
    ['the sending port', 'port', 'gpe-b', 'stale'],
    ['the network', 'network', 'gpe', 'stale'],
  ] as const)('a stale entry of %s', (_, target, key, wanted) => {
    expect(outcome(arrive(ip4, { change: { faults: [{ target, key, effect: 'stale' }] } }))).toBe(wanted);
  });

  test('a sending port without an entry is not there; a receiving one is stale', () => {
    const missing = (key: string) => ({ change: { faults: [{ target: 'port', key, effect: 'missing' } as const] } });
    expect(outcome(arrive(ip4, missing('gpe-b')))).toBe('guard-remote');
    expect(outcome(arrive(ip4, missing('gpe-1')))).toBe('stale');
  });

  test('the place before the last move is accepted for a moment', () => {
    const from = `ip4 ${ipOf(1, 'v')}>10.1.0.1 | udp 1>2`;
    const moved = (past: boolean) => ({ change: { former: new Map([['gpe-v', { node: 'b', past }]]) } });
    expect(outcome(arrive(from, moved(false)))).toBe('deliver');
    expect(outcome(arrive(from, moved(true)))).toBe('guard-remote');
  });
});

test('a packet for a port that is here needs no tunnel', () => {
  const text = `eth ${own}>${macOf(1, '2')} | ip4 ${ipOf(1, '1')}>${ipOf(1, '2')} | udp 1>2`;
  expect(lines(send(text).outputs[0]!.frame)).toBe(lines(frame(text)));
});
