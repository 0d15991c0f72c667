/** Tagged guests: packet-rules.md, "VLAN tag", rules 2.4, 2.10 and 3.6. */
import { describe, expect, test } from 'vitest';
import { concat, frame } from '../../support/packet.ts';
import { arriving } from './arriving.ts';
import { hex, ipOf, lines, macOf, run, tableOf, UNDERLAY_DEVICE } from './hosts.ts';

const table = tableOf({
  trunk: { encap: 'vxlan', segment: 1, vlan: 'transparent', mtu: 1400 },
  plain: { encap: 'vxlan', segment: 2 },
});
const own = macOf(1, '1');
const here = macOf(1, '2');
const there = macOf(1, 'b');
const ALL = 'ff:ff:ff:ff:ff:ff';
const ip = (to: '2' | 'b') => `ip4 ${ipOf(1, '1')}>${ipOf(1, to)}`;

function send(text: string, more: Partial<Parameters<typeof run>[0]> = {}) {
  return run({ table, device: 'trunk1', frame: frame(text), ...more });
}

const outcome = ({ record }: ReturnType<typeof run>) => (record.reason === 'none' ? record.verdict : record.reason);
const TAGS = ['vlan 10', 'vlan 10 tpid=0x88a8', 'vlan 10 | vlan 11', 'vlan 10 tpid=0x88a8 | vlan 11'];

describe('carried whole', () => {
  test.each(TAGS)('to a port here: %s', (tags) => {
    const text = `eth ${own}>${here} | ${tags} | ${ip('2')} | udp 1>2 | data 9`;
    const { record, outputs } = send(text);
    expect(record).toMatchObject({ verdict: 'deliver', port: 'trunk-2' });
    expect(lines(outputs[0]!.frame)).toBe(lines(frame(text)));
  });

  test.each(TAGS)('to another node, and back: %s', (tags) => {
    const text = `eth ${own}>${there} | ${tags} | ${ip('b')} | udp 1>2 | data 9`;
    expect(lines(send(text).outputs[0]!.frame.subarray(50))).toBe(lines(frame(text)));
    const back = frame(`eth ${there}>${own} | ${tags} | ip4 ${ipOf(1, 'b')}>${ipOf(1, '1')} tos=2 | udp 1>2`);
    const input = arriving({ port: 4789, header: '08 000000 000001 00', payload: back, tos: 3 });
    const { record, outputs } = run({ table, device: UNDERLAY_DEVICE, frame: input });
    expect(record).toMatchObject({ verdict: 'deliver', port: 'trunk-1' });
    const marked = frame(`eth ${there}>${own} | ${tags} | ip4 ${ipOf(1, 'b')}>${ipOf(1, '1')} tos=3 | udp 1>2`);
    expect(lines(outputs[0]!.frame)).toBe(lines(marked));
  });

  test('a tag beside the frame goes into a tunnel, and stays beside to a port', () => {
    const metadataTag = { etherType: 0x88a8, tci: 0x600a };
    const far = frame(`eth ${own}>${there} | vlan 11 | ${ip('b')} | udp 1>2`);
    const inTunnel = send(`eth ${own}>${there} | vlan 11 | ${ip('b')} | udp 1>2`, { metadataTag }).outputs[0]!;
    expect(lines(inTunnel.frame.subarray(50))).toBe(
      lines(concat(far.subarray(0, 12), hex('88a8600a'), far.subarray(12))),
    );
    expect(inTunnel.tag).toBeUndefined();
    const near = send(`eth ${own}>${here} | ${ip('2')} | udp 1>2`, { metadataTag }).outputs[0]!;
    expect(lines(near.frame)).toBe(lines(frame(`eth ${own}>${here} | ${ip('2')} | udp 1>2`)));
    expect(near.tag).toBe(0x600a);
  });

  test('flooded with a tag beside the frame: both', () => {
    const text = `eth ${own}>${ALL} | data 46`;
    const { outputs } = send(text, { metadataTag: 10 });
    expect(outputs.map(({ device, tag, frame: out }) => [device, tag, out.length])).toEqual([
      ['trunk2', 10, 60],
      [UNDERLAY_DEVICE, undefined, 114],
      [UNDERLAY_DEVICE, undefined, 134],
      [UNDERLAY_DEVICE, undefined, 134],
    ]);
  });
});

describe('judged by what is behind the tags', () => {
  test.each([
    ['a forged address', 'vlan 10 | ip4 10.1.0.9>10.1.0.2 | udp 1>2', 'guard-ip'],
    ['an underlay address', 'vlan 10 | vlan 11 | ip4 192.0.2.2>10.1.0.2 | udp 1>2', 'underlay-source'],
    ['a broken packet', 'vlan 10 | ip4 10.1.0.1>10.1.0.2 len=999 | udp 1>2', 'malformed'],
    ['a tag that is cut off', 'vlan 10 | vlan 11 | cut 21', 'malformed'],
    ['a third tag is none that is carried', 'vlan 10 | vlan 11 | vlan 12 | ip4 10.1.0.1>10.1.0.2 | udp 1>2', 'tagged'],
    ['PAUSE behind a tag is none', 'vlan 10 | hex 88080001', 'deliver'],
  ])('%s: %s', (_, layers, wanted) => {
    const text = layers.includes('hex')
      ? concat(frame(`eth ${own}>${here} | vlan 10 | data 46`).subarray(0, 16), hex('8808 0001'), new Uint8Array(44))
      : frame(`eth ${own}>${here} | ${layers}`);
    const { record } = run({ table, device: 'trunk1', frame: text });
    expect(record.reason === 'none' ? record.verdict : record.reason).toBe(wanted);
  });

  test('with a tag beside the frame one inside is carried, a second is not', () => {
    const text = (tags: string) => `eth ${own}>${here} | ${tags} | ip4 192.0.2.2>10.1.0.2 | udp 1>2`;
    expect(outcome(send(text('vlan 11'), { metadataTag: 10 }))).toBe('underlay-source');
    expect(outcome(send(text('vlan 11 | vlan 12'), { metadataTag: 10 }))).toBe('tagged');
  });

  test('never answered: ARP goes on, too big is dropped', () => {
    const arp = `eth ${own}>${ALL} | vlan 10 | arp request ${own} ${ipOf(1, '1')} > 00:00:00:00:00:00 ${ipOf(1, 'b')}`;
    expect(outcome(send(arp))).toBe('flood');
    const large = `eth ${own}>${here} | vlan 10 | ${ip('2')} | udp 1>2 | data 1400`;
    expect(send(large).record).toEqual({ verdict: 'drop', reason: 'too-big', network: 'trunk' });
  });

  test('the flow hash is that of the packet', () => {
    const flow = (tags: string) =>
      send(`eth ${own}>${there} | ${tags}${ip('b')} | udp 1>2`).outputs[0]!.frame.subarray(34, 36);
    expect(lines(flow('vlan 10 | '))).toBe(lines(flow('')));
    expect(lines(flow('vlan 10 | vlan 11 | '))).toBe(lines(flow('')));
  });
});

describe('size', () => {
  // 1,400 is the MTU: 1,372 bytes of UDP data
  const sized = (to: string, tags: string, data: number) =>
    `eth ${own}>${to} | ${tags}${ip('2')} | udp 1>2 | data ${data}`;

  test.each([
    ['to a port here tags do not count', here, 'vlan 10 | ', 1372, 'deliver'],
    ['to another node they do', there, 'vlan 10 | ', 1368, 'encap'],
    ['to another node they do', there, 'vlan 10 | ', 1369, 'too-big'],
    ['both', there, 'vlan 10 | vlan 11 | ', 1364, 'encap'],
    ['both', there, 'vlan 10 | vlan 11 | ', 1365, 'too-big'],
    ['flooded they do', ALL, 'vlan 10 | ', 1368, 'flood'],
    ['flooded they do', ALL, 'vlan 10 | ', 1369, 'too-big'],
  ])('%s: %s %s %i', (_, to, tags, data, wanted) => {
    expect(outcome(send(sized(to, tags, data)))).toBe(wanted);
  });

  test('one beside the frame counts as well', () => {
    expect(outcome(send(sized(there, '', 1368), { metadataTag: 10 }))).toBe('encap');
    expect(outcome(send(sized(there, '', 1369), { metadataTag: 10 }))).toBe('too-big');
  });

  test('of what is not IP the tags in the frame are no part of it', () => {
    expect(outcome(send(`eth ${own}>${here} | vlan 10 | data 1400`))).toBe('deliver');
    expect(outcome(send(`eth ${own}>${here} | vlan 10 | data 1401`))).toBe('too-big');
    expect(outcome(send(`eth ${own}>${there} | vlan 10 | data 1396`))).toBe('encap');
    expect(outcome(send(`eth ${own}>${there} | vlan 10 | data 1397`))).toBe('too-big');
  });
});

describe('XDP', () => {
  test('leaves what it would have to send, and drops what the rules drop', () => {
    const tagged = (layers: string) => send(`eth ${own}>${here} | vlan 10 | ${layers}`, { hook: 'xdp' });
    expect(outcome(tagged(`${ip('2')} | udp 1>2`))).toBe('left');
    expect(outcome(tagged('ip4 10.1.0.9>10.1.0.2 | udp 1>2'))).toBe('guard-ip');
    const payload = frame(`eth ${there}>${own} | vlan 10 | data 46`);
    const input = arriving({ port: 4789, header: '08 000000 000001 00', payload });
    expect(outcome(run({ table, device: UNDERLAY_DEVICE, frame: input, hook: 'xdp' }))).toBe('left');
  });
});

describe('elsewhere', () => {
  test('a network that drops tags', () => {
    const text = `eth ${macOf(2, '1')}>${macOf(2, 'b')} | vlan 10 | data 46`;
    expect(outcome(send(text, { device: 'plain1' }))).toBe('tagged');
    const payload = frame(`eth ${macOf(2, 'b')}>${macOf(2, '1')} | vlan 10 | data 46`);
    const input = arriving({ port: 4789, header: '08 000000 000002 00', payload });
    expect(outcome(run({ table, device: UNDERLAY_DEVICE, frame: input }))).toBe('tagged');
  });

  test('in a load with such a network, its entry is read before the inner frame', () => {
    const input = arriving({ port: 4789, header: '08 000000 000002 00', payload: hex('00') });
    const faults = [{ target: 'network', key: 'plain', effect: 'missing' }] as const;
    expect(outcome(run({ table, device: UNDERLAY_DEVICE, frame: input, change: { faults } }))).toBe('stale');
    const without = tableOf({ other: { encap: 'vxlan', segment: 1 }, plain: { encap: 'vxlan', segment: 2 } });
    expect(outcome(run({ table: without, device: UNDERLAY_DEVICE, frame: input, change: { faults } }))).toBe(
      'malformed',
    );
  });
});
