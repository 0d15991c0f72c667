/** The packet builder's tunnels against bytes written down by hand, and the packet check against what it has to see. */
import { describe, expect, test } from 'vitest';
import { frame, toHex } from '../../support/packet.ts';
import { packetFaults } from '../../support/packet-check.ts';
import { ethernetHash, flowLabel, ipHash, pathOf, sourcePort } from '../../support/packet-hash.ts';

const macs = 'eth 02:00:00:00:00:01>02:00:00:00:00:02';
const ip4 = `${macs} | ip4 192.0.2.1>192.0.2.2`;
const ip6 = `${macs} | ip6 2001:db8::1>2001:db8::2`;
const inner = `${macs} | data 2`;
const INNER_HEX = '02000000000202000000000188b5030a';
const packet = 'ip4 10.0.0.1>10.0.0.2 | udp 1>2';

/** What stands behind the outer UDP or IP header. */
function behind(text: string, offset: number): string {
  return toHex(frame(text)).slice(2 * offset);
}

describe('tunnel headers of the builder', () => {
  test.each([
    ['vxlan', `udp 1>4789 sum=0 | vxlan 0x010203 | ${inner}`, `0800000001020300${INNER_HEX}`],
    [
      'vxlan, everything set',
      `udp 1>4789 sum=0 | vxlan 1 flags=0xff reserved=0xabcdef last=9 | ${inner}`,
      `ffabcdef00000109${INNER_HEX}`,
    ],
    ['geneve', `udp 1>6081 sum=0 | geneve 0x010203 | ${inner}`, `0000655801020300${INNER_HEX}`],
    [
      'geneve, options',
      `udp 1>6081 sum=0 | geneve 1 flags=0x40 opts=0102830155667788 | ${inner}`,
      `02406558000001000102830155667788${INNER_HEX}`,
    ],
    [
      'geneve, version and length',
      `udp 1>6081 sum=0 | geneve 1 version=1 optlen=3 proto=0x0800 | ${inner}`,
      `4300080000000100${INNER_HEX}`,
    ],
  ])('%s', (_, text, hex) => {
    expect(behind(`${ip4} | ${text}`, 42)).toBe(hex);
  });

  test('vxlan-gpe names what it carries', () => {
    expect(behind(`${ip4} | udp 1>4790 sum=0 | gpe 5 | ${packet}`, 42).slice(0, 16)).toBe('0c00000100000500');
    expect(behind(`${ip4} | udp 1>4790 sum=0 | gpe 5 | ip6 fd00::1>fd00::2`, 42).slice(0, 16)).toBe('0c00000200000500');
    expect(behind(`${ip4} | udp 1>4790 sum=0 | gpe 5 | ${inner}`, 42).slice(0, 16)).toBe('0c00000300000500');
  });

  test('lisp', () => {
    expect(behind(`${ip4} | udp 1>4341 sum=0 | lisp 0x010203 nonce=0xabcdef bits=7 | ${packet}`, 42).slice(0, 16)).toBe(
      '08abcdef01020307',
    );
  });

  test('gre', () => {
    expect(behind(`${ip4} | gre 0xdeadbeef | ${inner}`, 34)).toBe(`20006558deadbeef${INNER_HEX}`);
    expect(behind(`${ip4} | gre nokey 0 | ${inner}`, 34)).toBe(`00006558${INNER_HEX}`);
    expect(behind(`${ip4} | gre 1 s seq=9 | ${inner}`, 34)).toBe(`300065580000000100000009${INNER_HEX}`);
    const withSum = behind(`${ip4} | gre 1 c | ${inner}`, 34);
    // b000+6558+checksum+0000+0001 and the inner frame add up to ffff (RFC 1071)
    expect(withSum.slice(0, 8)).toBe('a0006558');
    expect(withSum.slice(12)).toBe(`0000${'00000001'}${INNER_HEX}`);
  });

  test('the protocol of GRE and the UDP checksum over IPv6', () => {
    expect(toHex(frame(`${ip6} | gre 1 | ${inner}`).subarray(20, 21))).toBe('2f');
    expect(packetFaults(frame(`${ip6} | udp 1>4789 | vxlan 1 | ${inner}`))).toEqual([]);
  });

  test('padding of the inner frame is inside the tunnel, a tail outside', () => {
    expect(frame(`${ip4} | udp 1>4789 sum=0 | vxlan 1 | ${macs} | ip4 10.0.0.1>10.0.0.2 | pad 6`).length).toBe(
      42 + 8 + 14 + 20 + 6,
    );
    const text = frame(`${ip4} | udp 1>4789 sum=0 | vxlan 1 | ${inner} | tail 6`);
    expect(text.subarray(38, 40)).toEqual(Uint8Array.of(0, 8 + 8 + 16));
  });
});

describe('the packet check', () => {
  test.each([
    ['vxlan', `${ip6} | udp 1>4789 sum=0 | vxlan 1 | ${macs} | ${packet}`],
    ['geneve with options', `${ip4} | udp 1>6081 | geneve 1 opts=01020300 | ${macs} | ${packet}`],
    ['gre with everything', `${ip4} | gre 1 c s | ${macs} | ${packet}`],
    ['gpe', `${ip6} | udp 1>4790 | gpe 1 | ${packet}`],
    ['lisp', `${ip4} | udp 1>4341 sum=0 | lisp 1 | ip6 fd00::1>fd00::2 | icmp6`],
    ['tags', `${macs} | vlan 7 tpid=0x88a8 | vlan 8 | ${packet}`],
  ])('finds nothing wrong: %s', (_, text) => {
    expect(packetFaults(frame(text))).toEqual([]);
  });

  test.each([
    ['vxlan without flag I', `${ip4} | udp 1>4789 sum=0 | vxlan 1 flags=0 | ${macs} | ${packet}`],
    ['a wrong checksum over IPv6', `${ip6} | udp 1>6081 sum=bad | geneve 1 | ${macs} | ${packet}`],
    ['a wrong checksum inside', `${ip6} | udp 1>6081 | geneve 1 | ${macs} | ip4 10.0.0.1>10.0.0.2 | udp 1>2 sum=bad`],
    [
      'a wrong checksum inside IP alone',
      `${ip4} | udp 1>4341 sum=0 | lisp 1 | ip4 10.0.0.1>10.0.0.2 sum=bad | udp 1>2`,
    ],
    [
      'geneve options that are longer than the packet',
      `${ip4} | udp 1>6081 sum=0 | geneve 1 optlen=63 | ${macs} | ${packet}`,
    ],
    ['geneve version', `${ip4} | udp 1>6081 sum=0 | geneve 1 version=1 | ${macs} | ${packet}`],
    ['gre checksum', `${ip4} | gre 1 c sum=bad | ${macs} | ${packet}`],
    ['gre flags', `${ip4} | gre 1 flags=0x6000 | ${macs} | ${packet}`],
    ['gpe flags', `${ip4} | udp 1>4790 sum=0 | gpe 1 flags=0x08 | ${packet}`],
    ['gpe with Ethernet', `${ip4} | udp 1>4790 sum=0 | gpe 1 | ${macs} | ${packet}`],
    ['no checksum over IPv6 where there is no tunnel', `${ip6} | udp 1>2 sum=0`],
    ['a wrong packet behind a tag', `${macs} | vlan 7 | ip4 10.0.0.1>10.0.0.2 sum=bad | udp 1>2`],
    ['a tag that is cut off', `${macs} | vlan 7 | cut 16`],
  ])('sees: %s', (_, text) => {
    expect(packetFaults(frame(text)).length).toBeGreaterThan(0);
  });
});

test('what outer headers take from a hash', () => {
  const hash = ipHash('10.0.0.1', '10.0.0.2', 17, [1, 2]);
  expect([sourcePort(0xffffffff), sourcePort(0)]).toEqual([65535, 49152]);
  expect([flowLabel(0xffffffff), flowLabel(4095)]).toEqual([0xfffff, 0]);
  expect([pathOf(0x7fffffff), pathOf(0x80000000)]).toEqual([0, 1]);
  expect(hash).toBeLessThan(2 ** 32);
  expect(ipHash('10.0.0.1', '10.0.0.2', 17)).not.toBe(hash);
  expect(ethernetHash('02:00:00:00:00:01', '02:00:00:00:00:02', 0x806)).not.toBe(
    ethernetHash('02:00:00:00:00:02', '02:00:00:00:00:01', 0x806),
  );
});
