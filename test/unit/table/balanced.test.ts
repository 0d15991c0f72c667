/** Balanced addresses that nobody serves, and what edits make of them. */
import { describe, expect, test } from 'vitest';
import { applyDelta, type Diagnostic, parseTable } from '../../../src/table/index.ts';

function table(
  ports: readonly [string, string],
  members = '[{ port: p1 }, { port: p2 }]',
  network = 'segment: 5001',
): string {
  return `mapwire: 1
nodes: { a: { underlay: 192.0.2.1 } }
networks: { blue: { ${network} } }
ports:
  p1: { network: blue, mac: 02:00:00:00:00:01, ips: [10.1.0.1], ${ports[0]} }
  p2: { network: blue, mac: 02:00:00:00:00:02, ips: [10.1.0.2], ${ports[1]} }
addresses:
  web: { network: blue, mac: 02:00:00:00:0a:01, ips: [10.1.0.100], members: ${members} }
`;
}

const UP = 'at: { node: a }';
const DOWN = 'state: down, at: { node: a }';
const DRAINED = 'state: drain, at: { node: a }';
const NEVER = 'at: { node: a, priority: 255 }';

const codes = (diagnostics: readonly Diagnostic[]) =>
  diagnostics.map(({ code }) => code).filter((code) => code !== 'MW201');

describe('nobody serves it', () => {
  test.each([
    ['members that are down', table([UP, UP], '[{ port: p1, state: down }, { port: p2, state: down }]')],
    ['ports that are down', table([DOWN, DOWN])],
    ['ports that are never reached', table([DOWN, NEVER])],
    [
      'a member that is down, and the port of the other',
      table([UP, DOWN], '[{ port: p1, state: down }, { port: p2 }]'),
    ],
  ])('%s', (_, text) => {
    const { table: read, diagnostics } = parseTable(text);
    expect(read).toBeDefined();
    expect(codes(diagnostics)).toEqual(['MW210']);
    expect(diagnostics.find(({ code }) => code === 'MW210')).toMatchObject({ severity: 'warning', line: 8 });
  });

  test.each([
    ['one that is up', table([DOWN, UP])],
    ['one that is drained', table([DOWN, DRAINED])],
  ])('but %s', (_, text) => {
    expect(codes(parseTable(text).diagnostics)).toEqual([]);
  });

  test('is told when a port goes down', () => {
    const { table: read } = parseTable(table([DOWN, UP]));
    const port = { network: 'blue', mac: '02:00:00:00:00:02', ips: ['10.1.0.2'], at: { node: 'a' } };
    expect(codes(applyDelta(read!, [{ port: 'p2', ...port, state: 'down' }]).diagnostics)).toEqual(['MW210']);
    expect(codes(applyDelta(read!, [{ port: 'p2', ...port, state: 'drain' }]).diagnostics)).toEqual([]);
  });
});

test('a network of a balanced IPv6 address needs the MTU of IPv6, whichever changes', () => {
  const { table: read } = parseTable(table([UP, UP], undefined, 'segment: 5001, mtu: 1000'));
  const web = { address: 'web', network: 'blue', mac: '02:00:00:00:0a:01', members: [{ port: 'p1' }] };
  expect(codes(applyDelta(read!, [{ ...web, ips: ['fd00:1::100'] }]).diagnostics)).toEqual(['MW153']);
  const wider = applyDelta(read!, [
    { network: 'blue', segment: 5001, mtu: 1280 },
    { ...web, ips: ['fd00:1::100'] },
  ]);
  expect(codes(wider.diagnostics)).toEqual([]);
  expect(codes(applyDelta(wider.table!, [{ network: 'blue', segment: 5001, mtu: 1279 }]).diagnostics)).toEqual([
    'MW153',
  ]);
  const narrow = applyDelta(wider.table!, [
    { network: 'blue', segment: 5001 },
    { node: 'a', underlay: '192.0.2.1', mtu: 1300 },
  ]);
  expect(codes(narrow.diagnostics)).toEqual(['MW153']);
});
