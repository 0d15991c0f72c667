/**
 * The durable half of the API source: a log of edits that survives a crash.
 *
 * A folder holds one snapshot and the segments written since:
 *
 *     api.snapshot            mapwire-api-snapshot 1 <revision>, then rows, then a line with count and checksum
 *     api-0000000001.log      one edit a line: <crc32 in 8 hex digits> <JSON>
 *
 * An edit is acknowledged after fdatasync; edits that arrive while a sync is under way share the next one (group
 * commit). Compaction starts a new segment first, so that edits go on while the snapshot is written beside them;
 * the snapshot takes its name by an atomic rename, then the older segments go. Reading back yields the snapshot and the
 * longest unbroken run of edits after it: a torn tail, which nobody was told of, is cut off.
 */

import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { MapwireError } from '../errors.ts';

/** One acknowledged change, whole or not at all. */
export interface LogRecord {
  /** Rising, unique: the table's revision that this change makes. */
  readonly revision: number;
  /** JSON values, meaningless to the log. */
  readonly edits: readonly unknown[];
}

/** What a folder holds. */
export interface LogContent {
  /** Revision of the snapshot; 0 without one. */
  readonly snapshotRevision: number;
  /** The snapshot's rows, JSON values. */
  readonly rows: readonly unknown[];
  /** Edits after the snapshot, in order. */
  readonly records: readonly LogRecord[];
  /** Unacknowledged bytes cut off the end. */
  readonly tornBytes: number;
  /** Files set aside because something other than the end was damaged; empty when all is well. */
  readonly setAside: readonly string[];
}

export interface EditLogOptions {
  /** Told when appending becomes impossible for good (the disk lied). */
  readonly onFailure?: (error: MapwireError) => void;
}

const SNAPSHOT = 'api.snapshot';
const SNAPSHOT_TMP = 'api.snapshot.tmp';
const SNAPSHOT_MAGIC = 'mapwire-api-snapshot 1';
const SEGMENT = /^api-(\d{10})\.log$/;

const segmentName = (number: number): string => `api-${String(number).padStart(10, '0')}.log`;
const hex = (crc: number): string => crc.toString(16).padStart(8, '0');

/** The bytes of one record, newline included. */
function encodeRecord(record: LogRecord): Buffer {
  const json = JSON.stringify(record);
  return Buffer.from(`${hex(crc32(json))} ${json}\n`);
}

function decodeRecord(line: Buffer): LogRecord | undefined {
  if (line.length < 10 || line[8] !== 0x20) return undefined;
  const json = line.subarray(9);
  if (line.toString('latin1', 0, 8) !== hex(crc32(json))) return undefined;
  try {
    const value = JSON.parse(json.toString('utf8')) as LogRecord;
    return Number.isSafeInteger(value.revision) && Array.isArray(value.edits) ? value : undefined;
  } catch {
    return undefined;
  }
}

interface SegmentContent {
  readonly records: LogRecord[];
  /** Revision of the last good record, also of one that the snapshot covers; 0: none. */
  readonly lastRevision: number;
  /** Bytes up to the end of the last good record. */
  readonly good: number;
  readonly size: number;
  /** A good record stands behind a bad one: not a torn tail. */
  readonly damaged: boolean;
}

/** Splits a segment into its records: those up to the first bad one count. */
export function decodeSegment(bytes: Buffer, after: number): SegmentContent {
  const records: LogRecord[] = [];
  let last = after;
  let lastRevision = 0;
  let good = 0;
  let broken = false;
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at);
    const record = end < 0 ? undefined : decodeRecord(bytes.subarray(at, end));
    if (broken) {
      if (record !== undefined) return { records, lastRevision, good, size: bytes.length, damaged: true };
    } else if (record === undefined) {
      broken = true;
    } else {
      // Revisions at or below the snapshot's are left over from a compaction that was interrupted.
      if (record.revision > last) {
        records.push(record);
        last = record.revision;
      }
      lastRevision = record.revision;
      good = end + 1;
    }
    if (end < 0) break;
    at = end + 1;
  }
  return { records, lastRevision, good, size: bytes.length, damaged: false };
}

function damagedSnapshot(path: string, why: string): MapwireError {
  return new MapwireError('ERR_MW_STATE', `'${path}' is damaged: ${why}`, {
    hint: `restore it from a backup, or move it away to start without the ports that came through the API: mv '${path}' '${path}.damaged'`,
    details: { path },
  });
}

async function readSnapshot(path: string): Promise<{ revision: number; rows: unknown[] } | undefined> {
  const rows: unknown[] = [];
  let revision = -1;
  let crc = 0;
  let tail: string | undefined;
  let rest: Buffer = Buffer.alloc(0);
  const take = (line: Buffer): void => {
    if (tail !== undefined) throw damagedSnapshot(path, 'something stands behind its last line');
    const text = line.toString('utf8');
    if (revision < 0) {
      const [, number] = /^mapwire-api-snapshot 1 (\d{1,16})$/.exec(text) ?? [];
      if (number === undefined) throw damagedSnapshot(path, 'the first line is not a snapshot header of this version');
      revision = Number(number);
    } else if (text.startsWith('end ')) {
      tail = text;
      return;
    } else {
      try {
        rows.push(JSON.parse(text));
      } catch {
        throw damagedSnapshot(path, `row ${rows.length + 1} is not JSON`);
      }
    }
    crc = crc32('\n', crc32(line, crc));
  };
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
      let bytes: Buffer = rest.length > 0 ? Buffer.concat([rest, chunk as Buffer]) : (chunk as Buffer);
      for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a)) {
        take(bytes.subarray(0, end));
        bytes = bytes.subarray(end + 1);
      }
      rest = bytes;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (tail !== `end ${rows.length} ${hex(crc)}` || rest.length > 0)
    throw damagedSnapshot(path, 'its checksum does not hold');
  return { revision, rows };
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function segmentNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names
    .flatMap((name) => SEGMENT.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/**
 * Reads a log folder back and mends it: what was not acknowledged is cut off, what is damaged is set aside.
 *
 * @throws ERR_MW_STATE when the snapshot is damaged.
 */
async function recover(folder: string): Promise<LogContent & { readonly segments: readonly Segment[] }> {
  await rm(join(folder, SNAPSHOT_TMP), { force: true });
  const snapshot = await readSnapshot(join(folder, SNAPSHOT));
  const snapshotRevision = snapshot?.revision ?? 0;
  const records: LogRecord[] = [];
  const setAside: string[] = [];
  const segments: Segment[] = [];
  let tornBytes = 0;
  let broken = false;
  for (const number of await segmentNumbers(folder)) {
    const path = join(folder, segmentName(number));
    if (broken) {
      // What follows a break cannot be applied: it may build on what was lost.
      await rename(path, `${path}.damaged`);
      setAside.push(`${path}.damaged`);
      continue;
    }
    const bytes = await readFile(path);
    const content = decodeSegment(bytes, records.at(-1)?.revision ?? snapshotRevision);
    records.push(...content.records);
    segments.push({ number, bytes: content.good, revision: content.lastRevision });
    if (content.good === content.size) continue;
    broken = true;
    if (content.damaged) {
      const aside = await open(`${path}.damaged`, 'w', 0o600);
      await aside.writeFile(bytes);
      await aside.close();
      setAside.push(`${path}.damaged`);
    }
    tornBytes = content.size - content.good;
    await truncate(path, content.good);
    const handle = await open(path, 'r+');
    await handle.sync();
    await handle.close();
  }
  // A daemon that is started again and again, with no edit between, must not leave a file each time.
  const kept = segments.filter(({ bytes }) => bytes > 0);
  for (const one of segments) {
    if (!kept.includes(one)) await rm(join(folder, segmentName(one.number)), { force: true });
  }
  await syncFolder(folder);
  return { snapshotRevision, rows: snapshot?.rows ?? [], records, tornBytes, setAside, segments: kept };
}

interface Waiting {
  readonly bytes: Buffer;
  readonly revision: number;
  readonly done: () => void;
  readonly failed: (error: MapwireError) => void;
}

interface Segment {
  readonly number: number;
  /** Bytes known to be whole and on the disk. */
  bytes: number;
  /** Of its last record; a snapshot at or above it covers the segment. */
  revision: number;
}

/** The open log. One writer at a time: the daemon holds the lock of its folders. */
export class EditLog {
  readonly #folder: string;
  readonly #onFailure: ((error: MapwireError) => void) | undefined;
  /** Segments that the snapshot does not cover; the last one is written to. */
  #segments: Segment[];
  #handle: FileHandle;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;
  #rotate: (() => void) | undefined;
  #compacting = false;
  #failure: MapwireError | undefined;
  #closed = false;

  private constructor(folder: string, segments: Segment[], handle: FileHandle, options: EditLogOptions) {
    this.#folder = folder;
    this.#segments = segments;
    this.#handle = handle;
    this.#onFailure = options.onFailure;
  }

  /**
   * Opens the log in `folder` (made with mode 0700 when absent) and gives what it holds.
   *
   * @throws ERR_MW_STATE when the snapshot is damaged; system errors of the file system.
   */
  static async open(folder: string, options: EditLogOptions = {}): Promise<{ log: EditLog; content: LogContent }> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const { segments, ...content } = await recover(folder);
    // Always a fresh segment: no doubt about what an earlier process left in the page cache.
    const next: Segment = { number: (segments.at(-1)?.number ?? 0) + 1, bytes: 0, revision: 0 };
    const handle = await open(join(folder, segmentName(next.number)), 'ax', 0o600);
    await syncFolder(folder);
    return { log: new EditLog(folder, [...segments, next], handle, options), content };
  }

  /** Bytes that a restart has to read beside the snapshot: grows with appends, falls with `compact`. */
  get pendingBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** Files that a restart has to read beside the snapshot, the one that is written to included. */
  get pendingSegments(): number {
    return this.#segments.length;
  }

  /**
   * Appends one change; resolves when it is on the disk. Changes appended in one turn share a sync.
   *
   * @throws ERR_MW_STATE when the disk refuses; the change is then not in the log.
   */
  append(record: LogRecord): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closed) return Promise.reject(new MapwireError('ERR_MW_CLOSED', 'the edit log is closed'));
    return new Promise((done, failed) => {
      this.#waiting.push({ bytes: encodeRecord(record), revision: record.revision, done, failed });
      this.#kick();
    });
  }

  #kick(): void {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
      if (this.#waiting.length > 0 || this.#rotate !== undefined) this.#kick();
    });
  }

  async #flush(): Promise<void> {
    // One turn of the event loop, so that requests that came together go to the disk together.
    await new Promise((resolve) => setImmediate(resolve));
    const batch = this.#waiting;
    this.#waiting = [];
    if (batch.length > 0) await this.#write(batch);
    const rotate = this.#rotate;
    this.#rotate = undefined;
    rotate?.();
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    if (this.#failure !== undefined) {
      for (const one of batch) one.failed(this.#failure);
      return;
    }
    const bytes = Buffer.concat(batch.map((one) => one.bytes));
    try {
      await this.#handle.appendFile(bytes);
    } catch (cause) {
      await this.#undo(batch, cause);
      return;
    }
    try {
      await this.#handle.datasync();
    } catch (cause) {
      // After a failed sync the kernel may have dropped the pages: nothing about this file is certain any more.
      this.#fail(cause);
      for (const one of batch) one.failed(this.#failure as unknown as MapwireError);
      return;
    }
    const segment = this.#current;
    segment.bytes += bytes.length;
    for (const one of batch) {
      segment.revision = one.revision;
      one.done();
    }
  }

  get #current(): Segment {
    return this.#segments.at(-1) as Segment;
  }

  /** Takes a half-written batch (a full disk) back out, so that later appends do not stand behind a torn line. */
  async #undo(batch: readonly Waiting[], cause: unknown): Promise<void> {
    try {
      await this.#handle.truncate(this.#current.bytes);
    } catch (second) {
      this.#fail(second);
    }
    const error = this.#failure ?? this.#refusal(cause);
    for (const one of batch) one.failed(error);
  }

  #refusal(cause: unknown): MapwireError {
    const path = join(this.#folder, segmentName(this.#current.number));
    return new MapwireError('ERR_MW_STATE', `cannot write '${path}': ${(cause as Error).message}`, {
      hint: 'make room on the file system of state-dir; nothing of this change was applied',
      cause,
      details: { path },
    });
  }

  #fail(cause: unknown): void {
    this.#failure = new MapwireError('ERR_MW_STATE', `the edit log failed: ${(cause as Error).message}`, {
      hint: 'check the disk of state-dir, then restart the daemon; edits are refused until then, forwarding goes on',
      cause,
      details: { path: this.#folder },
    });
    this.#onFailure?.(this.#failure);
  }

  /**
   * Writes a snapshot of `rows`, the state at `revision`, and drops the segments that it covers. Appends go on
   * meanwhile. Does nothing when one is under way.
   *
   * @throws ERR_MW_STATE when the disk refuses; nothing is lost.
   */
  async compact(revision: number, rows: Iterable<unknown>): Promise<void> {
    if (this.#compacting || this.#closed || this.#failure !== undefined) return;
    this.#compacting = true;
    try {
      await this.#startSegment();
      await this.#writeSnapshot(revision, rows);
      const current = this.#current;
      // A segment with an edit that came after the state was taken stays until the next time.
      const covered = this.#segments.filter((one) => one !== current && one.revision <= revision);
      for (const { number } of covered) await rm(join(this.#folder, segmentName(number)), { force: true });
      this.#segments = this.#segments.filter((one) => !covered.includes(one));
    } catch (error) {
      throw error instanceof MapwireError ? error : this.#refusal(error);
    } finally {
      this.#compacting = false;
    }
  }

  /** Moves appends to a new segment, between two flushes. */
  async #startSegment(): Promise<void> {
    const next: Segment = { number: this.#current.number + 1, bytes: 0, revision: 0 };
    const handle = await open(join(this.#folder, segmentName(next.number)), 'ax', 0o600);
    await syncFolder(this.#folder);
    const old = await new Promise<FileHandle>((resolve) => {
      this.#rotate = () => {
        const was = this.#handle;
        this.#segments.push(next);
        this.#handle = handle;
        resolve(was);
      };
      this.#kick();
    });
    await old.close();
  }

  async #writeSnapshot(revision: number, rows: Iterable<unknown>): Promise<void> {
    const temporary = join(this.#folder, SNAPSHOT_TMP);
    const handle = await open(temporary, 'w', 0o600);
    try {
      let crc = 0;
      let count = 0;
      let chunk = `${SNAPSHOT_MAGIC} ${revision}\n`;
      const put = async (): Promise<void> => {
        crc = crc32(chunk, crc);
        await handle.appendFile(chunk);
        chunk = '';
      };
      for (const row of rows) {
        chunk += `${JSON.stringify(row)}\n`;
        count += 1;
        if (chunk.length >= 1 << 18) await put();
      }
      await put();
      await handle.appendFile(`end ${count} ${hex(crc)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, join(this.#folder, SNAPSHOT));
    await syncFolder(this.#folder);
  }

  /** Waits for what was appended, then closes the files. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#flushing !== undefined) await this.#flushing;
    await this.#handle.close();
  }
}
