/** While an edit goes on in steps, whoever holds the version before it reads that version, whole; and so if the edit is given up. */
import { expect, it } from 'vitest';
import { IdBook, plan } from '../../../src/compiler/index.ts';
import { bytesOf } from '../../../src/table/byte-source.ts';
import { type CompactTable, equalTables, formatTable, parseTable, TableEdit } from '../../../src/table/index.ts';
import { ndjsonSteps } from '../../../src/table/read-ndjson.ts';
import { Random } from '../../support/random.ts';

const SEED = process.env.MAPWIRE_SEED ?? String(Date.now() % 1_000_000);

const HEAD =
  '{"mapwire":1}\n{"node":"a","underlay":"192.0.2.1"}\n{"node":"b","underlay":"192.0.2.2"}\n{"network":"blue","segment":1}\n{"network":"red","segment":2}\n';

/** Ports, some plain and some not, each of them other than at another call now and then. */
function content(random: Random): string {
  let text = HEAD;
  for (let n = 0; n < 40; n++) {
    if (random.chance(0.2)) continue;
    const mac = `02:00:00:00:0${random.below(2)}:${n.toString(16).padStart(2, '0')}`;
    const at = random.chance(0.2) ? '[{"node":"a"},{"node":"b"}]' : `{"node":"${random.pick(['a', 'b'])}"}`;
    text += `{"port":"p${n}","network":"${random.pick(['blue', 'red'])}","mac":"${mac}","ips":["10.0.${random.below(3)}.${n + 1}"],"at":${at}}\n`;
  }
  return text;
}

const text = (table: CompactTable): string => [...formatTable(table)].sort().join('');

it(`an edit in steps is not seen before it is over (seed ${SEED})`, () => {
  const random = new Random(`${SEED} steps`);
  for (let run = 0; run < 60; run++) {
    const why = `seed ${SEED}, run ${run}`;
    const before = parseTable(content(random), { name: 'x.ndjson' }).table!;
    const copy = parseTable([...formatTable(before)].join(''), { format: 'ndjson' }).table!;
    const planned = plan(before, 'a', new IdBook());
    const size = planned.sizes.port;
    const next = content(random) + (run % 4 === 0 ? '{"port":"bad"}\n' : '');
    // a line at a time
    let at = 0;
    const source = bytesOf(Buffer.from(next));
    const slow = {
      read: (into: Buffer, length: number, position: number) => source.read(into, Math.min(length, 100), position),
      close() {},
    };
    const edit = new TableEdit(before);
    edit.replaceFile(before.parts.files.byNumber[0]!);
    const look = (): void => {
      expect(text(before), `${why}, step ${at}`).toBe(text(copy));
      for (const port of copy.ports()) {
        expect(before.portByMac(port.network, port.mac)?.id, why).toBe(port.id);
        expect(before.portByIp(port.network, port.ips[0]!)?.id, why).toBe(port.id);
        expect(before.rowOf(port.id), why).toBeGreaterThanOrEqual(0);
      }
      expect([...planned.entries('port')].length, why).toBe(size);
    };
    const reading = ndjsonSteps(slow, edit, edit.show);
    const end = run % 5 === 0 ? random.below(20) : Number.POSITIVE_INFINITY;
    for (; at < end && !reading.next().done; at++) if (at % 7 === 0) look();
    if (at === end) {
      edit.abandon();
      look();
      expect(before.isNewest).toBe(true);
      continue;
    }
    const finishing = edit.finishSteps();
    let step = finishing.next();
    while (!step.done) step = finishing.next();
    look();
    const { table } = step.value;
    const whole = parseTable(next, { name: 'x.ndjson' });
    expect(table === undefined, why).toBe(whole.table === undefined);
    if (table !== undefined) expect(equalTables(table, whole.table!), why).toBe(true);
    expect(equalTables(before, copy), why).toBe(true);
  }
});

it('what a refused change took out is put back in steps, and not missed meanwhile', () => {
  const hex = (n: number): string => n.toString(16).padStart(2, '0');
  const ports = Array.from(
    { length: 3_000 },
    (_, n) => `  p${n}: { network: blue, mac: "02:00:00:00:${hex(n >> 8)}:${hex(n & 255)}", at: { node: a } }\n`,
  ).join('');
  const good = `mapwire: 1\nnodes: { a: { underlay: 192.0.2.1 } }\nnetworks: { blue: { segment: 1 } }\nports:\n${ports}`;
  const before = parseTable(good, { name: 'x.yaml' }).table!;
  const copy = parseTable(good, { name: 'x.yaml' }).table!;
  const edit = new TableEdit(before);
  const file = before.parts.files.byNumber[0]!;
  edit.replaceFile(file);
  edit.mistakeAt('MW172', undefined, 'nothing can be read');
  const finishing = edit.finishSteps();
  let steps = 0;
  let step = finishing.next();
  for (; !step.done; step = finishing.next()) {
    steps++;
    expect(before.portCount).toBe(3_000);
    expect(before.rowOf('p7')).toBeGreaterThanOrEqual(0);
    expect(equalTables(before, copy)).toBe(true);
  }
  expect(steps).toBeGreaterThan(4);
  expect(step.value.table).toBeUndefined();
  expect(before.isNewest).toBe(true);
  expect(equalTables(before, copy)).toBe(true);
});
