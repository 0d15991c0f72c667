/** Flat networks: frames to the wire (rule 2.9) and from it (rule 3.11). */
import { describe, expect, test } from 'vitest';
import { concat, frame } from '../../support/packet.ts';
import { hex, ipOf, lines, macOf, run, tableOf, UNDERLAY_DEVICE, UNDERLAY_MAC } from './hosts.ts';

const table = tableOf({
  lan: { encap: 'flat' },
  office: { encap: 'flat', segment: 100, unknown: 'flood' },
  quiet: { encap: 'flat', segment: 200, flood: 'none' },
  vxlan: { encap: 'vxlan', segment: 1 },
});
const NAMES = ['lan', 'office', 'quiet'] as const;
type Name = (typeof NAMES)[number];
const VLAN: Readonly<Record<Name, number>> = { lan: 0, office: 100, quiet: 200 };
const ALL = 'ff:ff:ff:ff:ff:ff';
const STRANGER = '02:00:00:00:77:77';
const macIn = (name: Name, place: '1' | '2' | 'b') => macOf(NAMES.indexOf(name) + 1, place);

/** With the network's tag in the frame. */
function onWire(name: Name, bytes: Uint8Array): Uint8Array {
  if (VLAN[name] === 0) return bytes;
  const tag = hex(`8100 ${VLAN[name].toString(16).padStart(4, '0')}`);
  return concat(bytes.subarray(0, 12), tag, bytes.subarray(12));
}

function send(name: Name, to: string, more: Partial<Parameters<typeof run>[0]> = {}, layers = 'data 46') {
  const input = frame(`eth ${macIn(name, '1')}>${to} | ${layers}`);
  return { input, ...run({ table, device: `${name}1`, frame: input, ...more }) };
}

const outcome = ({ record }: Pick<ReturnType<typeof run>, 'record'>) =>
  record.reason === 'none' ? record.verdict : record.reason;

describe('to the wire', () => {
  test.each(NAMES)('%s', (name) => {
    const record = {
      verdict: 'encap',
      reason: 'none',
      network: name,
      node: 'b',
      segment: VLAN[name],
      device: UNDERLAY_DEVICE,
    };
    const tc = send(name, macIn(name, 'b'));
    expect(tc.record).toEqual(record);
    expect(lines(tc.outputs[0]!.frame)).toBe(lines(tc.input));
    expect(tc.outputs[0]!.tag ?? 0).toBe(VLAN[name]);
    const xdp = send(name, macIn(name, 'b'), { hook: 'xdp' });
    expect(xdp.record).toEqual(record);
    expect(lines(xdp.outputs[0]!.frame)).toBe(lines(onWire(name, xdp.input)));
    expect(xdp.outputs[0]!.tag).toBeUndefined();
  });

  test('the tag of the underlay is not theirs', () => {
    const { outputs } = send('lan', macIn('lan', 'b'), { change: { underlayVlan: 300 } });
    expect(outputs[0]!.tag).toBeUndefined();
  });

  test.each([
    ['no uplink', { uplink: undefined }, 'no-nexthop'],
    ['no entry of the wire', { faults: [{ target: 'node', key: 'the wire', effect: 'missing' }] }, 'no-node'],
    ['a stale one', { faults: [{ target: 'node', key: 'the wire', effect: 'stale' }] }, 'stale'],
    [
      'no entry of the node: it does not matter',
      { faults: [{ target: 'node', key: 'b', effect: 'missing' }] },
      'encap',
    ],
    ['the node is down', { states: new Map([['b', 'down' as const]]) }, 'no-locator'],
  ] as const)('%s: %s', (_, change, wanted) => {
    expect(outcome(send('office', macIn('office', 'b'), { change }))).toBe(wanted);
  });

  test('a flood: the ports here, and once the wire', () => {
    const { record, outputs } = send('office', ALL);
    expect(record).toEqual({ verdict: 'flood', reason: 'none', network: 'office', copies: 2 });
    expect(outputs.map(({ device, tag }) => [device, tag])).toEqual([
      ['office2', undefined],
      [UNDERLAY_DEVICE, 100],
    ]);
    expect(send('office', STRANGER).record).toMatchObject({ verdict: 'flood', copies: 2 });
    expect(send('office', ALL, { change: { uplink: undefined } }).record).toMatchObject({ copies: 1 });
    expect(outcome(send('quiet', ALL))).toBe('flood-off');
  });

  test('the MTU has no overhead', () => {
    expect(outcome(send('lan', macIn('lan', 'b'), {}, 'data 1500'))).toBe('encap');
    expect(outcome(send('lan', macIn('lan', 'b'), {}, 'data 1501'))).toBe('too-big');
  });

  test('answers come from the map', () => {
    const [own, asked] = [macIn('office', '1'), ipOf(2, 'b')];
    const text = `arp request ${own} ${ipOf(2, '1')} > 00:00:00:00:00:00 ${asked}`;
    expect(send('office', ALL, {}, text).record).toMatchObject({ verdict: 'answer', port: 'office-b' });
  });
});

function arrive(input: Uint8Array, more: Partial<Parameters<typeof run>[0]> = {}) {
  return run({ table, device: UNDERLAY_DEVICE, frame: input, ...more });
}

const fromWire = (from: string, to: string, layers = 'data 46') => frame(`eth ${from}>${to} | ${layers}`);

describe('from the wire', () => {
  test.each(NAMES.flatMap((name) => [[name, 'tc'] as const, [name, 'xdp'] as const]))('%s, %s', (name, hook) => {
    const bare = fromWire(macIn(name, 'b'), macIn(name, '1'));
    const { record, outputs } = arrive(onWire(name, bare), { hook });
    expect(record).toEqual({
      verdict: 'deliver',
      reason: 'none',
      network: name,
      port: `${name}-1`,
      device: `${name}1`,
    });
    expect(outputs.map(({ tag, frame: out }) => [tag, lines(out)])).toEqual([[undefined, lines(bare)]]);
  });

  test('a tag beside the frame is taken off', () => {
    const bare = fromWire(macIn('office', 'b'), macIn('office', '1'));
    const { record, outputs } = arrive(bare, { metadataTag: 0xe064 });
    expect(record).toMatchObject({ verdict: 'deliver', network: 'office', port: 'office-1' });
    expect(outputs.map(({ tag, frame: out }) => [tag, lines(out)])).toEqual([[undefined, lines(bare)]]);
  });

  test('from somebody that the table does not know', () => {
    expect(outcome(arrive(fromWire(STRANGER, macIn('lan', '1'))))).toBe('deliver');
  });

  const office = (from: string, to: string, layers?: string) => onWire('office', fromWire(from, to, layers));
  const far = macIn('office', 'b');
  const near = macIn('office', '1');
  const retag = (bytes: Uint8Array, tags: string) => concat(bytes.subarray(0, 12), hex(tags), bytes.subarray(12));
  const bare = fromWire(far, near);

  test.each<[string, Uint8Array]>([
    ['for the host itself', fromWire(macIn('lan', 'b'), UNDERLAY_MAC.a)],
    ['two tags', retag(bare, '8100 0064 8100 0001')],
    ['0x88a8', retag(bare, '88a8 0064')],
    ['a priority tag', retag(fromWire(macIn('lan', 'b'), macIn('lan', '1')), '8100 e000')],
    ['a VLAN of nobody', retag(bare, '8100 0065')],
    ['a tag that is cut off', retag(bare, '8100 0064').subarray(0, 17)],
    ['13 bytes', bare.subarray(0, 13)],
    ['link control', office(far, '01:80:c2:00:00:0e')],
    ['a multicast source', office('03:00:00:00:00:01', near)],
    ['malformed inside', office(far, near, 'ip4 10.2.0.3>10.2.0.1 len=999 | udp 1>2')],
    ['an unknown MAC, although unknown: flood', office(far, STRANGER)],
    ['a port that is elsewhere', office(far, macOf(2, 'v'))],
    ['a group where flood: none', onWire('quiet', fromWire(macIn('quiet', 'b'), ALL))],
    [
      'a tunnel packet for another node',
      frame(`eth ${UNDERLAY_MAC.b}>${UNDERLAY_MAC.v} | ip4 192.0.2.2>192.0.2.3 | udp 1>4789 | data 20`),
    ],
  ])('to the stack: %s', (_, input) => {
    expect(arrive(input).record).toEqual({ verdict: 'stack', reason: 'none' });
  });

  test('two tags, one of them beside', () => {
    expect(outcome(arrive(office(far, near), { metadataTag: 100 }))).toBe('stack');
    expect(outcome(arrive(bare, { metadataTag: { etherType: 0x88a8, tci: 100 } }))).toBe('stack');
    expect(outcome(arrive(bare, { metadataTag: 0xf000 }))).toBe('stack');
  });

  test('without a flat network all goes to the stack', () => {
    const without = tableOf({ lan: { encap: 'vxlan', segment: 1 } });
    expect(outcome(arrive(fromWire(macIn('lan', 'b'), macIn('lan', '1')), { table: without }))).toBe('stack');
  });

  test('a group: the ports here, and the stack too', () => {
    const untagged = fromWire(far, ALL);
    const { record, outputs, toStack } = arrive(onWire('office', untagged));
    expect(record).toEqual({ verdict: 'flood', reason: 'none', network: 'office', copies: 2 });
    expect(toStack).toBe(true);
    expect(outputs.map(({ device, frame: out }) => [device, lines(out)])).toEqual([
      ['office1', lines(untagged)],
      ['office2', lines(untagged)],
    ]);
    expect(outcome(arrive(onWire('office', untagged), { hook: 'xdp' }))).toBe('left');
    expect(arrive(onWire('office', untagged), { hook: 'xdp' }).toStack).toBeUndefined();
  });

  test('an own frame that comes back', () => {
    for (const to of [macIn('office', '2'), ALL, STRANGER]) {
      expect(arrive(office(near, to)).record).toEqual({ verdict: 'drop', reason: 'guard-remote', network: 'office' });
    }
    expect(outcome(arrive(office(near, macIn('office', '2')), { change: { guard: 'off' } }))).toBe('deliver');
    // a moment after the port came here its frames may still come from where it was
    const moved = (past: boolean) => ({ former: new Map([['office-1', { node: 'b', past }]]) });
    expect(outcome(arrive(office(near, macIn('office', '2')), { change: moved(false) }))).toBe('deliver');
    expect(outcome(arrive(office(near, macIn('office', '2')), { change: moved(true) }))).toBe('guard-remote');
  });

  test('a port whose first live place is elsewhere may send from there', () => {
    const two = tableOf({ office: { encap: 'flat', segment: 100 } }, (ports) => {
      ports['office-1']!.at = [
        { node: 'b', priority: 1 },
        { node: 'a', priority: 2, interface: 'office1' },
      ];
    });
    const input = onWire('office', frame(`eth ${macOf(1, '1')}>${macOf(1, '2')} | data 46`));
    expect(outcome(arrive(input, { table: two }))).toBe('deliver');
    expect(outcome(arrive(input, { table: two, change: { states: new Map([['b', 'down' as const]]) } }))).toBe(
      'guard-remote',
    );
  });

  test.each([
    ['segment', 'flat 100', 'stale', 'stale'],
    ['mac', `office ${far}`, 'stale', 'stale'],
    ['port', 'office-b', 'missing', 'stale'],
    ['mac', `office ${near}`, 'stale', 'stack'],
    ['port', 'office-1', 'stale', 'stack'],
    ['port', 'office-1', 'missing', 'stack'],
    ['local', 'office-1', 'missing', 'no-interface'],
    ['local', 'office-1', 'stale', 'stale'],
    ['network', 'office', 'missing', 'deliver'],
  ] as const)('%s %s %s: %s', (target, key, effect, wanted) => {
    expect(outcome(arrive(office(far, near), { change: { faults: [{ target, key, effect }] } }))).toBe(wanted);
  });

  test('a group in a network without an entry', () => {
    const faults = [{ target: 'network', key: 'office', effect: 'missing' }] as const;
    expect(outcome(arrive(office(far, ALL), { change: { faults } }))).toBe('stale');
  });

  test('larger than the interface', () => {
    expect(outcome(arrive(office(far, near, 'data 1500')))).toBe('deliver');
    expect(outcome(arrive(office(far, near, 'data 1501')))).toBe('port-mtu');
    expect(outcome(arrive(office(far, near, 'data 1501'), { hook: 'xdp' }))).toBe('left');
    expect(arrive(office(far, ALL, 'data 1501')).record).toMatchObject({ verdict: 'flood', copies: 0 });
  });

  test('a super-packet that is padded, or not TCP', () => {
    const layers = 'ip4 10.2.0.3>10.2.0.1 | udp 1>2 | data 3000 | pad 4';
    expect(outcome(arrive(office(far, near, layers), { gsoSize: 1000 }))).toBe('deliver');
  });
});
