import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksum, updateChecksum } from '../../../src/simulator/checksum.ts';
import { combineEcn, setEcn } from '../../../src/simulator/ecn.ts';
import { hashWords } from '../../../src/simulator/hash.ts';
import { REASON_NAMES } from '../../../src/simulator/types.ts';
import { packetFixtures } from '../../fixtures/packets/index.ts';
import { frame, internetChecksum, toHex } from '../../support/packet.ts';
import { packetFaults } from '../../support/packet-check.ts';
import { expectationOf, frameOf } from '../../support/packet-fixture.ts';
import { hash32 } from '../../support/packet-hash.ts';
import { pcapng } from '../../support/pcap.ts';

test('reason names are those of bpf/reasons.h', () => {
  const header = readFileSync(new URL('../../../bpf/reasons.h', import.meta.url), 'utf8');
  const names = [...header.matchAll(/MW_REASON_([A-Z0-9_]+) = \d+/g)].map(([, name]) =>
    name!.toLowerCase().replaceAll('_', '-'),
  );
  expect(names.filter((name) => name !== 'count')).toEqual([...REASON_NAMES]);
});

describe('flow hash', () => {
  test('known values', () => {
    // worked out with arbitrary-precision arithmetic, apart from both implementations
    expect(hashWords([]).toString(16)).toBe('bb9506db');
    expect(hashWords([0x0a010001, 0x0a010002, 6, 0x9c4001bb]).toString(16)).toBe('c7a555ab');
  });

  test('both implementations agree', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff_ffff }), { maxLength: 12 }), (words) => {
        expect(BigInt(hashWords(words))).toBe(hash32(words.map(BigInt)));
      }),
    );
  });
});

describe('checksum', () => {
  test('RFC 1071 section 3', () => {
    expect(checksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7))).toBe(0x220d);
  });

  test('an update is a new computation, when it was right before', () => {
    const header = fc.uint8Array({ minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(header, fc.integer({ min: 0, max: 3 }), (bytes, ecn) => {
        const before = Uint8Array.from(bytes);
        before[0] = 0x45;
        before.fill(0, 10, 12);
        new DataView(before.buffer).setUint16(10, internetChecksum(before));
        const after = Uint8Array.from(before);
        setEcn(after, 0, 'ipv4', ecn);
        expect(internetChecksum(after)).toBe(0);
        after.fill(0, 10, 12);
        const fresh = internetChecksum(after);
        setEcn(before, 0, 'ipv4', ecn);
        expect(new DataView(before.buffer).getUint16(10)).toBe(fresh);
      }),
    );
  });

  test('RFC 1624 section 4: the case that equation 2 gets wrong', () => {
    expect(updateChecksum(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });
});

test('ECN never invents and never loses a congestion mark', () => {
  for (const inner of [1, 2, 3]) expect(combineEcn(3, inner)).toBe(3);
  for (const outer of [0, 1, 2]) expect(combineEcn(outer, 0)).toBe(0);
  expect(combineEcn(3, 0)).toBeUndefined();
});

describe('frames of the fixtures', () => {
  const sound = packetFixtures.filter((fixture) => packetFaults(frameOf(fixture.frame)).length === 0);

  test('most of what goes in is sound', () => {
    expect(sound.length).toBeGreaterThan(packetFixtures.length / 2);
  });

  test.each(sound.map((fixture) => [fixture.name, fixture] as const))(
    'what comes out of a sound frame is sound: %s',
    (_, fixture) => {
      for (const hook of ['xdp', 'tc'] as const) {
        for (const { frame } of expectationOf(fixture, hook).outputs) expect(packetFaults(frame)).toEqual([]);
      }
    },
  );

  test('faults are seen', () => {
    const eth = 'eth 02:00:00:00:00:01>02:00:00:00:00:02';
    const faults = (text: string) => packetFaults(frame(text)).length > 0;
    expect(faults(`${eth} | ip4 10.0.0.1>10.0.0.2 sum=bad | udp 1>2`)).toBe(true);
    expect(faults(`${eth} | ip4 10.0.0.1>10.0.0.2 | udp 1>2 sum=bad`)).toBe(true);
    expect(faults(`${eth} | ip4 10.0.0.1>10.0.0.2 | tcp 1>2 sum=partial`)).toBe(true);
    expect(faults(`${eth} | ip6 fd00::1>fd00::2 | udp 1>2 sum=0`)).toBe(true);
    expect(faults(`${eth} | ip6 fd00::1>fd00::2 | icmp6 sum=bad`)).toBe(true);
    expect(faults(`${eth} | ip4 10.0.0.1>10.0.0.2 len=99 | udp 1>2`)).toBe(true);
    expect(
      faults(
        `${eth} | ip4 10.0.0.1>10.0.0.2 | udp 1>4789 sum=0 | vxlan 1 | ${eth} | ip4 10.0.0.1>10.0.0.2 | udp 1>2 sum=bad`,
      ),
    ).toBe(true);
    expect(faults(`${eth} | ip4 10.0.0.1>10.0.0.2 | udp 1>2 | data 7`)).toBe(false);
  });
});

describe('the packet builder', () => {
  test('a known frame', () => {
    expect(
      toHex(
        frame(
          'eth 02:00:00:00:00:01>ff:ff:ff:ff:ff:ff | arp request 02:00:00:00:00:01 10.1.0.1 > 00:00:00:00:00:00 10.1.0.2',
        ),
      ),
    ).toBe('ffffffffffff02000000000108060001080006040001' + '0200000000010a0100010000000000000a010002');
    expect(
      toHex(
        frame('eth 02:00:00:00:00:01>02:00:00:00:00:02 | vlan 7 tpid=0x88a8 | vlan 9 | ip4 1.2.3.4>5.6.7.8 | udp 1>2'),
      ),
    ).toBe('02000000000202000000000188a8000781000009080045' + '00001c0000000040116abe0102030405060708000100020008efc7');
  });

  test('what it does not understand', () => {
    expect(() => frame('eth 02:00:00:00:00:01>02:00:00:00:00:02 | ipx')).toThrow("no layer 'ipx'");
    expect(() => frame('eth 02:00:00:00:00:01')).toThrow('SOURCE>DESTINATION');
    expect(() => frame('eth 02:00:00:00:00:01>02:00:00:00:00:02 | hex 0')).toThrow('no hex');
  });
});

test('a pcapng file: section, one interface a device, one packet a frame', () => {
  const file = pcapng([
    { device: 'p1', frame: Uint8Array.of(1, 2, 3), comment: 'first' },
    { device: 'p2', frame: Uint8Array.of(4) },
  ]);
  const types: number[] = [];
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    types.push(file.readUInt32LE(at));
    expect(file.readUInt32LE(at + file.readUInt32LE(at + 4) - 4)).toBe(file.readUInt32LE(at + 4));
  }
  expect(types).toEqual([0x0a0d0d0a, 1, 1, 6, 6]);
});
