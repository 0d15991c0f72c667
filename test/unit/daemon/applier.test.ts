/** What an edit of many ports leaves to others while it is planned: turns of the event loop, and a plan to look at. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { IdBook, type Plan, type PlanChanges } from '../../../src/compiler/index.ts';
import { Applier } from '../../../src/daemon/applier.ts';
import type { ApplyReport } from '../../../src/dataplane/index.ts';
import { applyDelta, type CompactTable, parseTable } from '../../../src/table/index.ts';

const PORTS = 1_000;

function record(n: number, node: string): string {
  const mac = `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`;
  return `${JSON.stringify({ port: `p${n}`, network: 'blue', mac, at: { node } })}\n`;
}

const records = (node: string): string => Array.from({ length: PORTS }, (_, n) => record(n, node)).join('');

const HEAD = `{"mapwire":1}
{"node":"here","underlay":"192.0.2.1"}
{"node":"a","underlay":"192.0.2.2"}
{"node":"b","underlay":"192.0.2.3"}
{"network":"blue","segment":1}
${record(PORTS, 'here')}`;

const edited = (table: CompactTable, deltas: string): CompactTable => applyDelta(table, deltas).table!;

/** An applier and what it hands on. */
function scene() {
  const applies: { plan: Plan; changes: PlanChanges | undefined }[] = [];
  const plane = {
    ids: new IdBook(),
    apply: async (plan: Plan, changes?: PlanChanges): Promise<ApplyReport> => {
      applies.push({ plan, changes });
      const { revision } = plan;
      return { revision, writes: {}, total: 0, generation: 1, switched: undefined, milliseconds: 0 };
    },
  };
  const failures: unknown[] = [];
  const applier = new Applier(plane, 'here', {
    states: () => new Map(),
    applied: () => {},
    failed: (error) => failures.push(error),
  });
  return { applier, applies, failures };
}

/** Does something at every turn of the event loop until a promise resolves; how many there were. */
async function turnsUntil(done: Promise<unknown>, each: () => void = () => {}): Promise<number> {
  let over = false;
  let turns = 0;
  void done.then(() => {
    over = true;
  });
  while (!over) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!over) each();
    turns++;
  }
  return turns;
}

beforeEach(() => {
  // Whatever is done between two looks at the clock takes longer than a slice.
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => {
    now += 100;
    return now;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
});

it('gives the event loop back between the parts of an edit', async () => {
  const { applier, applies } = scene();
  const first = parseTable(`${HEAD}${records('a')}`, { format: 'ndjson' }).table!;
  applier.want(first);
  await applier.waitFor(first.revision);

  const small = edited(first, record(1, 'b'));
  applier.want(small);
  expect(await turnsUntil(applier.waitFor(small.revision))).toBeLessThan(15);

  const large = edited(small, records('b'));
  applier.want(large);
  let planless = 0;
  const looks: Promise<void>[] = [];
  const turns = await turnsUntil(applier.waitFor(large.revision), () => {
    if (applier.plan === undefined) planless++;
    // The plan before, or the one that it became: never a closed one, nor none to somebody who waits.
    looks.push(
      (async () => {
        while (applier.replanning !== undefined) await applier.replanning;
        expect(applier.plan?.localPort(`p${PORTS}`)?.port).toBe(`p${PORTS}`);
      })(),
    );
  });
  expect(turns).toBeGreaterThan((2 * PORTS) / 64);
  expect(planless).toBeGreaterThan(0);
  await Promise.all(looks);
  expect(applies.at(-1)?.changes?.whole).toBe(false);
  expect(applies.at(-1)?.changes?.entries.filter(({ entry }) => entry.map === 'port')).toHaveLength(PORTS - 1);
  await applier.close();
});

it('a table that comes while one is planned is applied after it, and as an edit of it', async () => {
  const { applier, applies } = scene();
  const first = parseTable(`${HEAD}${records('a')}`, { format: 'ndjson' }).table!;
  applier.want(first);
  await applier.waitFor(first.revision);
  let newest = edited(first, records('b'));
  const { revision } = newest;
  applier.want(newest);
  let edits = 0;
  await turnsUntil(applier.waitFor(revision), () => {
    if (edits === 20 || (applier.replanning === undefined && edits === 0)) return;
    newest = edited(newest, record(edits++, 'a'));
    applier.want(newest);
  });
  expect(edits).toBe(20);
  await applier.waitFor(newest.revision);
  expect(applies.map(({ plan }) => plan.revision)).toEqual([first.revision, revision, newest.revision]);
  expect(applies.at(-1)?.changes?.entries.filter(({ entry }) => entry.map === 'port')).toHaveLength(20);
  await applier.close();
});

it('a table without this node, while one is planned, leaves what is planned in force', async () => {
  const { applier, applies, failures } = scene();
  const first = parseTable(`${HEAD}${records('a')}`, { format: 'ndjson' }).table!;
  applier.want(first);
  await applier.waitFor(first.revision);
  const large = edited(first, records('b'));
  const foreign = edited(large, `{"delete":"port","id":"p${PORTS}"}\n{"delete":"node","id":"here"}\n`);
  applier.want(large);
  let told = false;
  await turnsUntil(applier.waitFor(large.revision), () => {
    if (told || applier.replanning === undefined) return;
    told = true;
    applier.want(foreign);
  });
  expect(told).toBe(true);
  await expect(applier.waitFor(foreign.revision)).rejects.toMatchObject({ code: 'ERR_MW_TABLE' });
  expect(failures).toHaveLength(1);
  expect(applier.plan?.revision).toBe(large.revision);
  expect(applier.plan?.localPortCount).toBe(1);
  expect(applies).toHaveLength(2);
  await applier.close();
});
