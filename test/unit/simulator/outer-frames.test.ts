/** Whole frames as they leave, written down by hand: packet-rules.md §4. The flow hashes are those of packet-hash.ts. */
import { describe, expect, test } from 'vitest';
import type { Environment } from '../../../src/simulator/types.ts';
import { ipBytes } from '../../../src/table/address.ts';
import { concat, frame } from '../../support/packet.ts';
import { hash32 } from '../../support/packet-hash.ts';
import { EVERY_ENCAP, hex, ipOf, lines, macHex, macOf, run, tableOf, UNDERLAY_DEVICE, UNDERLAY_MAC } from './hosts.ts';

const table = tableOf(EVERY_ENCAP);
const NAMES = Object.keys(EVERY_ENCAP) as (keyof typeof EVERY_ENCAP)[];
type Name = (typeof NAMES)[number];
type Remote = 'b' | 'v' | 'x';
const UDP = 17n;

/** What a guest sends to its peer: ECT(0), DSCP 11, four bytes of data. */
function sent(name: Name, to: Remote): Uint8Array {
  const n = NAMES.indexOf(name) + 1;
  const ip = `ip4 ${ipOf(n, '1')}>${ipOf(n, to)} tos=0x2e`;
  return frame(`eth ${macOf(n, '1')}>${macOf(n, to)} | ${ip} | udp 1000>2000 | hex 01020304`);
}

function hashOf(name: Name, to: Remote): number {
  const n = NAMES.indexOf(name) + 1;
  const words = [ipOf(n, '1'), ipOf(n, to)].map((ip) => BigInt(`0x${Buffer.from(ipBytes(ip)).toString('hex')}`));
  return Number(hash32([...words, UDP, (1000n << 16n) | 2000n]));
}

/** UDP source port and flow label of the flow, in hex. */
function entropy(name: Name, to: Remote): { port: string; label: string } {
  const hash = hashOf(name, to);
  const digits = (value: number, length: number) => value.toString(16).padStart(length, '0');
  return { port: digits(49152 + (hash % 16384), 4), label: digits(Math.floor(hash / 4096), 5) };
}

function encapsulated(name: Name, to: Remote, change: Partial<Environment> = {}, hook: 'tc' | 'xdp' = 'tc') {
  const { record, outputs } = run({ table, device: `${name}1`, frame: sent(name, to), change, hook });
  expect(record).toMatchObject({ verdict: 'encap', network: name, node: to, device: UNDERLAY_DEVICE });
  expect(outputs).toHaveLength(1);
  return outputs[0]!;
}

const ethernet = (to: Remote, type: string) => `${macHex(UNDERLAY_MAC[to])} ${macHex(UNDERLAY_MAC.a)} ${type}`;
const whole = (name: Name, to: Remote) => Buffer.from(sent(name, to)).toString('hex');
const packet = (name: Name, to: Remote) => whole(name, to).slice(28);

// 50 bytes of inner frame (a VXLAN datagram of 66 in an IP packet of 86), 36 bytes of inner packet
const IPV4: readonly (readonly [Name, string])[] = [
  ['vxlan', `4502 0052 0000 4000 40 11 b695 c0000201 c0000202  PORT 12b5 003e 0000  08 000000 010203 00 FRAME`],
  ['geneve', `4502 0052 0000 4000 40 11 b695 c0000201 c0000202  PORT 17c1 003e 0000  00 00 6558 010205 00 FRAME`],
  ['gre', `4502 004a 0000 4000 40 2f b67f c0000201 c0000202  2000 6558 01020306 FRAME`],
  ['gpe', `4502 0044 0000 4000 40 11 b6a3 c0000201 c0000202  PORT 12b6 0030 0000  0c 0000 01 010204 00 PACKET`],
  ['lisp', `4502 0044 0000 4000 40 11 b6a3 c0000201 c0000202  PORT 10f5 0030 0000  08 000000 010207 00 PACKET`],
];

const A6 = '20010db8000000000000000000000001';
const V6 = '20010db8000000000000000000000006';
const IPV6: readonly (readonly [Name, string])[] = [
  ['vxlan', `602LABEL 003e 11 40 ${A6} ${V6}  PORT 12b5 003e 0000  08 000000 010203 00 FRAME`],
  ['geneve', `602LABEL 003e 11 40 ${A6} ${V6}  PORT 17c1 003e 0000  00 00 6558 010205 00 FRAME`],
  ['gre', `602LABEL 0036 2f 40 ${A6} ${V6}  2000 6558 01020306 FRAME`],
  ['gpe', `602LABEL 0030 11 40 ${A6} ${V6}  PORT 12b6 0030 0000  0c 0000 01 010204 00 PACKET`],
  ['lisp', `602LABEL 0030 11 40 ${A6} ${V6}  PORT 10f5 0030 0000  08 000000 010207 00 PACKET`],
];

function wanted(name: Name, to: Remote, type: string, text: string): string {
  const { port, label } = entropy(name, to);
  const filled = text
    .replace('PORT', port)
    .replace('LABEL', label)
    .replace('FRAME', whole(name, to))
    .replace('PACKET', packet(name, to));
  return lines(hex(`${ethernet(to, type)} ${filled}`));
}

describe.each(['tc', 'xdp'] as const)('%s', (hook) => {
  test.each(IPV4)('%s over IPv4', (name, text) => {
    expect(lines(encapsulated(name, 'b', {}, hook).frame)).toBe(wanted(name, 'b', '0800', text));
  });

  test.each(IPV6)('%s over IPv6', (name, text) => {
    expect(lines(encapsulated(name, 'v', {}, hook).frame)).toBe(wanted(name, 'v', '86dd', text));
  });
});

test('an IPv6 packet in VXLAN-GPE says so', () => {
  const text = `eth ${macOf(2, '1')}>${macOf(2, 'b')} | ip6 ${ipOf(2, '1', 6)}>${ipOf(2, 'b', 6)} | udp 1>2 | hex 01`;
  const [output] = run({ table, device: 'gpe1', frame: frame(text) }).outputs;
  expect(lines(output!.frame.subarray(42, 50))).toBe('0c00000201020400');
  expect(lines(output!.frame.subarray(50))).toBe(lines(frame(text).subarray(14)));
});

test('what is behind an IP packet goes along in an IP network', () => {
  const text = `eth ${macOf(5, '1')}>${macOf(5, 'b')} | ip4 ${ipOf(5, '1')}>${ipOf(5, 'b')} | udp 1>2 | pad 18`;
  const [output] = run({ table, device: 'lisp1', frame: frame(text) }).outputs;
  expect(lines(output!.frame.subarray(50))).toBe(lines(frame(text).subarray(14)));
});

describe('policy', () => {
  test.each([
    ['fixed', { dscp: 46 }, 0xba, 0x0b],
    ['uniform', { dscp: 'uniform' }, 0x2e, 0x02],
  ] as const)('DSCP %s', (_, change, tos, classHigh) => {
    expect(encapsulated('vxlan', 'b', change).frame[15]).toBe(tos);
    const { frame: over6 } = encapsulated('vxlan', 'v', change);
    expect(over6[14]).toBe(0x60 | classHigh);
    expect(over6[15]! >> 4).toBe(tos & 15);
  });

  test('DSCP uniform of what is not IP: 0', () => {
    const text = `eth ${macOf(1, '1')}>${macOf(1, 'b')} | data 46`;
    const [output] = run({ table, device: 'vxlan1', frame: frame(text), change: { dscp: 'uniform' } }).outputs;
    expect(output!.frame[15]).toBe(0);
  });

  test('DSCP uniform of an IPv6 packet', () => {
    const text = `eth ${macOf(1, '1')}>${macOf(1, 'b')} | ip6 ${ipOf(1, '1', 6)}>${ipOf(1, 'b', 6)} tc=0xb9 | udp 1>2`;
    const [output] = run({ table, device: 'vxlan1', frame: frame(text), change: { dscp: 'uniform' } }).outputs;
    expect(output!.frame[15]).toBe(0xb9);
  });

  test('TTL', () => {
    expect(encapsulated('vxlan', 'b', { ttl: 3 }).frame[22]).toBe(3);
    expect(encapsulated('gre', 'v', { ttl: 255 }).frame[21]).toBe(255);
  });

  test('UDP ports', () => {
    const ports = { vxlan: 1, 'vxlan-gpe': 2, geneve: 3, lisp: 4 };
    const port = (name: Name) => Buffer.from(encapsulated(name, 'b', { ports }).frame).readUInt16BE(36);
    expect((['vxlan', 'gpe', 'geneve', 'lisp'] as const).map(port)).toEqual([1, 2, 3, 4]);
  });

  test('a tagged underlay: XDP puts the tag in, TC sends it beside', () => {
    const plain = encapsulated('vxlan', 'b').frame;
    const tc = encapsulated('vxlan', 'b', { underlayVlan: 300 });
    expect(tc.tag).toBe(300);
    expect(lines(tc.frame)).toBe(lines(plain));
    const xdp = encapsulated('vxlan', 'b', { underlayVlan: 300 }, 'xdp');
    expect(xdp.tag).toBeUndefined();
    expect(lines(xdp.frame)).toBe(lines(concat(plain.subarray(0, 12), hex('8100 012c'), plain.subarray(12))));
  });
});

describe('several next hops', () => {
  const hop = (device: string | undefined, last: string) => ({
    device,
    destination: `02:00:00:00:ff:0${last}`,
    source: UNDERLAY_MAC.a,
  });
  const chosen = (port: number, hops: readonly ReturnType<typeof hop>[]) => {
    const text = `eth ${macOf(1, '1')}>${macOf(1, 'b')} | ip4 ${ipOf(1, '1')}>${ipOf(1, 'b')} | udp ${port}>2000`;
    const change = { nextHops: new Map([['b', hops]]) };
    const [output] = run({ table, device: 'vxlan1', frame: frame(text), change }).outputs;
    return output?.frame[5];
  };
  const highBit = (port: number) => {
    const words = [ipOf(1, '1'), ipOf(1, 'b')].map((ip) => BigInt(`0x${Buffer.from(ipBytes(ip)).toString('hex')}`));
    return Number(hash32([...words, UDP, (BigInt(port) << 16n) | 2000n]) >> 31n);
  };
  const ports = Array.from({ length: 32 }, (_, i) => 1000 + i);

  test('two share the flows by the highest bit of the hash', () => {
    const got = ports.map((port) => chosen(port, [hop(UNDERLAY_DEVICE, '1'), hop(UNDERLAY_DEVICE, '2')]));
    expect(got).toEqual(ports.map((port) => 1 + highBit(port)));
    expect(new Set(got).size).toBe(2);
  });

  test('one that is not resolved gets none', () => {
    for (const port of ports) {
      expect(chosen(port, [hop(undefined, '1'), hop(UNDERLAY_DEVICE, '2')])).toBe(2);
      expect(chosen(port, [hop(UNDERLAY_DEVICE, '1'), hop(undefined, '2')])).toBe(1);
    }
  });

  test('a third is not looked at', () => {
    expect(chosen(1000, [hop(undefined, '1'), hop(undefined, '2'), hop(UNDERLAY_DEVICE, '3')])).toBeUndefined();
  });
});
