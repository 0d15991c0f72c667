import { describe, expect, it } from 'vitest';
import {
  formatPlan,
  groupOwner,
  IdBook,
  overhead,
  pairFamily,
  plan,
  renderPlan,
  replan,
} from '../../../src/compiler/index.ts';
import { type TableNode, tableToObject } from '../../../src/table/index.ts';
import { tableOf } from '../../support/table-object.ts';

const table = tableOf({
  nodes: {
    a: { underlay: '192.0.2.1', mtu: 9000 },
    b: { underlay: ['2001:db8::2', '192.0.2.2'] },
    c: { underlay: '192.0.2.3', mtu: 1400 },
  },
  networks: { blue: { segment: 5001 }, red: { segment: 6001, flood: 'none', 'link-local': 'eui64' } },
  ports: {
    one: {
      network: 'blue',
      mac: '02:00:00:00:00:01',
      macs: ['02:00:00:00:00:aa'],
      ips: ['10.1.0.1', 'fd00::1'],
      allow: ['10.9.0.0/24', 'fd09::/48'],
      role: 'router',
      at: [{ node: 'a', interface: 'tap1' }],
    },
    two: {
      network: 'blue',
      mac: '02:00:00:00:00:02',
      ips: ['10.1.0.2'],
      allow: ['10.8.0.0/24'],
      at: [
        { node: 'b', priority: 2, segment: 7 },
        { node: 'a', priority: 255 },
      ],
    },
    other: { network: 'red', mac: '02:00:00:00:00:03', ips: ['10.1.0.3'], at: [{ node: 'c' }] },
  },
});

describe('the plan of one node', () => {
  const rendered = renderPlan(plan(table, 'a', new IdBook()));

  it('has every entry with names for ids, and nothing of networks it takes no part in', () => {
    expect(rendered).toMatchObject({
      node: 'a',
      features: { encaps: ['vxlan'], ip6: true, allow: true, macs: true, unknownFlood: false, group: false },
    });
    expect(rendered.entries).toEqual({
      balance: [],
      move: [],
      node: [
        { node: 'a', id: 1, flags: [], nexthops: [] },
        { node: 'b', id: 2, remote: '192.0.2.2', local: '192.0.2.1', flags: [], nexthops: [] },
      ],
      vtep: [
        { underlay: '192.0.2.1', node: 'a', self: true },
        { underlay: '192.0.2.2', node: 'b', self: false },
        { underlay: '192.0.2.3', node: 'c', self: false },
        { underlay: '2001:db8::2', node: 'b', self: false },
      ],
      network: [
        {
          network: 'blue',
          id: 1,
          encap: 'vxlan',
          segment: 5001,
          mtu: 1450,
          flood: true,
          unknown: 'drop',
          vlan: 'drop',
        },
      ],
      segment: [{ encap: 'vxlan', segment: 5001, network: 'blue' }],
      flood: [{ network: 'blue', targets: ['port one', 'node b:7'] }],
      port: [
        {
          port: 'one',
          id: 1,
          network: 'blue',
          mac: '02:00:00:00:00:01',
          at: ['a:5001 priority 1 weight 1'],
          role: 'router',
        },
        {
          port: 'two',
          id: 2,
          network: 'blue',
          mac: '02:00:00:00:00:02',
          at: ['b:7 priority 2 weight 1', 'a:5001 priority 255 weight 1'],
        },
      ],
      mac: [
        { network: 'blue', mac: '02:00:00:00:00:01', port: 'one' },
        { network: 'blue', mac: '02:00:00:00:00:02', port: 'two' },
      ],
      source_mac: [{ network: 'blue', mac: '02:00:00:00:00:aa', ports: ['one'] }],
      ip4: [
        { network: 'blue', address: '10.1.0.1', port: 'one', answer: true },
        { network: 'blue', address: '10.1.0.2', port: 'two', answer: true },
      ],
      ip6: [{ network: 'blue', address: 'fd00::1', port: 'one', answer: true }],
      allow4: [
        { port: 'one', prefix: '10.9.0.0/24' },
        { port: 'two', prefix: '10.8.0.0/24' },
      ],
      allow6: [{ port: 'one', prefix: 'fd09::/48' }],
    });
  });

  it('is the same as text, a table for each map', () => {
    const text = formatPlan(rendered);
    expect(text).toContain('plan of node a at revision 1; encapsulations: vxlan; features: ip6, allow, macs');
    expect(text).toMatch(
      /^ip4 \(2\)\n {2}network {2}address {3}port {2}answer\n {2}blue {5}10\.1\.0\.1 {2}one {3}yes$/m,
    );
  });

  it('is told apart for the node that has only a part of it', () => {
    const far = renderPlan(plan(table, 'b', new IdBook()));
    expect(far.entries.allow4).toEqual([{ port: 'two', prefix: '10.8.0.0/24' }]);
    expect(far.entries.allow6).toEqual([]);
    expect(far.entries.segment).toEqual([{ encap: 'vxlan', segment: 7, network: 'blue' }]);
    expect(far.entries.flood).toEqual([{ network: 'blue', targets: ['port two', 'node a:5001'] }]);
    expect(renderPlan(plan(table, 'c', new IdBook())).entries.network).toMatchObject([{ network: 'red', mtu: 1350 }]);
  });

  it('needs the node to be in the table', () => {
    expect(() => plan(table, 'nobody', new IdBook())).toThrow(expect.objectContaining({ code: 'ERR_MW_TABLE' }));
  });
});

describe('the plan of a node with everything', () => {
  const nodes = {
    a: { underlay: ['2001:db8::1', '192.0.2.1'] },
    b: { underlay: ['2001:db8::2', '192.0.2.2'] },
    c: { underlay: '192.0.2.3' },
    d: { underlay: '2001:db8::4', kind: 'foreign', guard: 'open', mtu: 1600 },
    e: { underlay: '192.0.2.5', kind: 'foreign', guard: 'off' },
  } as const;
  const at = (...names: string[]) => names.map((node) => ({ node }));
  const everything = tableOf({
    nodes,
    networks: {
      casts: { encap: 'geneve', segment: 7, flood: 'multicast', group: 'ff15::7', vlan: 'transparent' },
      keyed: { encap: 'gre', segment: 0xffff_ffff, unknown: 'flood', flood: 'none' },
      lisp: { encap: 'lisp', segment: 7 },
      plain: { encap: 'flat', flood: 'none', unknown: 'flood' },
      vlan: { encap: 'flat', segment: 30 },
    },
    ports: {
      p1: { network: 'casts', mac: '02:00:00:00:00:01', at: at('a') },
      p2: { network: 'casts', mac: '02:00:00:00:00:02', at: at('b', 'd') },
      p3: { network: 'keyed', mac: '02:00:00:00:00:03', at: at('a', 'c') },
      p4: { network: 'lisp', mac: '02:00:00:00:00:04', ips: ['10.1.0.4'], at: at('a') },
      p5: { network: 'plain', mac: '02:00:00:00:00:05', at: at('a', 'e') },
      p6: { network: 'vlan', mac: '02:00:00:00:00:06', at: at('a', 'c') },
    },
  });
  const ids = new IdBook();
  const whole = plan(everything, 'a', ids);
  const { entries, features } = renderPlan(whole);

  it('has a way to each peer in their common family, to groups and to the wire', () => {
    const hops = { nexthops: [] };
    expect(entries.node.map(({ id: _, ...row }) => row)).toEqual([
      { node: 'a', flags: [], ...hops },
      { node: 'b', remote: '2001:db8::2', local: '2001:db8::1', flags: ['ip6'], ...hops },
      { node: 'c', remote: '192.0.2.3', local: '192.0.2.1', flags: [], ...hops },
      { node: 'd', remote: '2001:db8::4', local: '2001:db8::1', flags: ['ip6', 'checksum'], ...hops },
      { node: 'e', remote: '192.0.2.5', local: '192.0.2.1', flags: [], ...hops },
      { node: 'group ff15::7', remote: 'ff15::7', local: '2001:db8::1', flags: ['ip6', 'checksum'], ...hops },
      { node: 'wire', flags: [], ...hops },
    ]);
    expect([...whole.groups()]).toEqual([
      { address: 'ff15::7', id: ids.nodes.idOf(groupOwner('ff15::7')), local: '2001:db8::1', networks: ['casts'] },
    ]);
    expect(whole.wire).toBe(true);
    expect([...whole.peers()].map(({ node, family, tunnels }) => [node, family, tunnels]).sort()).toEqual([
      ['b', 6, true],
      ['c', 4, true],
      ['d', 6, true],
      ['e', 4, false],
    ]);
  });

  it('tells what is accepted from which address', () => {
    expect(entries.vtep.filter(({ node }) => ['a', 'd', 'e', 'group ff15::7'].includes(String(node)))).toEqual([
      { underlay: '192.0.2.1', node: 'a', self: true },
      { underlay: '192.0.2.5', node: 'e', self: false, guard: 'off' },
      { underlay: '2001:db8::1', node: 'a', self: true },
      { underlay: '2001:db8::4', node: 'd', self: false, guard: 'open' },
      { underlay: 'ff15::7', node: 'group ff15::7', self: false },
    ]);
  });

  it('floods to nodes, to the group, or to the wire with its tag', () => {
    expect(Object.fromEntries(entries.flood.map(({ network, targets }) => [network, targets]))).toEqual({
      casts: ['port p1', 'group ff15::7:7'],
      keyed: ['port p3', 'node c:4294967295'],
      lisp: ['port p4'],
      plain: ['port p5', 'wire'],
      vlan: ['port p6', 'wire:30'],
    });
  });

  it('has networks with their MTU, segments by encapsulation, and what the programs need', () => {
    expect(
      entries.network.map(({ network, encap, segment, mtu, flood }) => [network, encap, segment, mtu, flood]),
    ).toEqual([
      ['casts', 'geneve', 7, 1430, true],
      ['keyed', 'gre', 4294967295, 1458, false],
      ['lisp', 'lisp', 7, 1464, true],
      ['plain', 'flat', 0, 1500, false],
      ['vlan', 'flat', 30, 1500, true],
    ]);
    expect(entries.segment.map(({ encap, segment, network }) => `${encap} ${segment} ${network}`)).toEqual([
      'flat 0 plain',
      'flat 30 vlan',
      'geneve 7 casts',
      'gre 4294967295 keyed',
      'lisp 7 lisp',
    ]);
    expect(features).toEqual({
      balance: false,
      move: false,
      encaps: ['geneve', 'gre', 'lisp', 'flat'],
      ...{ ip6: true, allow: false, macs: false, unknownFlood: true },
      ...{ transparent: true, group: true, checksum: true },
    });
    expect(whole.localPort('p1')).toMatchObject({ transparent: true, ipOnly: false });
    expect(whole.localPort('p4')).toMatchObject({ transparent: false, ipOnly: true });
  });

  it('goes another way when this node loses a family', () => {
    const next = tableOf({
      ...tableToObject(everything),
      nodes: { ...nodes, a: { underlay: '192.0.2.1' }, d: { ...nodes.d, underlay: ['192.0.2.4', '2001:db8::4'] } },
      networks: {
        ...(tableToObject(everything).networks as object),
        casts: { encap: 'geneve', segment: 7, flood: 'multicast', group: '239.1.1.7' },
      },
    } as never);
    const { plan: after, changes } = replan(plan(everything, 'a', new IdBook()), next, {
      nodes: ['a', 'd'],
      networks: ['casts'],
      ports: [],
    });
    expect([...after.peers()].map(({ node, family, remote }) => [node, family, remote]).sort()).toEqual([
      ['b', 4, '192.0.2.2'],
      ['c', 4, '192.0.2.3'],
      ['d', 4, '192.0.2.4'],
      ['e', 4, '192.0.2.5'],
    ]);
    expect([...changes.peers].sort()).toEqual(['b', 'c', 'd', 'e']);
    expect(changes.groups).toBe(true);
    expect([...after.groups()].map(({ address, local }) => [address, local])).toEqual([['239.1.1.7', '192.0.2.1']]);
    const mtus = new Map([...after.networks()].map(({ network, mtu }) => [network, mtu]));
    expect(mtus.get('casts')).toBe(1450);
    expect([...changes.localPorts]).toEqual(['p1']);
  });
});

describe('overheads and families', () => {
  it.each([
    ['vxlan', 50, 70],
    ['geneve', 50, 70],
    ['gre', 42, 62],
    ['vxlan-gpe', 36, 56],
    ['lisp', 36, 56],
    ['flat', 0, 0],
  ] as const)('%s: %i bytes over IPv4, %i over IPv6', (encap, over4, over6) => {
    expect([overhead(encap, 4), overhead(encap, 6)]).toEqual([over4, over6]);
  });

  it.each([
    [['4'], ['4'], 4],
    [['6'], ['6'], 6],
    [['4'], ['6'], undefined],
    [['6', '4'], ['6', '4'], 6],
    [['6', '4'], ['4', '6'], 4],
    [['4', '6'], ['4', '6'], 4],
    [['6', '4'], ['6'], 6],
    [['4', '6'], ['6'], 6],
    [['4', '6'], ['4'], 4],
    [['6', '4'], ['4'], 4],
  ] as const)('%j and %j speak IPv%s', (one, other, family) => {
    const node = (id: number, families: readonly string[]) => {
      const underlay = families.map((each) => (each === '4' ? `192.0.2.${id}` : `2001:db8::${id}`));
      const table = tableOf({ nodes: { n: { underlay } }, networks: {}, ports: {} });
      return table.nodes.get('n') as TableNode;
    };
    expect(pairFamily(node(1, one), node(2, other))).toBe(family);
    expect(pairFamily(node(2, other), node(1, one))).toBe(family);
  });
});
