/** The five tunnel headers by themselves, bytes as the documents that define them draw them. */
import { describe, expect, test } from 'vitest';
import type { HeaderResult, TunnelHeader } from '../../../src/simulator/encapsulation.ts';
import { tunnelHeader } from '../../../src/simulator/tunnel-headers.ts';
import { hex, lines } from './hosts.ts';

type Name = TunnelHeader['encap'];

const read = (encap: Name, text: string, buffered?: number): HeaderResult => {
  const bytes = hex(text);
  return tunnelHeader(encap).read({ bytes, at: 0, end: bytes.length, buffered: buffered ?? bytes.length });
};

describe('written', () => {
  test.each([
    ['vxlan', 0x010203, 4, '08 000000  010203 00'],
    ['vxlan', 0xffffff, 4, '08 000000  ffffff 00'],
    ['vxlan-gpe', 0x010203, 4, '0c 0000 01  010203 00'],
    ['vxlan-gpe', 0x010203, 6, '0c 0000 02  010203 00'],
    ['geneve', 0x010203, 4, '00 00 6558  010203 00'],
    ['gre', 0x01020304, 4, '2000 6558  01020304'],
    ['gre', 0xffffffff, 4, '2000 6558  ffffffff'],
    ['lisp', 0x010203, 6, '08 000000  010203 00'],
  ] as const)('%s, segment %i, IPv%i', (encap, segment, version, wanted) => {
    expect(lines(tunnelHeader(encap).write(segment, version))).toBe(lines(hex(wanted)));
  });
});

describe('read', () => {
  test.each<[Name, string, number, number]>([
    // RFC 7348 section 5: reserved bits are ignored
    ['vxlan', '08 000000  010203 00', 0x010203, 8],
    ['vxlan', 'ff ffffff  010203 ff', 0x010203, 8],
    ['vxlan', '08 000000  000000 00', 0, 8],
    // draft-ietf-nvo3-vxlan-gpe section 3: B and reserved bits are ignored
    ['vxlan-gpe', '0c 0000 01  010203 00', 0x010203, 8],
    ['vxlan-gpe', '0e ffff 02  010203 ff', 0x010203, 8],
    ['vxlan-gpe', 'cc 0000 02  010203 00', 0x010203, 8],
    // RFC 8926 section 3.4: C alone, reserved bits
    ['geneve', '00 00 6558  010203 00', 0x010203, 8],
    ['geneve', '00 7f 6558  010203 ff', 0x010203, 8],
    ['geneve', '01 00 6558  010203 00  0102 03 00', 0x010203, 12],
    ['geneve', '04 00 6558  010203 00  0102 03 01 aaaaaaaa  ffff 7f e1 bbbbbbbb', 0x010203, 24],
    [
      'geneve',
      `3f 00 6558  010203 00  ${`0102 03 1f ${'00'.repeat(124)}`}  ${`0102 03 1e ${'00'.repeat(120)}`}`,
      0x010203,
      260,
    ],
    // RFC 2890: checksum and sequence number before and behind the key
    ['gre', '2000 6558  01020304', 0x01020304, 8],
    ['gre', 'a000 6558  ffff0000 01020304', 0x01020304, 12],
    ['gre', '3000 6558  01020304 00000007', 0x01020304, 12],
    ['gre', 'b000 6558  ffff0000 01020304 00000007', 0x01020304, 16],
    // RFC 2784 section 2.3: bits 6 to 12 are ignored
    ['gre', '23f8 6558  01020304', 0x01020304, 8],
    // RFC 9300 section 5: nonce, echo-nonce, map versions and status bits say nothing here
    ['lisp', '08 000000  010203 00', 0x010203, 8],
    ['lisp', 'ff abcdef  010203 ff', 0x010203, 8],
  ])('%s %s', (encap, text, segment, length) => {
    expect(read(encap, text)).toEqual({ kind: 'header', segment, length });
  });
});

describe('refused', () => {
  test.each<[Name, string, string, string]>([
    ['vxlan', 'f7 000000  010203 00', 'tunnel-header', 'I flag'],
    ['vxlan-gpe', '04 0000 01  010203 00', 'tunnel-header', 'I flag'],
    ['vxlan-gpe', '08 0000 01  010203 00', 'tunnel-header', 'P flag'],
    ['vxlan-gpe', '1c 0000 01  010203 00', 'tunnel-header', 'version'],
    ['vxlan-gpe', '2c 0000 01  010203 00', 'tunnel-header', 'version'],
    ['vxlan-gpe', '0d 0000 01  010203 00', 'tunnel-header', 'O flag'],
    ['vxlan-gpe', '0c 0000 00  010203 00', 'tunnel-header', 'protocol 0'],
    ['vxlan-gpe', '0c 0000 03  010203 00', 'tunnel-header', 'protocol 3'],
    ['geneve', '40 00 6558  010203 00', 'tunnel-header', 'version'],
    ['geneve', '00 80 6558  010203 00', 'tunnel-header', 'O flag'],
    ['geneve', '00 00 0800  010203 00', 'tunnel-header', 'protocol'],
    ['geneve', '02 00 6558  010203 00  01020300', 'tunnel-header', 'longer than the packet'],
    ['geneve', '01 00 6558  010203 00  0102 03 01', 'tunnel-header', 'cut off'],
    ['geneve', '02 00 6558  010203 00  0102 03 00  0102 03 01', 'tunnel-header', 'cut off'],
    // the critical bit counts whatever flag C says, and wherever the option stands
    ['geneve', '01 00 6558  010203 00  0102 80 00', 'tunnel-option', 'critical'],
    ['geneve', '02 40 6558  010203 00  0102 03 00  0102 83 00', 'tunnel-option', 'critical'],
    // an option that is cut off counts first
    ['geneve', '02 40 6558  010203 00  0102 83 00  0102 03 01', 'tunnel-header', 'cut off'],
    ['gre', '6000 6558  01020304', 'tunnel-header', 'flags'],
    ['gre', '2800 6558  01020304', 'tunnel-header', 'flags'],
    ['gre', '2400 6558  01020304', 'tunnel-header', 'flags'],
    ['gre', '2000 6558  010203', 'outer-malformed', 'no room'],
    ['gre', 'a000 6558  ffff0000 010203', 'outer-malformed', 'no room'],
    ['gre', '3000 6558  01020304 000000', 'outer-malformed', 'no room'],
    ['lisp', 'f7 000000  010203 00', 'tunnel-header', 'I flag'],
  ])('%s %s: %s, %s', (encap, text, reason, why) => {
    expect(read(encap, text)).toEqual({ kind: 'problem', reason, why: expect.stringContaining(why) });
  });
});

test.each<[Name, string, number]>([
  ['vxlan', '08 000000  010203 00', 7],
  ['vxlan-gpe', '0c 0000 01  010203 00', 7],
  ['geneve', '00 00 6558  010203 00', 7],
  ['geneve', '01 00 6558  010203 00  0102 03 00', 11],
  ['gre', 'a000 6558  ffff0000 01020304', 11],
  ['lisp', '08 000000  010203 00', 7],
])('%s %s, of which %i bytes are in the first buffer', (encap, text, buffered) => {
  expect(read(encap, text, buffered)).toEqual({ kind: 'not-in-first-buffer' });
});
