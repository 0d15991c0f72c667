/** One content in all formats is one table; what is written reads back as the same. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import {
  applyDelta,
  type CompactTable,
  diffTables,
  equalTables,
  formatTable,
  parseTable,
  readTable,
  renderDiagnostics,
  tableFromObject,
  tableToObject,
} from '../../../src/table/index.ts';
import { tableObject } from './random-content.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mapwire-table-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function good(result: ReturnType<typeof parseTable>): CompactTable {
  expect(renderDiagnostics(result.diagnostics)).toBe('');
  return result.table!;
}

test('YAML, JSON, NDJSON, a folder of parts and an object of the same content are equal', () => {
  fc.assert(
    fc.property(tableObject(), fc.integer({ min: 1, max: 4 }), (object, parts) => {
      const table = tableFromObject(object);
      const json = JSON.stringify({ mapwire: 1, ...object });
      expect(equalTables(good(parseTable(json, { name: 't.json' })), table)).toBe(true);
      expect(
        equalTables(good(parseTable(JSON.stringify(JSON.parse(json), undefined, 3), { name: 't.yaml' })), table),
      ).toBe(true);
      expect(
        equalTables(
          good(parseTable(stringify({ mapwire: 1, ...object }, { aliasDuplicateObjects: false }), { name: 't.yaml' })),
          table,
        ),
      ).toBe(true);
      const ndjson = [...formatTable(table)].join('');
      expect(equalTables(good(parseTable(ndjson, { name: 't.ndjson' })), table)).toBe(true);
      expect(equalTables(tableFromObject(tableToObject(table)), table)).toBe(true);

      const at = mkdtempSync(join(folder, 'parts-'));
      const lines = ndjson.trim().split('\n').slice(1);
      for (let part = 0; part < parts; part++) {
        const own = lines.filter((_, index) => index % parts === part);
        writeFileSync(join(at, `part-${part}.ndjson`), `{"mapwire":1}\n${own.join('\n')}\n`);
      }
      expect(equalTables(good(readTable(at)), table)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('what no extension tells, the content does', () => {
  const object = { mapwire: 1, nodes: { a: { underlay: '192.0.2.1' } } };
  for (const text of [
    stringify(object, { aliasDuplicateObjects: false }),
    JSON.stringify(object),
    JSON.stringify(object, undefined, 2),
    '{"mapwire":1}\n{"node":"a","underlay":"192.0.2.1"}\n',
  ]) {
    expect(good(parseTable(text)).nodes.get('a')?.underlay).toEqual(['192.0.2.1']);
  }
  expect(good(parseTable('{"mapwire":1}\n')).nodes.size).toBe(0);
});

test('addresses are canonical, locators in order of preference, defaults filled in', () => {
  const table = tableFromObject({
    nodes: {
      a: { underlay: ['2001:DB8:0::1', '192.0.2.1'], region: 'north' },
      b: { underlay: '192.0.2.2', mtu: 9000, kind: 'foreign', guard: 'open', 'udp6-checksum': 'zero' },
    },
    networks: {
      n: { segment: 5, 'link-local': 'eui64', flood: 'none', unknown: 'flood', mtu: 1400 },
      g: { encap: 'gre', segment: 4294967295, flood: 'multicast', group: 'FF15:0::1', vlan: 'transparent' },
      f: { encap: 'flat' },
    },
    ports: {
      p: {
        network: 'n',
        mac: '02:AB:00:00:00:01',
        macs: ['00:00:5E:00:01:01'],
        ips: ['FD00:0:0::1', '10.0.0.1', 'fe80::1'],
        allow: ['FD00::/8', '10.0.0.0/8'],
        role: 'router',
        at: [
          { node: 'b', priority: 2, segment: 77, weight: 5 },
          { node: 'a', interface: 'tap0' },
        ],
      },
    },
  });
  const ours = { kind: 'mapwire', guard: 'full', udp6Checksum: 'auto' };
  expect([...table.nodes.values()]).toEqual([
    { id: 'a', underlay: ['2001:db8::1', '192.0.2.1'], region: 'north', mtu: 1500, ...ours },
    { id: 'b', underlay: ['192.0.2.2'], mtu: 9000, kind: 'foreign', guard: 'open', udp6Checksum: 'zero' },
  ]);
  const defaults = { flood: 'replicate', unknown: 'drop', vlan: 'drop', linkLocal: 'any' };
  expect(table.networks.get('f')).toEqual({ id: 'f', encap: 'flat', segment: 0, ...defaults });
  expect(table.networks.get('g')).toEqual({
    ...{ id: 'g', encap: 'gre', segment: 4294967295, ...defaults },
    ...{ flood: 'multicast', group: 'ff15::1', vlan: 'transparent' },
  });
  expect(table.networks.get('n')).toEqual({
    id: 'n',
    encap: 'vxlan',
    segment: 5,
    mtu: 1400,
    flood: 'none',
    unknown: 'flood',
    vlan: 'drop',
    linkLocal: 'eui64',
  });
  expect(table.port('p')).toEqual({
    id: 'p',
    network: 'n',
    mac: '02:ab:00:00:00:01',
    macs: ['00:00:5e:00:01:01'],
    ips: ['fd00::1', '10.0.0.1', 'fe80::1'],
    allow: ['fd00::/8', '10.0.0.0/8'],
    role: 'router',
    at: [
      { node: 'a', interface: 'tap0', priority: 1, weight: 1 },
      { node: 'b', segment: 77, priority: 2, weight: 5 },
    ],
  });
  expect(table.portByMac('n', '02:ab:00:00:00:01')?.id).toBe('p');
  expect(table.portByMac('n', '00:00:5e:00:01:01')).toBeUndefined();
  expect(table.portByIp('n', 'FE80:0::1')?.id).toBe('p');
  expect(table.portByIp('n', '10.0.0.2')).toBeUndefined();
  expect(table.portByIp('other', '10.0.0.1')).toBeUndefined();
});

test('ids may be words of any script, UUIDs, long, and names that JavaScript knows', () => {
  const ids = [
    'blau-größe',
    '端口',
    '🙂'.repeat(64),
    'a'.repeat(64),
    '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
    '__proto__',
    'constructor',
    '1',
    'toString',
  ];
  const ports = ids.map(
    (id, i) => `{"port":${JSON.stringify(id)},"network":"n","mac":"02:00:00:00:00:0${i}","at":{"node":"__proto__"}}`,
  );
  const text = `{"mapwire":1}\n{"node":"__proto__","underlay":"192.0.2.1"}\n{"network":"n","segment":5}\n${ports.join('\n')}\n`;
  const table = good(parseTable(text));
  expect([...table.ports()].map((port) => port.id)).toEqual(ids);
  for (const [i, id] of ids.entries()) expect(table.port(id)?.mac).toBe(`02:00:00:00:00:0${i}`);
  expect(table.port('valueOf')).toBeUndefined();
  expect(equalTables(table, good(parseTable([...formatTable(table)].join(''))))).toBe(true);
});

describe('a folder', () => {
  const node = (id: string, last: number) => `mapwire: 1\nnodes: { ${id}: { underlay: 192.0.2.${last} } }\n`;

  test('is all its files, whatever their order; hidden ones are passed over, others are told of', () => {
    writeFileSync(join(folder, 'b.yaml'), `${node('a', 1)}networks: { n: { segment: 5 } }\n`);
    writeFileSync(
      join(folder, 'a.json'),
      JSON.stringify({ mapwire: 1, ports: { p: { network: 'n', mac: '02:00:00:00:00:01', at: { node: 'a' } } } }),
    );
    writeFileSync(join(folder, '.hidden.yaml'), 'nonsense: [');
    writeFileSync(join(folder, 'b.yaml~'), 'nonsense: [');
    writeFileSync(join(folder, 'notes.txt'), 'nonsense: [');
    mkdirSync(join(folder, 'old.yaml'));
    const { table, diagnostics } = readTable(folder);
    expect(table?.portCount).toBe(1);
    expect(diagnostics.map(({ code, severity, file }) => [code, severity, file])).toEqual([
      ['MW203', 'warning', join(folder, 'notes.txt')],
      ['MW203', 'warning', join(folder, 'old.yaml/')],
    ]);
  });

  test('names both places of what two files define', () => {
    writeFileSync(join(folder, 'a.yaml'), node('x', 1));
    writeFileSync(join(folder, 'b.yaml'), `# later\n${node('x', 2)}`);
    const { diagnostics } = readTable(folder);
    expect(diagnostics).toMatchObject([
      {
        code: 'MW106',
        file: join(folder, 'b.yaml'),
        line: 3,
        column: 10,
        related: [{ file: join(folder, 'a.yaml'), line: 2, column: 10 }],
      },
    ]);
  });

  test('does not call missing what an unreadable file may hold', () => {
    writeFileSync(
      join(folder, 'a.yaml'),
      `${node('x', 1)}ports: { p: { network: n, mac: 02:00:00:00:00:01, at: { node: y } } }\n`,
    );
    writeFileSync(join(folder, 'b.yaml'), 'mapwire: 1\nnodes: {');
    expect(readTable(folder).diagnostics.map(({ code }) => code)).toEqual(['MW172']);
  });

  test('needs a table', () => {
    expect(readTable(folder).diagnostics).toMatchObject([{ code: 'MW173', file: folder }]);
  });
});

describe('what cannot be read', () => {
  test('is told, with its reason', () => {
    expect(readTable(join(folder, 'none.yaml')).diagnostics).toMatchObject([
      { code: 'MW170', message: 'the file cannot be read: it does not exist' },
    ]);
    expect(readTable('/dev/null').diagnostics).toMatchObject([
      { code: 'MW170', message: 'the file cannot be read: it is no regular file' },
    ]);
  });

  test('a line of 200 MB is a mistake at its place and takes no room', () => {
    const path = join(folder, 'big.ndjson');
    writeFileSync(path, '{"mapwire":1}\n{"node":"a","underlay":"192.0.2.1"}\n');
    truncateSync(path, 200 * 1024 * 1024);
    const before = process.memoryUsage();
    const { diagnostics } = readTable(path);
    const after = process.memoryUsage();
    expect(diagnostics).toMatchObject([{ code: 'MW176', line: 3, column: 1 }]);
    expect(diagnostics[0]!.message).toContain('bytes; at most 1048576 are possible');
    expect(after.rss - before.rss).toBeLessThan(64 * 1024 * 1024);
  });

  test('a YAML file of 200 MB is not read to its end', () => {
    const path = join(folder, 'big.yaml');
    writeFileSync(path, 'mapwire: 1\n');
    truncateSync(path, 200 * 1024 * 1024);
    expect(readTable(path).diagnostics).toMatchObject([{ code: 'MW176', line: 0 }]);
  });
});

test('an object with mistakes is thrown with its diagnostics', () => {
  expect(() => tableFromObject({ nodes: { a: { underlay: 'x' } } })).toThrow(
    expect.objectContaining({
      code: 'ERR_MW_TABLE',
      message: expect.stringContaining('MW140'),
      details: { diagnostics: [expect.objectContaining({ code: 'MW140' })] },
    }),
  );
});

test('the difference of tables that have nothing to do with each other is found by comparing', () => {
  const base = { nodes: { a: { underlay: '192.0.2.1' } }, networks: { n: { segment: 5 } } };
  const port = (mac: string) => ({ network: 'n', mac, at: { node: 'a' } });
  const one = tableFromObject({ ...base, ports: { p: port('02:00:00:00:00:01'), q: port('02:00:00:00:00:02') } });
  const other = tableFromObject({
    nodes: { ...base.nodes, b: { underlay: '192.0.2.2' } },
    networks: { n: { segment: 6 } },
    ports: { p: port('02:00:00:00:00:01'), q: port('02:00:00:00:00:03'), r: port('02:00:00:00:00:02') },
  });
  expect(diffTables(one, other)).toEqual({
    nodes: new Set(['b']),
    networks: new Set(['n']),
    ports: new Set(['q', 'r']),
    addresses: new Set(),
  });
  expect(equalTables(one, other)).toBe(false);
});

test('the tables of the documentation and of the examples are right', () => {
  const root = new URL('../../../', import.meta.url).pathname;
  const page = readFileSync(join(root, 'docs/table-format.md'), 'utf8');
  const blocks = [...page.matchAll(/```(yaml|json)\n(.*?)```/gs)].map(([, format, text]) => ({ format, text: text! }));
  expect(blocks.map(({ format }) => format)).toEqual(['yaml', 'yaml', 'yaml', 'yaml', 'yaml', 'json', 'json']);
  for (const { text } of blocks.slice(0, 5)) good(parseTable(text, { name: 'doc.yaml' }));
  const table = good(parseTable(blocks[5]!.text, { name: 'doc.ndjson' }));
  const more =
    '{"node":"host-b","underlay":"192.0.2.2"}\n{"port":"web-2","network":"blue","mac":"02:00:00:00:00:02","at":{"node":"host-b"}}';
  const { table: before } = applyDelta(table, more);
  expect(applyDelta(before!, blocks[6]!.text).table?.port('web-1')?.ips).toEqual(['10.1.0.7']);

  const examples = readdirSync(join(root, 'examples')).map((name) => join(root, 'examples', name, 'table.yaml'));
  const tables = examples.filter((path) => existsSync(path));
  expect(tables.length).toBeGreaterThan(0);
  for (const path of tables) expect(renderDiagnostics(readTable(path).diagnostics)).toBe('');
});
