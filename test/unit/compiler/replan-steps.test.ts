/** An edit of many ports is planned in steps, in which the table goes on changing: the plan is of the version that it was asked for. */
import { expect, it } from 'vitest';
import { diff, diffEntries, IdBook, plan, replan, replanSteps } from '../../../src/compiler/index.ts';
import {
  applyDelta,
  type CompactTable,
  diffTableSteps,
  diffTables,
  parseTable,
  type Steps,
} from '../../../src/table/index.ts';
import { Random } from '../../support/random.ts';
import { content } from './reference-plan.ts';

const SEED = process.env.MAPWIRE_SEED ?? String(Date.now() % 1_000_000);
const PORTS = 600;

const HEAD = `{"mapwire":1}
{"node":"here","underlay":"192.0.2.1"}
{"node":"a","underlay":"192.0.2.2"}
{"node":"b","underlay":"192.0.2.3"}
{"network":"blue","segment":1}
{"network":"red","segment":2}
`;

const hex = (n: number): string => n.toString(16).padStart(2, '0');

/** Port `n`: its MAC and address are its own in whatever network it is. */
function line(n: number, node: string, network = 'blue', name = `p${n}`): string {
  const mac = `02:00:00:00:${hex(n >> 8)}:${hex(n & 255)}`;
  return `${JSON.stringify({ port: name, network, mac, ips: [`10.0.${n >> 8}.${n & 255}`], at: { node } })}\n`;
}

function base(): CompactTable {
  let text = `${HEAD}${line(PORTS, 'here')}${line(PORTS + 1, 'here', 'red')}`;
  for (let n = 0; n < PORTS; n++) text += line(n, 'a', n % 5 === 0 ? 'red' : 'blue');
  return parseTable(text, { format: 'ndjson' }).table!;
}

function edited(table: CompactTable, deltas: string): CompactTable {
  const { table: next, diagnostics } = applyDelta(table, deltas);
  expect(diagnostics).toEqual([]);
  return next!;
}

const moved = (node: string): string =>
  Array.from({ length: PORTS }, (_, n) => line(n, node, n % 5 === 0 ? 'red' : 'blue')).join('');

/** To the end, doing something in every pause. Returns how many there were, too. */
function paused<T>(steps: Steps<T>, meanwhile: () => void): { value: T; pauses: number } {
  for (let pauses = 0; ; pauses++) {
    const step = steps.next();
    if (step.done) return { value: step.value, pauses };
    meanwhile();
  }
}

it('an edit of one port has a handful of pauses, one of every port has many', () => {
  const before = base();
  const one = edited(before, line(1, 'b'));
  const few = paused(replanSteps(plan(before, 'here', new IdBook()), one, diffTables(before, one)), () => {});
  expect(few.pauses).toBeLessThan(10);
  const all = edited(one, moved('b'));
  const edits = paused(diffTableSteps(one, all), () => {});
  expect(edits.pauses).toBeGreaterThanOrEqual(Math.floor((PORTS - 1) / 256));
  const many = paused(replanSteps(few.value.plan, all, edits.value), () => {});
  // Each of them is taken out and put in.
  expect(many.pauses).toBeGreaterThan((2 * PORTS) / 64);
  expect(many.value.changes.entries.filter(({ entry }) => entry.map === 'port')).toHaveLength(PORTS - 1);
});

it('a network that opens, closes or is rebuilt is gone through in steps', () => {
  const before = base();
  const current = plan(before, 'here', new IdBook());
  for (const [deltas, from, to] of [
    ['{"network":"blue","segment":3}\n', current.sizes.port, current.sizes.port],
    [`{"delete":"port","id":"p${PORTS}"}\n`, 0, 0],
  ] as const) {
    const after = edited(before, deltas);
    const next = paused(replanSteps(plan(before, 'here', new IdBook()), after, diffTables(before, after)), () => {});
    expect(next.pauses).toBeGreaterThan(PORTS / 64 / 2);
    expect(next.value.plan.sizes.port).toBe(from === 0 ? PORTS / 5 + 1 : to);
  }
});

it('ports move in the edit that closes, rebuilds or opens their network', () => {
  const local = `{"delete":"port","id":"p${PORTS}"}\n`;
  const ids = new IdBook();
  let table = base();
  let current = plan(table, 'here', ids);
  for (const [what, deltas] of [
    ['rebuilt', `{"network":"blue","segment":3}\n${moved('b')}`],
    ['closed', `${local}${moved('a')}`],
    ['opened', `${line(PORTS, 'here')}${moved('b')}`],
    ['closed, another rebuilt', `${local}{"network":"red","segment":4}\n${moved('a')}`],
  ] as const) {
    const after = edited(table, deltas);
    const told = content(current.entries());
    const next = replan(current, after, diffTables(table, after));
    for (const { op, entry } of next.changes.entries) {
      for (const [key, value] of content([entry])) {
        if (op === 'put') told.set(key, value);
        else expect(told.delete(key), what).toBe(true);
      }
    }
    const whole = plan(after, 'here', ids);
    expect(told, what).toEqual(content(whole.entries()));
    expect(next.plan.sizes, what).toEqual(whole.sizes);
    expect(ids.ports.size, what).toBe(whole.sizes.port);
    [table, current] = [after, whole];
  }
});

it(`ports that move, come, go and are renamed while others do so (seed ${SEED})`, () => {
  const random = new Random(`${SEED} replan`);
  let newest = base();
  const ids = new IdBook();
  let current = plan(newest, 'here', ids);
  /** Who has the MAC and address of number `n`. */
  const names = new Map(Array.from({ length: PORTS }, (_, n) => [n, `p${n}`]));
  let fresh = 0;
  const change = (count: number): void => {
    let text = '';
    for (const n of new Set(Array.from({ length: count }, () => random.below(PORTS)))) {
      const name = names.get(n);
      if (name !== undefined && random.chance(0.4)) {
        text += `{"delete":"port","id":"${name}"}\n`;
        names.delete(n);
        if (random.chance(0.5)) continue;
      }
      const now = names.get(n) ?? (random.chance(0.5) ? `p${n}` : `q${fresh++}`);
      if ([...names].some(([other, taken]) => taken === now && other !== n)) continue;
      names.set(n, now);
      text += line(n, random.pick(['a', 'b', 'here']), random.pick(['blue', 'red']), now);
    }
    newest = edited(newest, text);
  };
  for (let run = 0; run < 12; run++) {
    const why = `seed ${SEED}, run ${run}`;
    const before = current.table;
    change(run % 3 === 0 ? 300 : 30);
    const target = newest;
    const entries = [...current.entries()];
    const meanwhile = (): void => {
      for (let edit = 0; edit < 5; edit++) change(1);
    };
    const edits = paused(diffTableSteps(before, target), meanwhile).value;
    const next = paused(replanSteps(current, target, edits), meanwhile).value;
    expect(next.plan.table).toBe(target);
    const after = [...next.plan.entries()];
    const told = content(entries);
    for (const { op, entry } of next.changes.entries) {
      const [[key, value]] = content([entry]) as unknown as [[string, string]];
      if (op === 'put') told.set(key, value);
      else expect(told.delete(key), why).toBe(true);
    }
    expect(told, why).toEqual(content(after));
    expect(next.changes.entries.length, why).toBe(diffEntries(entries, after).length);
    expect(ids.ports.size, why).toBe(next.plan.sizes.port);
    const whole = plan(target, 'here', ids);
    expect(diff(whole, next.plan), why).toEqual([]);
    current = whole;
  }
  // Versions that were read had many after them.
  expect(newest.revision).toBeGreaterThan(12 * 16);
});

it('given up half way it leaves ids with which everything is planned anew', () => {
  const before = base();
  for (let stop = 1; stop < 60; stop += 7) {
    const ids = new IdBook();
    const old = plan(before, 'here', ids);
    const idsBefore = new Map([...before.ports()].map(({ id }) => [id, ids.ports.idOf(id)]));
    const after = edited(before, moved('b'));
    const steps = replanSteps(old, after, diffTables(before, after));
    for (let step = 0; step < stop; step++) steps.next();
    // Ports that stay are known by their ids at any time.
    for (const [port, id] of idsBefore) expect(ids.ports.idOf(port), `step ${stop}`).toBe(id);
    steps.return(undefined as never);
    expect(() => old.localPort(`p${PORTS}`)).toThrow(expect.objectContaining({ code: 'ERR_MW_CLOSED' }));
    const anew = plan(after, 'here', ids);
    expect(content(anew.entries())).toEqual(
      content(replan(plan(before, 'here', ids), after, diffTables(before, after)).plan.entries()),
    );
    for (const [port, id] of idsBefore) expect(ids.ports.idOf(port)).toBe(id);
    expect(ids.ports.size).toBe(before.portCount);
  }
});
