import { describe, expect, it } from 'vitest';
import { formatPlan, IdBook, plan, renderPlan } from '../../../src/compiler/index.ts';
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
      features: { ip6: true, allow: true, macs: true, unknownFlood: false },
    });
    expect(rendered.entries).toEqual({
      node: [{ node: 'b', id: 2, remote: '192.0.2.2', local: '192.0.2.1', nexthops: [] }],
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
          flood: 'replicate',
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
    expect(text).toContain('plan of node a at revision 1; features: ip6, allow, macs');
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
