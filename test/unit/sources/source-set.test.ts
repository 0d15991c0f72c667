/** Several sources, one table. */
import { describe, expect, test } from 'vitest';
import {
  type MappingSource,
  type Offer,
  SourceSet,
  type SourceSetEvent,
  type SourceSink,
  type Verdict,
} from '../../../src/sources/index.ts';
import { type DeltaRecord, readDeltas } from '../../../src/table/index.ts';

/** A source of records that a test makes. */
class TestSource implements MappingSource {
  readonly name: string;
  sink!: SourceSink;
  settled: Verdict[] = [];
  closed = false;

  constructor(name: string) {
    this.name = name;
  }

  async start(sink: SourceSink): Promise<void> {
    this.sink = sink;
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  offer(records: readonly DeltaRecord[], keep = true): Verdict {
    const offer: Offer = {
      keep,
      feed: (edit) => {
        readDeltas(edit, records, { name: this.name, source: this.name });
        return true;
      },
      settled: (verdict) => this.settled.push(verdict),
    };
    return this.sink.offer(offer);
  }
}

const NODE = { node: 'a', underlay: '192.0.2.1' };
const NETWORK = { network: 'n', segment: 5 };
const port = (id: string, last: number) => ({
  port: id,
  network: 'n',
  mac: `02:00:00:00:00:${String(last).padStart(2, '0')}`,
  ips: [`10.0.0.${last}`],
  at: { node: 'a' },
});

async function two(): Promise<{ set: SourceSet; one: TestSource; other: TestSource; events: SourceSetEvent[] }> {
  const set = new SourceSet();
  const [one, other] = [new TestSource('one'), new TestSource('other')];
  set.add(one);
  set.add(other);
  const events: SourceSetEvent[] = [];
  set.onEvent((event) => events.push(event));
  await set.start();
  return { set, one, other, events };
}

describe('the first table', () => {
  test('waits for the snapshot of every source', async () => {
    const { set, one, other, events } = await two();
    expect(one.offer([port('p', 1)])).toEqual({ state: 'waiting', missing: ['other'] });
    expect(set.table).toBeUndefined();
    expect(set.status().map(({ state }) => state)).toEqual(['starting', 'starting']);
    // A change before there is a table is not looked at.
    expect(one.offer([port('q', 2)], false)).toMatchObject({ state: 'waiting' });
    expect(events).toEqual([]);

    const verdict = other.offer([NODE, NETWORK]);
    expect(verdict.state).toBe('accepted');
    expect(set.table?.portCount).toBe(1);
    expect(set.table?.revision).toBe(1);
    expect(one.settled).toEqual([verdict]);
    expect(events).toMatchObject([{ type: 'table', source: 'other' }]);
    expect(events[0]).not.toHaveProperty('changes');
    expect(set.status().map(({ state }) => state)).toEqual(['good', 'good']);
  });

  test('is made as soon as a later offer makes all fit', async () => {
    const { set, one, other } = await two();
    one.offer([port('p', 1)]);
    expect(other.offer([NODE])).toMatchObject({ state: 'refused', diagnostics: [{ code: 'MW105', file: 'one' }] });
    expect(set.status().map(({ state }) => state)).toEqual(['bad', 'bad']);
    expect(one.offer([port('x', 9)], false).state).toBe('waiting');
    expect(other.offer([NODE, NETWORK]).state).toBe('accepted');
    expect([...set.table!.ports()].map(({ id }) => id)).toEqual(['p']);
  });

  test('two sources that give the same record do not fit', async () => {
    const { one, other } = await two();
    one.offer([NODE, NETWORK, port('p', 1)]);
    const verdict = other.offer([port('p', 2)]);
    expect(verdict).toMatchObject({ state: 'refused', error: { code: 'ERR_MW_TABLE' } });
    expect(verdict.state === 'refused' && verdict.diagnostics.map(({ code, file }) => [code, file])).toEqual([
      ['MW106', 'other'],
    ]);
  });
});

describe('afterwards', () => {
  async function ready() {
    const all = await two();
    all.one.offer([NODE, NETWORK, port('p', 1)]);
    all.other.offer([port('q', 2)]);
    all.events.length = 0;
    all.one.settled.length = 0;
    return all;
  }

  test('each source changes its own', async () => {
    const { set, one, other, events } = await ready();
    expect(one.offer([port('p', 3)])).toMatchObject({ state: 'accepted', changes: { ports: new Set(['p']) } });
    expect(other.offer([{ delete: 'port', id: 'p' }], false)).toMatchObject({
      state: 'refused',
      diagnostics: [{ code: 'MW106' }],
    });
    expect(other.offer([{ delete: 'port', id: 'q' }], false).state).toBe('accepted');
    expect(set.table?.portCount).toBe(1);
    expect(events.map(({ type }) => type)).toEqual(['table', 'refused', 'table']);
  });

  test('a clash between sources is refused, and what was kept is tried again when the other gives way', async () => {
    const { set, one, other, events } = await ready();
    expect(one.offer([port('p', 2)])).toMatchObject({
      state: 'refused',
      diagnostics: [{ code: 'MW126' }, { code: 'MW127' }],
    });
    expect(set.status()).toMatchObject([{ state: 'bad' }, { state: 'good' }]);
    expect(other.offer([port('q', 3)], false).state).toBe('accepted');
    expect(one.settled).toMatchObject([{ state: 'accepted' }]);
    expect(set.table?.port('p')?.ips).toEqual(['10.0.0.2']);
    expect(set.table?.port('q')?.ips).toEqual(['10.0.0.3']);
    expect(set.status()).toMatchObject([{ state: 'good' }, { state: 'good' }]);
    expect(events.map((event) => [event.type, event.source])).toEqual([
      ['refused', 'one'],
      ['table', 'other'],
      ['table', 'one'],
    ]);
  });

  test('what was not kept is forgotten', async () => {
    const { set, one, other } = await ready();
    expect(other.offer([port('q', 1)], false).state).toBe('refused');
    expect(set.status()).toMatchObject([{ state: 'good' }, { state: 'good' }]);
    one.offer([port('p', 5)]);
    expect(set.table?.port('q')?.ips).toEqual(['10.0.0.2']);
  });

  test('an offer that changes nothing is accepted and no event', async () => {
    const { set, one, events } = await ready();
    const before = set.table!;
    expect(one.offer([port('p', 1)])).toMatchObject({ state: 'accepted', table: before });
    expect(events).toEqual([]);
    expect(set.table).toBe(before);
  });

  test('an offer that turns out to be unstable, or throws, changes nothing', async () => {
    const { set, one } = await ready();
    const before = set.table!;
    const half = (end: () => boolean): Offer => ({
      keep: true,
      feed: (edit) => {
        readDeltas(edit, [port('p', 7), port('z', 8)], { name: 'one', source: 'one' });
        return end();
      },
    });
    expect(one.sink.offer(half(() => false))).toEqual({ state: 'unstable' });
    expect(() =>
      one.sink.offer(
        half(() => {
          throw new Error('broken source');
        }),
      ),
    ).toThrow('broken source');
    expect(set.table).toBe(before);
    expect(set.table?.port('p')?.ips).toEqual(['10.0.0.1']);
    expect(set.table?.port('z')).toBeUndefined();
    expect(one.offer([port('p', 6)]).state).toBe('accepted');
  });

  test('a source may say that it has nothing, or is held', async () => {
    const { set, one, events } = await ready();
    one.sink.report('held', []);
    expect(set.status()[0]).toMatchObject({ state: 'held' });
    one.sink.report('bad', []);
    expect(events).toMatchObject([{ type: 'held' }, { type: 'refused', error: { code: 'ERR_MW_TABLE' } }]);
  });
});

test('revisions come from the caller, one for each version', async () => {
  let last = 40;
  const set = new SourceSet({ revision: () => ++last });
  const one = new TestSource('one');
  set.add(one);
  await set.start();
  expect(one.offer([NODE]).state).toBe('accepted');
  expect(one.offer([NODE, { node: 'b', underlay: '192.0.2.1' }]).state).toBe('refused');
  expect(one.offer([NODE]).state).toBe('accepted');
  expect(last).toBe(41);
  expect(one.offer([NETWORK])).toMatchObject({ table: { revision: 42 } });
});

test('misuse is told', async () => {
  const set = new SourceSet();
  const one = new TestSource('one');
  set.add(one);
  expect(() => set.add(new TestSource('one'))).toThrow(expect.objectContaining({ code: 'ERR_MW_INVALID_ARGUMENT' }));
  await set.start();
  expect(() => set.add(new TestSource('two'))).toThrow(expect.objectContaining({ code: 'ERR_MW_INVALID_ARGUMENT' }));
  await set.close();
  expect(one.closed).toBe(true);
  expect(() => one.offer([NODE])).toThrow(expect.objectContaining({ code: 'ERR_MW_CLOSED' }));
});
