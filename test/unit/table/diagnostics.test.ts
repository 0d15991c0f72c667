/** The table of codes and its documentation, and how diagnostics look. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { excerptOf, quote } from '../../../src/table/diagnostics.ts';
import { DIAGNOSTICS, parseTable, renderDiagnostic, renderDiagnostics } from '../../../src/table/index.ts';
import { editDistance, nearest } from '../../../src/table/suggest.ts';

const HEAD = 'mapwire: 1\nnodes:\n  host-a: { underlay: 192.0.2.1 }\nnetworks:\n  blue: { segment: 5001 }\n';

test('docs/diagnostics.md has one row for each code, and no other', () => {
  const page = readFileSync(new URL('../../../docs/diagnostics.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `(MW\d{3})` \| ([a-z0-9-]+) \| (error|warning) \|/gm)];
  expect(rows.map(([, code, name, severity]) => [code, name, severity])).toEqual(
    Object.entries(DIAGNOSTICS).map(([code, { name, severity }]) => [code, name, severity]),
  );
});

test('names of codes are unique', () => {
  const names = Object.values(DIAGNOSTICS).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

describe('rendering', () => {
  test('shows the line with a caret, the related place and a hint', () => {
    const text = `${HEAD}ports:
  web-1: { network: blue, mac: 02:00:00:00:00:01, ips: [10.1.0.1], at: { node: host-a } }
  web-2:
    network: blue
    mac: 02:00:00:00:00:02
    ips: [10.1.0.1]
    at:
      - { node: host-x }
`;
    const { diagnostics } = parseTable(text, { name: 'table.yaml' });
    expect(
      renderDiagnostics(diagnostics),
    ).toBe(`table.yaml:11:11: error MW127: port 'web-2' has the address 10.1.0.1 of port 'web-1' in network 'blue'
 11 |     ips: [10.1.0.1]
    |           ^~~~~~~~
  table.yaml:7:57: 'web-1' has it here
table.yaml:13:17: error MW104: port 'web-2' names node 'host-x', which is not in 'nodes'
 13 |       - { node: host-x }
    |                 ^~~~~~
  hint: did you mean 'host-a'?
2 errors
`);
  });

  test('keeps tabs in front of the caret and counts characters, not halves of them', () => {
    const { diagnostics } = parseTable('{"mapwire": 1,\n\t"nodes": {"𝒽": {"underlay": "x"}}}', { name: 't.json' });
    expect(
      renderDiagnostic(diagnostics[0]!),
    ).toBe(`t.json:2:30: error MW140: the underlay address of node '𝒽' 'x' is no IP address
 2 | \t"nodes": {"𝒽": {"underlay": "x"}}}
   | \t                            ^~~`);
  });

  test('shows the part of a long line that matters', () => {
    const excerpt = excerptOf(`${'a'.repeat(500)}X${'b'.repeat(500)}`, 501);
    expect(Array.from(excerpt.text)[excerpt.column - 1]).toBe('X');
    expect(excerpt.text.length).toBeLessThan(200);
    expect(excerpt.text).toMatch(/^….*…$/);
  });

  test('lets no control character through to the terminal', () => {
    expect(quote('a\u001b[31m\u202eb')).toBe("'a\\u001b[31m\\u202eb'");
    expect(excerptOf('a\u001b[31m', 1).text).toBe('a\ufffd[31m');
    const { diagnostics } = parseTable('mapwire: 1\nnodes: { "\u009bx": { underlay: "\u2066" } }\n');
    expect(diagnostics.length).toBeGreaterThan(0);
    expect(renderDiagnostics(diagnostics)).not.toMatch(/[\u009b\u2066]/);
  });
});

test('a file shows so many mistakes and counts the rest', () => {
  const lines = Array.from({ length: 250 }, (_, i) => `  n${i}: { underlay: nowhere }`);
  const { diagnostics } = parseTable(`mapwire: 1\nnodes:\n${lines.join('\n')}\n`, { name: 't.yaml', limit: 20 });
  expect(diagnostics).toHaveLength(21);
  expect(diagnostics.at(-1)).toMatchObject({ code: 'MW199', message: '230 more errors in this file', line: 0 });
});

test('warnings do not keep a table from being one', () => {
  const { table, diagnostics } = parseTable(
    `${HEAD}ports:
  p: { network: blue, mac: 02:00:00:00:00:01, allow: [0.0.0.0/0, "::/0"], at: { node: host-a, priority: 255 } }
`,
    { name: 't.yaml' },
  );
  expect(table?.portCount).toBe(1);
  expect(diagnostics.map(({ code, severity, line, column }) => [code, severity, line, column])).toEqual([
    ['MW202', 'warning', 7, 55],
    ['MW202', 'warning', 7, 66],
    ['MW201', 'warning', 7, 79],
  ]);
  expect(renderDiagnostics(diagnostics)).toMatch(/\n3 warnings\n$/);
});

test('what cannot be reached is warned of: nodes, ports, broadcast', () => {
  const { table, diagnostics } = parseTable(
    `mapwire: 1
nodes:
  a: { underlay: 192.0.2.1 }
  b: { underlay: "2001:db8::2" }
  c: { underlay: ["2001:db8::3", 192.0.2.3] }
networks:
  blue: { segment: 5001 }
  wire: { encap: flat }
  cast: { encap: geneve, segment: 7, flood: multicast, group: 239.1.1.1 }
  ip: { encap: lisp, segment: 8 }
ports:
  p1: { network: blue, mac: 02:00:00:00:00:01, at: [{ node: a }, { node: b }] }
  p2: { network: wire, mac: 02:00:00:00:00:02, at: [{ node: a }, { node: b }] }
  p3: { network: cast, mac: 02:00:00:00:00:03, at: [{ node: a, segment: 70 }, { node: c, segment: 7 }] }
  p4: { network: ip, mac: 02:00:00:00:00:04, at: { node: a } }
`,
    { name: 't.yaml' },
  );
  expect(table?.portCount).toBe(4);
  expect(diagnostics.map(({ code, severity, line, column }) => [code, severity, line, column])).toEqual([
    ['MW143', 'warning', 4, 18],
    ['MW205', 'warning', 9, 63],
    ['MW204', 'warning', 15, 3],
  ]);
  expect(diagnostics.map(({ message }) => message)).toEqual([
    "node 'b' and node 'a' of network 'blue' have no underlay address family in common: they cannot reach each other",
    "network 'cast' floods to group 239.1.1.1 with segment 7, by which node 'a' is not addressed: broadcast does not reach it",
    "port 'p4' has no IP address: in network 'ip', which carries IP packets alone, it is reached by its link-local address only",
  ]);
});

test.each([
  ['vxlan', 'a, b', 1450, undefined],
  ['vxlan', 'a, b', 1451, 1450],
  ['vxlan', 'b, c', 1450, 1430],
  ['vxlan', 'a, c', 1450, undefined],
  ['gre', 'b, c', 1438, undefined],
  ['gre', 'b, c', 1439, 1438],
  ['lisp', 'a, b', 1465, 1464],
  ['flat', 'b, c', 1500, undefined],
  ['flat', 'b, c', 1501, 1500],
])('%s at %s with an MTU of %i leaves %s', (encap, at, mtu, left) => {
  const nodes = at.split(', ').map((node) => ({ node }));
  const { table, diagnostics } = parseTable(
    JSON.stringify({
      mapwire: 1,
      nodes: {
        a: { underlay: '192.0.2.1' },
        b: { underlay: ['2001:db8::2', '192.0.2.2'] },
        c: { underlay: ['2001:db8::3', '192.0.2.3'] },
      },
      networks: { n: { encap, segment: 7, mtu } },
      ports: { p: { network: 'n', mac: '02:00:00:00:00:01', ips: ['fd00::1'], at: nodes } },
    }),
  );
  expect(table).toBeDefined();
  const told = diagnostics.map(({ code, message }) => `${code} ${/leaves (\d+)/.exec(message)?.[1]}`);
  expect(told).toEqual(left === undefined ? [] : [`MW206 ${left}`]);
});

test('one segment of two encapsulations is two segments', () => {
  const { table, diagnostics } = parseTable(
    `mapwire: 1
nodes: { a: { underlay: 192.0.2.1 } }
networks:
${['vxlan', 'vxlan-gpe', 'geneve', 'gre', 'lisp', 'flat'].map((encap) => `  ${encap}: { encap: ${encap}, segment: 7 }`).join('\n')}
  untagged: { encap: flat }
ports:
${['vxlan', 'vxlan-gpe', 'geneve', 'gre', 'lisp', 'flat', 'untagged']
  .map((net, i) => `  p${i}: { network: ${net}, mac: 02:00:00:00:00:01, ips: [10.0.0.1], at: { node: a } }`)
  .join('\n')}
`,
  );
  expect(diagnostics).toEqual([]);
  expect(table?.portCount).toBe(7);
});

describe('suggestions', () => {
  test('count inserted, lost, changed and swapped letters', () => {
    expect(editDistance('node', 'node', 3)).toBe(0);
    expect(editDistance('ndoe', 'node', 3)).toBe(1);
    expect(editDistance('nodes', 'node', 3)).toBe(1);
    expect(editDistance('kitten', 'sitting', 3)).toBe(3);
    expect(editDistance('kitten', 'sitting', 2)).toBe(3);
  });

  test('are near or not made', () => {
    expect(nearest('netwrok', ['node', 'network', 'mac'])).toBe('network');
    expect(nearest('MAC', ['node', 'network', 'mac'])).toBe('mac');
    expect(nearest('banana', ['node', 'network', 'mac'])).toBeUndefined();
    expect(nearest('x'.repeat(1000), ['x'])).toBeUndefined();
  });
});
