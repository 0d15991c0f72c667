/** Multicast groups, rates, long lists, what routers told: packet-rules.md rules 2.9, 2.10 and 3.1. */
import { describe, expect, test } from 'vitest';
import { frame } from '../../support/packet.ts';
import { arriving } from './arriving.ts';
import { hex, ipOf, lines, macHex, macOf, NODES, run, tableOf, UNDERLAY_DEVICE, UNDERLAY_MAC } from './hosts.ts';

const NETWORKS = {
  four: { encap: 'vxlan', segment: 1, flood: 'multicast', group: '239.129.2.3' },
  six: { encap: 'geneve', segment: 2, flood: 'multicast', group: 'ff05::1234:5678' },
  mixed: { encap: 'lisp', segment: 3, flood: 'multicast', group: '239.129.2.3' },
  list: { encap: 'vxlan', segment: 4 },
} as const;
const ALL = 'ff:ff:ff:ff:ff:ff';
/** Every node has both families, as groups of both ask for. */
const BOTH = {
  a: { underlay: ['192.0.2.1', '2001:db8::1'] },
  b: { underlay: ['192.0.2.2', '2001:db8::2'] },
  v: { underlay: ['2001:db8::6', '192.0.2.6'] },
  x: { underlay: ['192.0.2.15', '2001:db8::f'], kind: 'foreign' },
} as const;
const table = tableOf(NETWORKS, () => {}, BOTH);
const names = Object.keys(NETWORKS) as (keyof typeof NETWORKS)[];
type Name = (typeof names)[number];

function broadcast(name: Name, more: Partial<Parameters<typeof run>[0]> = {}, layers?: string) {
  const n = names.indexOf(name) + 1;
  const text = `eth ${macOf(n, '1')}>${ALL} | ${layers ?? `ip4 ${ipOf(n, '1')}>255.255.255.255 | udp 1>2 | data 9`}`;
  return { input: frame(text), ...run({ table, device: `${name}1`, frame: frame(text), ...more }) };
}

const outcome = ({ record }: Pick<ReturnType<typeof run>, 'record'>) =>
  record.reason === 'none' ? record.verdict : record.reason;

describe('a group', () => {
  test('over IPv4: one copy, to the MAC of the group', () => {
    const { record, outputs, input } = broadcast('four');
    expect(record).toEqual({ verdict: 'flood', reason: 'none', network: 'four', copies: 2 });
    expect(outputs.map(({ device }) => device)).toEqual(['four2', UNDERLAY_DEVICE]);
    const sent = outputs[1]!.frame;
    expect(lines(sent.subarray(0, 14))).toBe(`01005e010203${macHex(UNDERLAY_MAC.a)}0800`);
    expect(lines(sent.subarray(26, 34))).toBe('c0000201ef810203');
    expect(lines(sent.subarray(42, 50))).toBe('0800000000000100');
    expect(lines(sent.subarray(50))).toBe(lines(input));
  });

  test('over IPv6, with a checksum because one of its nodes asks', () => {
    const sent = broadcast('six').outputs[1]!.frame;
    expect(lines(sent.subarray(0, 14))).toBe(`333312345678${macHex(UNDERLAY_MAC.a)}86dd`);
    expect(lines(sent.subarray(22, 54))).toBe(
      lines(hex('20010db8 00000000 00000000 00000001  ff050000 00000000 00000000 12345678')),
    );
    expect(lines(sent.subarray(60, 62))).not.toBe('0000');
    const ours = { ...BOTH, x: { underlay: BOTH.x.underlay } };
    const without = broadcast('six', { table: tableOf(NETWORKS, () => {}, ours) }).outputs[1]!.frame;
    expect(lines(without.subarray(60, 62))).toBe('0000');
  });

  test('of an IP network', () => {
    const { outputs, input } = broadcast('mixed');
    expect(lines(outputs[1]!.frame.subarray(50))).toBe(lines(input.subarray(14)));
  });

  test('on a tagged underlay', () => {
    expect(broadcast('four', { change: { underlayVlan: 300 } }).outputs[1]!.tag).toBe(300);
  });

  test.each([
    ['no uplink', { uplink: undefined }],
    ['no entry', { faults: [{ target: 'node', key: 'group 239.129.2.3', effect: 'missing' }] }],
    ['a stale one', { faults: [{ target: 'node', key: 'group 239.129.2.3', effect: 'stale' }] }],
  ] as const)('%s: no copy', (_, change) => {
    expect(broadcast('four', { change }).record).toMatchObject({ verdict: 'flood', copies: 1 });
  });
});

describe('from a group', () => {
  const payload = frame(`eth ${macOf(1, 'b')}>${ALL} | data 46`);
  const copy = (change: Partial<Parameters<typeof arriving>[0]>, more: Partial<Parameters<typeof run>[0]> = {}) => {
    const fields = { port: 4789, header: '08 000000 000001 00', payload, destination: '239.129.2.3' };
    const input = arriving({ ...fields, to: '01:00:5e:01:02:03', ...change });
    return run({ table, device: UNDERLAY_DEVICE, frame: input, ...more });
  };

  test('it is for this node', () => {
    expect(copy({}).record).toEqual({ verdict: 'flood', reason: 'none', network: 'four', copies: 2 });
  });

  test('to the MAC of the device as well', () => {
    expect(outcome(copy({ to: UNDERLAY_MAC.a }))).toBe('flood');
  });

  test('over IPv6', () => {
    const inner = frame(`eth ${macOf(2, 'b')}>${ALL} | data 46`);
    const six = { source: '2001:db8::2', destination: 'ff05::1234:5678', to: '33:33:12:34:56:78', payload: inner };
    expect(outcome(copy({ ...six, port: 6081, header: '00 00 6558 000002 00' }))).toBe('flood');
  });

  test.each([
    ['another group', { destination: '239.129.2.4' }],
    ['another unicast MAC', { to: UNDERLAY_MAC.v }],
  ])('%s: to the stack', (_, change) => {
    expect(outcome(copy(change))).toBe('stack');
  });

  test('a group’s entry that is stale is none; as a source it is no node', () => {
    const faults = [{ target: 'vtep', key: '239.129.2.3', effect: 'stale' }] as const;
    expect(outcome(copy({}, { change: { faults } }))).toBe('stack');
    expect(outcome(copy({ source: '239.129.2.3' }))).toBe('unknown-node');
  });

  test('where no network of the node floods to it', () => {
    const without = tableOf({ four: { encap: 'vxlan', segment: 1 } }, () => {}, BOTH);
    expect(outcome(copy({}, { table: without }))).toBe('stack');
  });
});

describe('the list', () => {
  test('is of those that have a port: each node once, by its segment', () => {
    const nodes = { ...BOTH, lonely: { underlay: '192.0.2.99' } };
    const own = tableOf(
      NETWORKS,
      (ports) => {
        ports['list-x']!.at[0]!.priority = 255;
        ports['list-v']!.at[0]!.segment = 77;
        ports['list-more'] = {
          ...ports['list-v']!,
          mac: '02:00:00:00:44:44',
          ips: [],
          at: [{ node: 'v', segment: 66 }],
        };
      },
      nodes,
    );
    const { record, outputs } = broadcast('list', { table: own });
    expect(record).toMatchObject({ copies: 3 });
    expect(outputs.map(({ device, frame: out }) => [device, out[33], lines(out.subarray(46, 49))]).slice(1)).toEqual([
      [UNDERLAY_DEVICE, 2, '000004'],
      [UNDERLAY_DEVICE, 6, '000042'],
    ]);
  });

  test('of more than 256: all get a copy, the record counts those of the first run', () => {
    const nodes: Record<string, object> = { ...BOTH };
    for (let i = 0; i < 300; i++) nodes[`n${i}`] = { underlay: `198.51.${100 + (i >> 8)}.${i & 255}` };
    const own = tableOf(
      { list: { encap: 'vxlan', segment: 4 } },
      (ports) => {
        for (let i = 0; i < 300; i++) {
          const mac = `02:00:00:01:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`;
          ports[`p${i}`] = { network: 'list', mac, ips: [], at: [{ node: `n${i}` }] };
        }
      },
      nodes,
    );
    const text = frame(`eth ${macOf(1, '1')}>${ALL} | data 46`);
    const { record, outputs } = run({ table: own, device: 'list1', frame: text });
    expect(outputs).toHaveLength(304);
    // the sender is one of the first 256 members
    expect(record).toMatchObject({ verdict: 'flood', copies: 255 });
  });
});

describe('the rate', () => {
  const change = { floodSpent: true };

  test('is judged after the size, by TC alone', () => {
    expect(broadcast('list', { change }).record).toEqual({ verdict: 'drop', reason: 'flood-rate', network: 'list' });
    expect(outcome(broadcast('list', { change, hook: 'xdp' }))).toBe('left');
    expect(outcome(broadcast('list', { change }, 'data 2000'))).toBe('too-big');
  });

  test('does not hold back what comes from other nodes', () => {
    const payload = frame(`eth ${macOf(4, 'b')}>${ALL} | data 46`);
    const input = arriving({ port: 4789, header: '08 000000 000004 00', payload });
    expect(outcome(run({ table, device: UNDERLAY_DEVICE, frame: input, change }))).toBe('flood');
  });
});

describe('what routers told', () => {
  const own = tableOf(
    { vxlan: { encap: 'vxlan', segment: 1, mtu: 1400 }, gre: { encap: 'gre', segment: 2, mtu: 1400 } },
    () => {},
    NODES,
  );
  const send = (n: number, to: 'b' | 'v', data: number, nodeMtu: ReadonlyMap<string, number>) => {
    const text = `eth ${macOf(n, '1')}>${macOf(n, to)} | ip4 ${ipOf(n, '1')}>${ipOf(n, to)} df | udp 1>2 | data ${data}`;
    return run({ table: own, device: n === 1 ? 'vxlan1' : 'gre1', frame: frame(text), change: { nodeMtu } });
  };

  test.each([
    ['VXLAN over IPv4', 1, 'b', 1300, 1250],
    ['VXLAN over IPv6', 1, 'v', 1300, 1230],
    ['GRE over IPv4', 2, 'b', 1300, 1258],
    ['more than the network’s MTU', 1, 'b', 1499, 1400],
  ] as const)('%s', (_, n, to, told, limit) => {
    const nodeMtu = new Map([[to, told]]);
    expect(outcome(send(n, to, limit - 28, nodeMtu))).toBe('encap');
    const { record, outputs } = send(n, to, limit - 27, nodeMtu);
    expect(record).toMatchObject({ verdict: 'answer', reason: 'too-big' });
    expect(Buffer.from(outputs[0]!.frame).readUInt16BE(40)).toBe(limit);
  });

  test('of one node says nothing of another', () => {
    expect(outcome(send(1, 'v', 1372, new Map([['b', 600]])))).toBe('encap');
  });
});
