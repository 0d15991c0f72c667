/** The outer UDP checksum over IPv6, for a node that asks for one: packet-rules.md §4, "Checksum". */
import { describe, expect, test } from 'vitest';
import { concat, frame, internetChecksum } from '../../support/packet.ts';
import { EVERY_ENCAP, hex, ipOf, lines, macOf, NODES, run, tableOf, UNDERLAY_DEVICE } from './hosts.ts';

const table = tableOf({
  vxlan: { ...EVERY_ENCAP.vxlan, vlan: 'transparent', mtu: 9000 },
  gpe: EVERY_ENCAP.gpe,
  geneve: EVERY_ENCAP.geneve,
  gre: { ...EVERY_ENCAP.gre, mtu: 1400 },
});

/** From port 1 of a network to the foreign node `x`. */
function inner(network: number, layers: string): Uint8Array {
  return frame(`eth ${macOf(network, '1')}>${macOf(network, 'x')} | ${layers}`);
}

const ip4 = (network: number) => `ip4 ${ipOf(network, '1')}>${ipOf(network, 'x')}`;
const ip6 = (network: number) => `ip6 ${ipOf(network, '1', 6)}>${ipOf(network, 'x', 6)}`;

function outer(device: string, input: Uint8Array, more: Partial<Parameters<typeof run>[0]> = {}) {
  return run({ table, device, frame: input, ...more });
}

/** What the outer UDP checksum adds up to with everything under it: 0 when it is right. */
function fault(output: Uint8Array): number {
  const udp = output.subarray(54);
  const length = hex(udp.length.toString(16).padStart(8, '0'));
  return internetChecksum(concat(output.subarray(22, 54), length, hex('00000011'), udp));
}

const field = (output: Uint8Array) => Buffer.from(output).readUInt16BE(60);

describe('is right', () => {
  test.each<[string, string]>([
    ['TCP over IPv4', `${ip4(1)} | tcp 1000>80 | data 100`],
    ['TCP over IPv4, an odd length', `${ip4(1)} | tcp 1000>80 | data 101`],
    ['TCP over IPv4 with options', `${ip4(1)} opts=01010101 | tcp 1000>80 | data 7`],
    ['UDP over IPv4', `${ip4(1)} | udp 1000>53 | data 3`],
    ['UDP over IPv6', `${ip6(1)} | udp 1000>53 | data 3`],
    ['TCP over IPv6', `${ip6(1)} | tcp 1000>80 | data 3`],
    ['UDP without a checksum', `${ip4(1)} | udp 1000>53 sum=0 | data 3`],
    ['ICMP', `${ip4(1)} | icmp | data 3`],
    ['ICMPv6', `${ip6(1)} | icmp6 | data 3`],
    ['a first fragment', `${ip4(1)} mf | udp 1000>53 sum=bad | data 8`],
    ['a later fragment', `${ip4(1)} off=8 | data 9`],
    ['an atomic fragment', `${ip6(1)} | frag | udp 1000>53 sum=bad | data 8`],
    ['behind extension headers', `${ip6(1)} | hbh | udp 1000>53 sum=bad | data 8`],
    ['a wrong IPv4 header checksum', `${ip4(1)} sum=bad | tcp 1000>80 | data 5`],
    ['padding', `${ip4(1)} | udp 1000>53 | data 1 | pad 17`],
    ['padding that is not zero, behind an odd length', `${ip4(1)} | udp 1000>53 | data 1 | hex ffeedd`],
    ['no IP', 'data 47'],
    ['a tagged frame', `vlan 10 | ${ip4(1)} | tcp 1000>80 | data 5`],
    ['a frame with two tags', `vlan 10 tpid=0x88a8 | vlan 11 | ${ip6(1)} | udp 1000>53 | data 5`],
  ])('%s', (_, layers) => {
    const text = layers.includes('hex') ? layers.replace(' | hex ffeedd', '') : layers;
    const input = layers.includes('hex') ? concat(inner(1, text), hex('ffeedd')) : inner(1, text);
    const { outputs } = outer('vxlan1', input);
    expect(fault(outputs[0]!.frame)).toBe(0);
    expect(lines(outputs[0]!.frame.subarray(70))).toBe(lines(input));
  });

  test.each([
    ['gpe', 2],
    ['geneve', 3],
  ] as const)('%s', (name, network) => {
    for (const ip of [ip4(network), ip6(network)]) {
      const { outputs } = outer(`${name}1`, inner(network, `${ip} | tcp 1000>80 | data 5`));
      expect(fault(outputs[0]!.frame)).toBe(0);
    }
  });

  test('a tag beside the frame is summed up as well', () => {
    const { outputs } = outer('vxlan1', inner(1, `${ip4(1)} | tcp 1000>80 | data 5`), { metadataTag: 0x2064 });
    expect(lines(outputs[0]!.frame.subarray(82, 88))).toBe('810020640800');
    expect(fault(outputs[0]!.frame)).toBe(0);
  });

  test('0 is sent as 0xffff', () => {
    // the two bytes of data that bring the sum to 0xffff are the checksum of the packet without them
    const probe = (data: number) => {
      const bytes = data.toString(16).padStart(4, '0');
      return outer('vxlan1', inner(1, `${ip4(1)} proto=99 | hex ${bytes}`)).outputs[0]!.frame;
    };
    const output = probe(field(probe(0)));
    expect(field(output)).toBe(0xffff);
    expect(fault(output)).toBe(0);
  });
});

describe('follows from headers alone', () => {
  const right = outer('vxlan1', inner(1, `${ip4(1)} | tcp 1000>80 | data 100`)).outputs[0]!.frame;

  test('an unfinished inner checksum: right when it is finished', () => {
    const input = inner(1, `${ip4(1)} | tcp 1000>80 sum=partial | data 100`);
    const { frame: left } = outer('vxlan1', input).outputs[0]!;
    expect(field(left)).toBe(field(right));
    expect(fault(left)).not.toBe(0);
    const devices = new Map([
      ['vxlan1', { name: 'vxlan1', mac: '02:00:5e:20:00:00', mtu: 1500, ...PARTIAL }],
      [UNDERLAY_DEVICE, { name: UNDERLAY_DEVICE, mac: '02:00:5e:10:00:00', mtu: 1500, ...WHOLE }],
    ]);
    const xdp = outer('vxlan1', input, { hook: 'xdp', change: { devices } });
    expect(lines(xdp.outputs[0]!.frame)).toBe(lines(right));
  });

  test('a wrong inner checksum makes the outer one wrong', () => {
    const { frame: wrong } = outer('vxlan1', inner(1, `${ip4(1)} | tcp 1000>80 sum=bad | data 100`)).outputs[0]!;
    expect(field(wrong)).toBe(field(right));
    expect(fault(wrong)).not.toBe(0);
  });

  test('the UDP length is not looked at', () => {
    const text = (length: string) => `${ip4(1)} | udp 1000>53 sum=0x1234${length} | data 20`;
    const [whole, short] = ['', ' len=10'].map((length) => outer('vxlan1', inner(1, text(length))).outputs[0]!.frame);
    expect(field(short!)).toBe(field(whole!));
  });
});

const WHOLE = { xdpRedirect: true, xdpFrags: true, partialChecksum: false } as const;
const PARTIAL = { ...WHOLE, partialChecksum: true } as const;

describe('who asks', () => {
  const asked = (change: object) => {
    const nodes = { ...NODES, x: { ...NODES.x, ...change } };
    const own = tableOf({ vxlan: EVERY_ENCAP.vxlan }, () => {}, nodes);
    const { outputs } = run({ table: own, device: 'vxlan1', frame: inner(1, `${ip4(1)} | tcp 1>2`) });
    return field(outputs[0]!.frame) !== 0;
  };

  test.each([
    ['auto, foreign', {}, true],
    ['auto, ours', { kind: 'mapwire' }, false],
    ['zero, foreign', { 'udp6-checksum': 'zero' }, false],
    ['computed, ours', { kind: 'mapwire', 'udp6-checksum': 'computed' }, true],
  ] as const)('%s', (_, change, wanted) => {
    expect(asked(change)).toBe(wanted);
  });

  test('over IPv4 nobody', () => {
    const nodes = { ...NODES, b: { ...NODES.b, 'udp6-checksum': 'computed' } };
    const own = tableOf({ vxlan: EVERY_ENCAP.vxlan }, () => {}, nodes);
    const text = `eth ${macOf(1, '1')}>${macOf(1, 'b')} | ${ip4(1)} | tcp 1>2`;
    expect(
      Buffer.from(run({ table: own, device: 'vxlan1', frame: frame(text) }).outputs[0]!.frame).readUInt16BE(40),
    ).toBe(0);
  });
});

describe('XDP leaves', () => {
  const verdict = (layers: string, firstBuffer?: number) =>
    outer('vxlan1', inner(1, layers), { hook: 'xdp', ...(firstBuffer !== undefined && { firstBuffer }) }).record
      .verdict;

  test.each([
    ['2,048 bytes to sum up', `${ip4(1)} | icmp | data ${2048 - 14 - 20 - 8}`, 'encap'],
    ['2,049 bytes to sum up', `${ip4(1)} | icmp | data ${2049 - 14 - 20 - 8}`, 'left'],
    ['2,048 bytes of padding', `${ip4(1)} | tcp 1>2 | pad 2048`, 'encap'],
    ['2,049 bytes of padding', `${ip4(1)} | tcp 1>2 | pad 2049`, 'left'],
    ['headers alone', `${ip4(1)} | tcp 1>2 | data 5000`, 'encap'],
  ])('%s: %s', (_, layers, wanted) => {
    expect(verdict(layers)).toBe(wanted);
  });

  test.each([
    ['to sum up', `${ip4(1)} | icmp | data 500`, 'left'],
    ['padding', `${ip4(1)} | tcp 1>2 | data 500 | pad 1`, 'left'],
    ['headers alone', `${ip4(1)} | tcp 1>2 | data 500`, 'encap'],
  ])('several buffers, %s: %s', (_, layers, wanted) => {
    expect(verdict(layers, 200)).toBe(wanted);
  });
});

describe('a super-packet', () => {
  const big = inner(1, `${ip4(1)} | tcp 1000>80 sum=partial | data 5000`);
  const cut = (change: object) => outer('vxlan1', big, { gsoSize: 1000, change });

  test('goes to the segmenter as it is', () => {
    const { record, outputs } = cut({ segmenter: true });
    const segment = EVERY_ENCAP.vxlan.segment;
    expect(record).toEqual({
      verdict: 'encap',
      reason: 'none',
      network: 'vxlan',
      node: 'x',
      segment,
      device: 'segmenter',
    });
    expect(outputs.map(({ device, frame }) => [device, lines(frame)])).toEqual([['segmenter', lines(big)]]);
  });

  test('without one', () => {
    expect(cut({ segmenter: false }).record).toEqual({ verdict: 'drop', reason: 'no-segmenter', network: 'vxlan' });
  });

  test('is judged by its size first', () => {
    const { record } = outer('vxlan1', big, { gsoSize: 9000, change: { segmenter: false } });
    expect(record).toMatchObject({ verdict: 'answer', reason: 'too-big' });
  });

  test('GRE has no checksum: as it is', () => {
    const text = `${ip4(4)} | tcp 1000>80 sum=partial | data 5000`;
    const { record } = outer('gre1', inner(4, text), { gsoSize: 1000, change: { segmenter: false } });
    expect(record).toMatchObject({ verdict: 'encap', node: 'x', device: UNDERLAY_DEVICE });
  });

  test('flooded: no copy for the node that asks', () => {
    const text = `eth ${macOf(1, '1')}>ff:ff:ff:ff:ff:ff | ${ip4(1)} | udp 1000>80 sum=partial | data 5000`;
    const input = { table, device: 'vxlan1', frame: frame(text) };
    expect(run({ ...input, gsoSize: 1000 }).record).toMatchObject({ verdict: 'flood', copies: 3 });
    expect(run(input).record).toMatchObject({ verdict: 'flood', copies: 4 });
  });
});
