/**
 * An edit of thousands of ports that is refused, or given up on the way, leaves no trace: every column, every index and every sum is as
 * before; and while it is under way, whoever holds the version before it reads that one.
 */
import { expect, it } from 'vitest';
import { bytesOf } from '../../../src/table/byte-source.ts';
import type { TableFile } from '../../../src/table/document.ts';
import { type CompactTable, equalTables, parseTable, TableEdit } from '../../../src/table/index.ts';
import type { PortStore } from '../../../src/table/port-store.ts';
import { readContent } from '../../../src/table/read-file.ts';
import { atOnce } from '../../../src/table/steps.ts';
import { Random } from '../../support/random.ts';

const SEED = process.env.MAPWIRE_SEED ?? String(Date.now() % 1_000_000);
/** More than a few: rows are found in another way then. */
const PORTS = 5_000;
const NODES = 40;

const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');

function idOf(n: number): string {
  if (n % 3 === 0) return `00000000-0000-4000-8000-${hex(n, 12)}`;
  return n % 3 === 1 ? `p${n}` : `a-port-with-a-rather-long-name-${n}`;
}

const HEAD = [
  '{"mapwire":1}',
  ...Array.from({ length: NODES }, (_, n) => `{"node":"n${n}","underlay":"192.0.2.${n + 1}"}`),
  '{"network":"blue","segment":1}',
  '{"network":"red","segment":2}',
].join('\n');

/** A file with ports of all kinds, of which every call gives others; ports of a group swap their addresses. */
function content(random: Random, turn: number): string {
  const lines = [HEAD];
  let swap = 0;
  for (let n = 0; n < PORTS; n++) {
    if (n % 4 === 0) swap = random.chance(0.2) ? 2 : 0;
    const own = n ^ swap;
    if (random.chance(0.1)) continue;
    const place = { node: `n${random.below(NODES)}`, ...(random.chance(0.2) && { interface: `tap${n}` }) };
    const other = { node: `n${random.below(NODES)}`, priority: 2 };
    const more = random.chance(0.1) && place.node !== other.node;
    const [high, low] = [hex(own >> 8, 2), hex(own & 255, 2)];
    const ips = [`10.0.${own >> 8}.${own & 255}`, ...(n % 5 === 0 ? [`fd00::${hex(n, 4)}`] : [])];
    lines.push(
      JSON.stringify({
        port: idOf(n),
        network: n % 2 === 0 ? 'blue' : 'red',
        mac: `02:00:00:00:${high}:${low}`,
        ...(random.chance(0.9) && { ips }),
        ...(random.chance(0.05) && { allow: ['10.9.0.0/24'] }),
        ...(random.chance(0.05) && { macs: [`02:aa:00:00:${high}:${low}`] }),
        ...(n % 20 === 1 && { sequence: turn + 1 }),
        at: more ? [place, other] : place,
      }),
    );
  }
  return `${lines.join('\n')}\n`;
}

/** Everything that a store says: rows with their places, what leads to them, and the sums. */
function looks(store: PortStore): unknown {
  const rows = [];
  for (let row = 0; row < store.limit; row++) {
    if (!store.isLive(row)) {
      rows.push(null);
      continue;
    }
    const stored = store.stored(row);
    const { id, network, mac, ips, at } = stored.row;
    const names = at.filter((locator) => locator.interface !== undefined);
    rows.push({
      stored,
      byId: store.findId(id),
      byMac: store.findMac(network, mac),
      byIp: ips.map((ip) => store.findIp(network, ip)),
      byInterface: names.map((locator) => store.findInterface(locator.node, locator.interface!)),
    });
  }
  const networks = [...store.networks.names()].sort();
  const nodes = [...store.nodes.names()].sort();
  return {
    size: store.size,
    rows,
    references: [
      networks.map((name) => store.networks.references(name)),
      nodes.map((name) => store.nodes.references(name)),
    ],
    presence: nodes.map((node) =>
      networks.map((network) => store.presence.get(store.nodes.find(node)!)?.get(store.networks.find(network)!)),
    ),
    ipv6: networks.map((network) => store.ipv6Ports(store.networks.find(network)!)),
    later: { views: store.views, limited: store.limited, moving: store.moving },
  };
}

/** With free rows at the end left out: those that an edit made stay. */
function trimmed(look: ReturnType<typeof looks>): unknown {
  const { rows, ...rest } = look as { rows: unknown[] };
  return { ...rest, rows: rows.slice(0, rows.findLastIndex((row) => row !== null) + 1) };
}

const FILE = 'x.ndjson';
const fileOf = (table: CompactTable): TableFile => table.parts.files.byNumber.find((file) => file?.name === FILE)!;

function read(edit: TableEdit, text: string): void {
  readContent(bytesOf(Buffer.from(text)), 'ndjson', edit, edit.show);
}

it(`a refused edit of thousands leaves no trace (seed ${SEED})`, { timeout: 120_000 }, () => {
  const random = new Random(`${SEED} undo`);
  let table = parseTable(content(random, 0), { name: FILE }).table!;
  for (let run = 0; run < 4; run++) {
    const why = `seed ${SEED}, run ${run}`;
    const before = trimmed(looks(table.parts.store));
    const next = content(random, run + 1);
    const edit = new TableEdit(table);
    edit.replaceFile(fileOf(table));
    if (run % 2 === 0) {
      // a mistake at the end, found when everything else is in
      read(edit, `${next}{"port":"bad","network":"green","mac":"02:00:00:00:ff:ff","at":{"node":"n0"}}\n`);
      const { table: none, diagnostics } = edit.finish();
      expect(none, why).toBeUndefined();
      expect(diagnostics[0]?.code, why).toBe('MW105');
    } else {
      const lines = next.split('\n');
      read(edit, `${lines.slice(0, NODES + 3 + random.below(PORTS)).join('\n')}\n`);
      expect([...table.ports()], why).toHaveLength(table.portCount);
      edit.abandon();
    }
    expect(trimmed(looks(table.parts.store)), why).toEqual(before);
    expect(table.isNewest, why).toBe(true);
    // And what comes next finds it so.
    const accepted = new TableEdit(table);
    accepted.replaceFile(fileOf(table));
    read(accepted, next);
    const result = atOnce(accepted.finishSteps());
    expect(result.diagnostics, why).toEqual([]);
    expect(equalTables(result.table!, parseTable(next, { name: FILE }).table!), why).toBe(true);
    table = result.table!;
  }
});
