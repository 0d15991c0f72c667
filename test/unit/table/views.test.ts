/** `for` and `prefer`: what each node sees, and whom a table leaves out. */
import { describe, expect, test } from 'vitest';
import { IdBook, plan, renderPlan } from '../../../src/compiler/index.ts';
import { applyDelta, type CompactTable, parseTable, viewOf } from '../../../src/table/index.ts';

const HEAD = `mapwire: 1
nodes:
  host-a: { underlay: 192.0.2.1, region: north }
  host-b: { underlay: 192.0.2.2, region: north }
  host-c: { underlay: 192.0.2.3, region: south }
  host-d: { underlay: 192.0.2.4 }
networks:
  blue: { segment: 5001 }
ports:
  b: { network: blue, mac: 02:00:00:00:00:0b, at: { node: host-b } }
  c: { network: blue, mac: 02:00:00:00:00:0c, at: { node: host-c } }
  d: { network: blue, mac: 02:00:00:00:00:0d, at: { node: host-d } }
`;

function tableWith(at: string): CompactTable {
  const { table, diagnostics } = parseTable(`${HEAD}  p:\n    { network: blue, mac: 02:00:00:00:00:01, at: ${at} }\n`);
  if (table === undefined) throw new Error(JSON.stringify(diagnostics));
  return table;
}

/** Node and priority of each locator of p, as each node sees it. */
function views(at: string): Record<string, string> {
  const table = tableWith(at);
  const seen = [...table.nodes.values()].map((node) => {
    const list = viewOf(table.port('p')!.at, node).map((one) => `${one.node.slice(5)}${one.priority}`);
    return [node.id.slice(5), list.join(' ')];
  });
  return Object.fromEntries(seen);
}

describe('a node sees', () => {
  test('all locators by priority, when nothing is said', () => {
    const list = 'a1 b2 c3';
    expect(views('[{ node: host-b, priority: 2 }, { node: host-a }, { node: host-c, priority: 3 }]')).toEqual({
      a: list,
      b: list,
      c: list,
      d: list,
    });
  });

  test('what it prefers first, by its id or its region, whatever the priority', () => {
    const at =
      "[{ node: host-a, prefer: 'region:south' }, { node: host-b, priority: 2 }, { node: host-c, priority: 3, prefer: [host-d, host-b] }]";
    expect(views(at)).toEqual({ a: 'a1 b2 c3', b: 'c3 a1 b2', c: 'a1 b2 c3', d: 'c3 a1 b2' });
  });

  test('of several that it prefers, the one of lower priority first', () => {
    const at =
      '[{ node: host-a }, { node: host-b, priority: 3, prefer: [host-d] }, { node: host-c, priority: 2, prefer: [host-d] }]';
    expect(views(at)).toMatchObject({ a: 'a1 c2 b3', d: 'c2 b3 a1' });
  });

  test('what is not for it as never used, but what is on itself always', () => {
    const at = "[{ node: host-a, for: [host-d] }, { node: host-c, priority: 2, for: 'region:north' }]";
    expect(views(at)).toEqual({ a: 'a1 c2', b: 'a255 c2', c: 'a255 c2', d: 'a1 c255' });
  });

  test('nothing preferred that is not for it, or that is never used', () => {
    const at =
      '[{ node: host-a }, { node: host-b, for: [host-c], prefer: [host-d] }, { node: host-c, priority: 255, prefer: [host-d] }]';
    expect(views(at)).toMatchObject({ d: 'a1 b255 c255' });
  });

  test('the order in its entry, and copies of floods for those that it uses', () => {
    const table = tableWith("[{ node: host-a }, { node: host-d, for: [host-b], prefer: 'region:north' }]");
    const flood = (node: string) => renderPlan(plan(table, node, new IdBook())).entries.flood[0]?.targets;
    const port = (node: string) =>
      renderPlan(plan(table, node, new IdBook())).entries.port.find((row) => row.port === 'p')?.at;
    expect(port('host-b')).toEqual(['host-d:5001 priority 1 weight 1', 'host-a:5001 priority 1 weight 1']);
    expect(port('host-c')).toEqual(['host-a:5001 priority 1 weight 1', 'host-d:5001 priority 255 weight 1']);
    expect(flood('host-c')).toContain('node host-d:5001');
    // d's own port is the reason for that: without it only those that use the locator send a copy there.
    const { table: without } = applyDelta(table, [{ delete: 'port', id: 'd' }]);
    const targets = (node: string) => renderPlan(plan(without!, node, new IdBook())).entries.flood[0]?.targets;
    expect(targets('host-b')).toContain('node host-d:5001');
    expect(targets('host-c')).not.toContain('node host-d:5001');
    expect(targets('host-d')).toContain('port p');
  });
});

describe('a node that is left without a locator', () => {
  const warnings = (diagnostics: readonly { code: string; message: string }[]) =>
    diagnostics.map(({ code, message }) => `${code} ${message}`);
  const left = (names: string) =>
    `MW207 port 'p' has no locator for ${names} of network 'blue': what is sent to it there is dropped`;
  const p = (at: string) => `${HEAD}  p:\n    { network: blue, mac: 02:00:00:00:00:01, at: ${at} }\n`;

  test('is named in a warning', () => {
    expect(warnings(parseTable(p('{ node: host-a, for: [host-b] }')).diagnostics)).toEqual([
      left("'host-c', 'host-d'"),
    ]);
    expect(
      warnings(parseTable(p("[{ node: host-a, for: 'region:north' }, { node: host-c, for: host-c }]")).diagnostics),
    ).toEqual([left("'host-d'")]);
  });

  test('is named though it has one that is never used', () => {
    const at = '[{ node: host-a, for: [host-b, host-c] }, { node: host-b, priority: 255 }]';
    expect(warnings(parseTable(p(at)).diagnostics)).toEqual([left("'host-d'")]);
    const never = parseTable(p('[{ node: host-a, for: [host-b], priority: 255 }]')).diagnostics;
    expect(never.map(({ code }) => code)).toEqual(['MW201']);
  });

  test('is none when one locator is for all, or the node is not of the network', () => {
    expect(parseTable(p('[{ node: host-a, for: [host-b] }, { node: host-c }]')).diagnostics).toEqual([]);
    const more = p("{ node: host-b, for: ['region:south', host-d] }").replace(
      'nodes:\n',
      'nodes:\n  e: { underlay: 192.0.2.9 }\n',
    );
    expect(parseTable(more).diagnostics).toEqual([]);
  });

  test('is found when it comes to the network, or changes its region', () => {
    const { table, diagnostics } = parseTable(p("{ node: host-b, for: ['region:south', host-d] }"));
    expect(diagnostics).toEqual([]);
    const come = applyDelta(table!, [{ port: 'q', network: 'blue', mac: '02:00:00:00:00:02', at: { node: 'host-a' } }]);
    expect(warnings(come.diagnostics)).toEqual([left("'host-a'")]);
    const south = { underlay: '192.0.2.3', region: 'south' };
    const moved = applyDelta(table!, [
      { node: 'host-a', underlay: '192.0.2.1', region: 'south' },
      { node: 'host-c', ...south, region: 'north' },
    ]);
    expect(warnings(moved.diagnostics)).toEqual([left("'host-c'")]);
  });

  test('a preference without effect is told of', () => {
    const two = (more: string) => parseTable(p(`[{ node: host-a }, { node: host-b, ${more} }]`)).diagnostics;
    expect(warnings(two('priority: 255, prefer: host-b'))).toEqual([
      "MW209 a locator of port 'p' is preferred by some and has priority 255: it is never used",
    ]);
    expect(warnings(two('for: host-d, prefer: [host-b, host-c]'))).toEqual([
      "MW209 a locator of port 'p' is preferred by node 'host-c', which does not have it",
    ]);
    for (const right of [
      'prefer: host-c',
      'for: host-d, prefer: [host-b, host-d]',
      "for: 'region:north', prefer: host-c",
    ])
      expect(two(right)).toEqual([]);
  });

  test('a region that is written like a node is shown how', () => {
    const [only] = parseTable(p('[{ node: host-a }, { node: host-b, for: north }]')).diagnostics;
    expect(only).toMatchObject({ code: 'MW167', hint: "a region is written 'region:north'" });
  });

  test('and a name that becomes nobody’s is an error of the edit', () => {
    const { table } = parseTable(p("[{ node: host-a, prefer: 'region:south' }, { node: host-b, prefer: host-d }]"));
    const gone = applyDelta(table!, [
      { delete: 'port', id: 'd' },
      { delete: 'node', id: 'host-d' },
    ]);
    expect(warnings(gone.diagnostics)).toEqual([
      "MW167 a locator of port 'p' names node 'host-d', which is not in 'nodes'",
    ]);
    const moved = applyDelta(table!, [{ node: 'host-c', underlay: '192.0.2.3' }]);
    expect(warnings(moved.diagnostics)).toEqual([
      "MW167 a locator of port 'p' names region 'south', which no node is in",
    ]);
  });
});
