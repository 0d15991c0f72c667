import { constants } from 'node:fs';
import {
  appendFile,
  copyFile,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EditLog, type LogContent, type LogRecord } from '../../../src/sources/api-log.ts';

// Hundreds of logs, each synced to the disk: on a busy machine that takes its time.
vi.setConfig({ testTimeout: 60_000 });

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mw-log-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const record = (revision: number): LogRecord => ({
  revision,
  edits: [{ port: `p${revision}`, note: 'ü\n' }],
});

/** Opens, reads and closes. */
async function contentOf(at: string): Promise<LogContent> {
  const { log, content } = await EditLog.open(at);
  await log.close();
  return content;
}

async function segments(at: string): Promise<string[]> {
  return (await readdir(at)).filter((name) => name.endsWith('.log')).sort();
}

/** A folder like `folder`, apart. */
async function copy(): Promise<string> {
  const target = await mkdtemp(join(tmpdir(), 'mw-log-copy-'));
  for (const name of await readdir(folder))
    await copyFile(join(folder, name), join(target, name), constants.COPYFILE_EXCL);
  return target;
}

describe('appending', () => {
  it('gives back every acknowledged edit, in order', async () => {
    const { log, content } = await EditLog.open(folder);
    expect(content).toMatchObject({ snapshotRevision: 0, rows: [], records: [], tornBytes: 0, setAside: [] });
    const records = Array.from({ length: 200 }, (_, index) => record(index + 1));
    await Promise.all(records.map((one) => log.append(one)));
    await log.close();
    expect((await contentOf(folder)).records).toEqual(records);
  });

  it('keeps its files from other users', async () => {
    const { log } = await EditLog.open(join(folder, 'state'));
    await log.append(record(1));
    await log.close();
    const handle = await open(join(folder, 'state', 'api-0000000001.log'));
    expect((await handle.stat()).mode & 0o777).toBe(0o600);
    await handle.close();
    const state = await open(join(folder, 'state'));
    expect((await state.stat()).mode & 0o777).toBe(0o700);
    await state.close();
  });

  it('refuses after close', async () => {
    const { log } = await EditLog.open(folder);
    await log.close();
    await log.close();
    await expect(log.append(record(1))).rejects.toMatchObject({ code: 'ERR_MW_CLOSED' });
  });
});

describe('a crash', () => {
  it('at any byte leaves a prefix of the edits, and appending goes on from there', async () => {
    const { log } = await EditLog.open(folder);
    const records = [1, 2, 3, 4].map(record);
    const ends = [0];
    const file = join(folder, 'api-0000000001.log');
    for (const one of records) {
      await log.append(one);
      ends.push((await readFile(file)).length);
    }
    await log.close();
    const whole = await readFile(file);
    for (let cut = 0; cut <= whole.length; cut++) {
      const torn = await mkdtemp(join(tmpdir(), 'mw-log-torn-'));
      await writeFile(join(torn, 'api-0000000001.log'), whole.subarray(0, cut));
      const { log: again, content } = await EditLog.open(torn);
      const kept = ends.filter((end) => end > 0 && end <= cut).length;
      expect(content.records, `cut at ${cut}`).toEqual(records.slice(0, kept));
      expect(content.tornBytes).toBe(cut - ends[kept]!);
      expect(content.setAside).toEqual([]);
      await again.append(record(99));
      await again.close();
      expect((await contentOf(torn)).records.at(-1)).toEqual(record(99));
      await rm(torn, { recursive: true });
    }
  });

  it('with a flipped bit anywhere never invents an edit', async () => {
    const { log } = await EditLog.open(folder);
    const records = [1, 2, 3].map(record);
    const ends: number[] = [];
    for (const one of records) {
      await log.append(one);
      ends.push((await readFile(join(folder, 'api-0000000001.log'))).length);
    }
    await log.close();
    const whole = await readFile(join(folder, 'api-0000000001.log'));
    for (let at = 0; at < whole.length; at++) {
      const spoilt = await mkdtemp(join(tmpdir(), 'mw-log-flip-'));
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 1 << (at % 8);
      await writeFile(join(spoilt, 'api-0000000001.log'), bytes);
      const content = await contentOf(spoilt);
      expect(content.records.length).toBeLessThan(3);
      expect(content.records).toEqual(records.slice(0, content.records.length));
      // What stood behind the break is kept for people; without a good record behind it, it is a torn tail.
      const torn = content.records.length === 2 || at === ends[1]! - 1;
      expect(content.setAside).toHaveLength(torn ? 0 : 1);
      if (!torn) expect(await readFile(content.setAside[0]!)).toEqual(bytes);
      await rm(spoilt, { recursive: true });
    }
  });

  it('of a process that had begun a new segment cuts the torn one and keeps the later apart', async () => {
    for (const one of [1, 2]) {
      const { log } = await EditLog.open(folder);
      await log.append(record(one));
      await log.close();
    }
    await truncate(join(folder, 'api-0000000001.log'), 20);
    const content = await contentOf(folder);
    expect(content.records).toEqual([]);
    expect(content.setAside).toEqual([join(folder, 'api-0000000002.log.damaged')]);
  });
});

describe('restarts', () => {
  it('without an edit leave no file behind', async () => {
    for (let round = 0; round < 5; round++) await contentOf(folder);
    expect(await segments(folder)).toHaveLength(1);
    const { log } = await EditLog.open(folder);
    await log.append(record(1));
    await log.close();
    for (let round = 0; round < 5; round++) expect((await contentOf(folder)).records).toEqual([record(1)]);
    expect(await segments(folder)).toHaveLength(2);
  });
});

describe('compaction', () => {
  const rows = (revision: number): unknown[] => Array.from({ length: revision }, (_, index) => ({ port: `p${index}` }));

  it('replaces the edits by a snapshot while edits go on', async () => {
    const { log } = await EditLog.open(folder);
    for (let revision = 1; revision <= 10; revision++) await log.append(record(revision));
    const compaction = log.compact(10, rows(10));
    await Promise.all([log.append(record(11)), log.append(record(12)), compaction]);
    await log.append(record(13));
    await log.close();
    const content = await contentOf(folder);
    expect(content.snapshotRevision).toBe(10);
    expect(content.rows).toEqual(rows(10));
    expect(content.records.map((one) => one.revision)).toEqual([11, 12, 13]);
  });

  it('drops every segment that the snapshot covers', async () => {
    for (let round = 0; round < 3; round++) await contentOf(folder);
    const { log } = await EditLog.open(folder);
    for (let revision = 1; revision <= 10; revision++) await log.append(record(revision));
    expect(log.pendingBytes).toBeGreaterThan(0);
    await log.compact(10, rows(10));
    expect(log.pendingBytes).toBe(0);
    expect(await segments(folder)).toHaveLength(1);
    await log.compact(10, rows(10));
    expect(await segments(folder)).toHaveLength(1);
    await log.close();
    expect((await contentOf(folder)).rows).toEqual(rows(10));
  });

  it('under a stream of edits loses none and leaves no heap of segments', async () => {
    const { log } = await EditLog.open(folder);
    let acknowledged = 0;
    for (let revision = 1; revision <= 60; revision += 3) {
      const edits = [0, 1, 2].map((step) => log.append(record(revision + step)));
      await edits[0];
      await Promise.all([log.compact(revision, rows(revision)), ...edits]);
      acknowledged = revision + 2;
    }
    await log.close();
    expect((await segments(folder)).length).toBeLessThan(4);
    const content = await contentOf(folder);
    expect(content.snapshotRevision + content.records.length).toBe(acknowledged);
    expect(content.records.at(-1)?.revision).toBe(acknowledged);
  });

  it('interrupted at any step gives the same state', async () => {
    const { log } = await EditLog.open(folder);
    for (let revision = 1; revision <= 3; revision++) await log.append(record(revision));
    const before = await copy();
    await log.compact(3, rows(3));
    await log.append(record(4));
    await log.close();
    const snapshot = await readFile(join(folder, 'api.snapshot'));
    const newest = await readFile(join(folder, 'api-0000000002.log'));

    // The new segment exists and has an edit; the snapshot is half written, at every length.
    await writeFile(join(before, 'api-0000000002.log'), newest);
    for (let cut = 0; cut <= snapshot.length; cut++) {
      await writeFile(join(before, 'api.snapshot.tmp'), snapshot.subarray(0, cut));
      const content = await contentOf(before);
      expect(content.snapshotRevision).toBe(0);
      expect(content.records.map((one) => one.revision)).toEqual([1, 2, 3, 4]);
      expect(await readdir(before)).not.toContain('api.snapshot.tmp');
    }
    // The snapshot has its name; the old segment is still there: nothing is applied twice.
    await writeFile(join(before, 'api.snapshot.tmp'), snapshot);
    await rename(join(before, 'api.snapshot.tmp'), join(before, 'api.snapshot'));
    const content = await contentOf(before);
    expect(content.snapshotRevision).toBe(3);
    expect(content.rows).toEqual(rows(3));
    expect(content.records.map((one) => one.revision)).toEqual([4]);
    await rm(before, { recursive: true });
  });

  it('damaged on the disk is an error with a remedy, at whatever byte', async () => {
    const { log } = await EditLog.open(folder);
    await log.compact(7, rows(2));
    await log.close();
    const file = join(folder, 'api.snapshot');
    const whole = await readFile(file);
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x02;
      await writeFile(file, bytes);
      await expect(EditLog.open(folder), `byte ${at}`).rejects.toMatchObject({
        code: 'ERR_MW_STATE',
        hint: expect.stringContaining('mv '),
      });
    }
    await writeFile(file, whole);
    await appendFile(file, 'x');
    await expect(EditLog.open(folder)).rejects.toMatchObject({ code: 'ERR_MW_STATE' });
  });
});
