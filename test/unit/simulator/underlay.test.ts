/** Family, overhead and MTU: packet-rules.md, "Overhead" and "Family"; twice in the project, so held against each other. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultMtu, overhead, pairFamily } from '../../../src/simulator/underlay.ts';
import * as inTable from '../../../src/table/encapsulation.ts';
import type { Encap, TableNetwork, TableNode } from '../../../src/table/model.ts';

const four = '192.0.2.1';
const six = '2001:db8::1';

function node(underlay: readonly string[], mtu = 1500, id = 'n'): TableNode {
  return { id, underlay, mtu, kind: 'mapwire', guard: 'full', udp6Checksum: 'auto' };
}

function network(encap: Encap, more: Partial<TableNetwork> = {}): TableNetwork {
  const rest = { flood: 'replicate', unknown: 'drop', vlan: 'drop', linkLocal: 'any' } as const;
  return { id: 'blue', encap, segment: 1, ...rest, ...more };
}

test.each([
  [[four], [four], 4],
  [[six], [six], 6],
  [[four, six], [four, six], 4],
  [[six, four], [six, four], 6],
  [[six, four], [four, six], 4],
  [[six, four], [six], 6],
  [[four, six], [six], 6],
  [[six, four], [four], 4],
  [[four], [six], undefined],
] as const)('%j and %j speak %s', (a, b, family) => {
  expect(pairFamily(node(a), node(b))).toBe(family);
  expect(pairFamily(node(b), node(a))).toBe(family);
});

test.each([
  ['vxlan', 50, 70],
  ['geneve', 50, 70],
  ['gre', 42, 62],
  ['vxlan-gpe', 36, 56],
  ['lisp', 36, 56],
  ['flat', 0, 0],
] as const)('overhead of %s', (encap, over4, over6) => {
  expect([overhead(encap, 4), overhead(encap, 6)]).toEqual([over4, over6]);
});

describe('default MTU', () => {
  test.each([
    ['the smallest node', [node([four]), node([four], 1400)], 1350],
    ['two prefer IPv6', [node([six, four]), node([six, four])], 1430],
    ['one prefers IPv6', [node([six, four]), node([four, six])], 1450],
    ['one has IPv6 alone, another both', [node([six]), node([four, six])], 1430],
    ['one has IPv6 alone, and no one else IPv6', [node([six]), node([four])], 1450],
    ['one node', [node([six])], 1450],
  ])('%s', (_, nodes, mtu) => {
    expect(defaultMtu(network('vxlan'), nodes)).toBe(mtu);
  });

  test('a group decides too', () => {
    const nodes = [node([four, six]), node([four, six])];
    expect(defaultMtu(network('gre', { flood: 'multicast', group: 'ff05::1' }), nodes)).toBe(1438);
    expect(defaultMtu(network('gre', { flood: 'multicast', group: '239.1.1.1' }), nodes)).toBe(1458);
  });
});

test('the table says the same', () => {
  const underlay = fc.constantFrom([four], [six], [four, six], [six, four]);
  const nodes = fc.array(
    fc.record({ underlay, mtu: fc.integer({ min: 576, max: 9000 }) }).map(({ underlay, mtu }) => node(underlay, mtu)),
    { minLength: 1, maxLength: 5 },
  );
  const encap = fc.constantFrom<Encap>('vxlan', 'vxlan-gpe', 'geneve', 'gre', 'lisp', 'flat');
  const group = fc.constantFrom(undefined, '239.1.1.1', 'ff05::1');
  fc.assert(
    fc.property(nodes, encap, group, (list, name, address) => {
      const flood = address === undefined ? {} : ({ flood: 'multicast', group: address } as const);
      const definition = network(name, flood);
      expect(defaultMtu(definition, list)).toBe(inTable.defaultMtu(definition, list));
      for (const a of list) expect(pairFamily(list[0]!, a)).toBe(inTable.pairFamily(list[0]!, a));
      for (const family of [4, 6] as const) expect(overhead(name, family)).toBe(inTable.overhead(name, family));
    }),
  );
});
