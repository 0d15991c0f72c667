/** Whatever bytes come, the model has one answer, and what it sends on is sound. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ENCAP_NAMES } from '../../../src/generated/layout.ts';
import { REASON_NAMES } from '../../../src/simulator/types.ts';
import { frame } from '../../support/packet.ts';
import { arriving } from './arriving.ts';
import { EVERY_ENCAP, ipOf, macOf, NODES, run, tableOf, UNDERLAY_DEVICE } from './hosts.ts';

/** `v` prefers IPv6, and has an address of the group's family. */
const nodes = {
  ...NODES,
  b: { underlay: ['192.0.2.2', '2001:db8::2'] },
  v: { underlay: ['2001:db8::6', '192.0.2.6'] },
};
const group = { flood: 'multicast', group: 'ff05::1' } as const;
const table = tableOf(
  { ...EVERY_ENCAP, vxlan: { ...EVERY_ENCAP.vxlan, vlan: 'transparent', ...group } },
  () => {},
  nodes,
);
const NAMES = Object.keys(EVERY_ENCAP);

/** Sound frames from ports, and sound tunnel packets. */
const SOUND = NAMES.flatMap((name, i) => {
  const n = i + 1;
  const ends = (from: '1' | 'b', to: '1' | 'b') => `eth ${macOf(n, from)}>${macOf(n, to)}`;
  const inner = frame(`${ends('b', '1')} | ip6 ${ipOf(n, 'b', 6)}>${ipOf(n, '1', 6)} | hbh | tcp 1>2 | data 9`);
  const header = {
    vxlan: { port: 4789, header: '08 000000 010203 00' },
    gpe: { port: 4790, header: '0c 0000 02 010204 00' },
    geneve: { port: 6081, header: '02 00 6558 010205 00 0000 01 01 00000000' },
    gre: { header: 'b000 6558 00000000 01020306 00000000' },
    lisp: { port: 4341, header: '08 000000 010207 00' },
  }[name];
  const payload = name === 'gpe' || name === 'lisp' ? inner.subarray(14) : inner;
  const arrives = (source: string) => (header === undefined ? inner : arriving({ ...header, source, payload }));
  return [
    { device: `${name}1`, frame: frame(`${ends('1', 'b')} | ip4 ${ipOf(n, '1')}>${ipOf(n, 'b')} | udp 1>2 | data 9`) },
    {
      device: `${name}1`,
      frame: frame(`${ends('1', 'b')} | vlan 7 | ip6 ${ipOf(n, '1', 6)}>${ipOf(n, 'b', 6)} | icmp6`),
    },
    { device: UNDERLAY_DEVICE, frame: arrives('192.0.2.2') },
    { device: UNDERLAY_DEVICE, frame: arrives('2001:db8::6') },
  ];
});

type Damage = (bytes: Uint8Array) => Uint8Array;

const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ at: fc.nat(150), to: fc.nat(255) }).map(({ at, to }) => (bytes: Uint8Array): Uint8Array => {
    if (at < bytes.length) bytes[at] = to;
    return bytes;
  }),
  fc.nat(150).map((length) => (bytes: Uint8Array) => bytes.subarray(0, length)),
  fc.nat(150).map((length) => (bytes: Uint8Array) => Uint8Array.from([...bytes, ...new Uint8Array(length)])),
);

test('damaged frames', () => {
  const input = fc.record({
    sound: fc.constantFrom(...SOUND),
    damages: fc.array(damage, { maxLength: 4 }),
    hook: fc.constantFrom('xdp' as const, 'tc' as const),
    firstBuffer: fc.option(fc.nat(200), { nil: undefined }),
    gsoSize: fc.constantFrom(0, 0, 10, 1000),
    metadataTag: fc.constantFrom(undefined, undefined, 7, 100),
    underlayVlan: fc.constantFrom(0, 0, 100),
    allFeatures: fc.boolean(),
  });
  const seen = new Set<string>();
  fc.assert(
    fc.property(input, ({ sound, damages, hook, firstBuffer, gsoSize, metadataTag, underlayVlan, allFeatures }) => {
      const bytes = damages.reduce<Uint8Array>((whole, apply) => apply(whole), sound.frame.slice());
      const given = {
        ...(firstBuffer !== undefined && { firstBuffer }),
        ...(metadataTag !== undefined && { metadataTag }),
      };
      const before = bytes.slice();
      const change = { underlayVlan, allFeatures };
      const { record, outputs } = run({ table, device: sound.device, frame: bytes, hook, gsoSize, change, ...given });
      expect(bytes).toEqual(before);
      seen.add(record.reason === 'none' ? record.verdict : record.reason);
      expect(REASON_NAMES).toContain(record.reason);
      expect(record.verdict === 'drop').toBe(record.reason !== 'none' && record.verdict !== 'answer');
      const sends = ['deliver', 'encap', 'answer', 'flood'].includes(record.verdict);
      if (record.verdict !== 'flood') expect(outputs).toHaveLength(sends ? 1 : 0);
      if (hook === 'xdp') {
        expect(['answer', 'flood']).not.toContain(record.verdict);
        expect(outputs.some(({ tag }) => tag !== undefined)).toBe(false);
      }
    }),
    { numRuns: 2000 },
  );
  // the damage is of a size that much gets through, and much does not
  expect([...seen]).toEqual(expect.arrayContaining(['deliver', 'encap', 'stack', 'malformed']));
  expect(seen.size).toBeGreaterThan(8);
});

test('the model knows every encapsulation of the layout', () => {
  const names = [...ENCAP_NAMES.values()].filter((name) => name !== 'none');
  expect(Object.values(EVERY_ENCAP).map(({ encap }) => encap)).toEqual(names);
});
