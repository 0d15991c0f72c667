/**
 * A table from a file or a folder of files, followed as it changes: written in place, replaced by rename, replaced
 * through symbolic links (as Kubernetes does it), deleted and made again, a file that becomes a folder and back. What
 * changes is read when it has been the same for 50 ms; files that did not change are not read again. What is bad or gone
 * is told, and what was good before stays in force.
 */

import { type FSWatcher, statSync, watch } from 'node:fs';
import { basename } from 'node:path';
import { MapwireError } from '../errors.ts';
import { pacer } from '../pace.ts';
import { assertTrustedFile } from '../safe-file.ts';
import type { FileStamp } from '../table/byte-source.ts';
import type { TableFile } from '../table/document.ts';
import type { TableEdit } from '../table/edit.ts';
import { systemMessage, tableFileSteps, warnOfIgnored } from '../table/read-file.ts';
import { atOnce, inSteps, type Steps } from '../table/steps.ts';
import {
  ageOf,
  type FileState,
  lookAt,
  lookSteps,
  sameStamps,
  sameState,
  stampOf,
  type WatchedNames,
} from './file-state.ts';
import { FolderEvents } from './folder-events.ts';
import type { MappingSource, Offer, SourceSink, Verdict } from './source.ts';

export interface FileSourceOptions {
  /** Milliseconds for which files must be the same before they are read (50). */
  readonly settle?: number;
  /** The same for files that took the place of others by a rename: they are whole (20). */
  readonly settleRenamed?: number;
  /** Milliseconds between looks without an event, for file systems that give none (2000). */
  readonly poll?: number;
  /** Ask the kernel for events (true). */
  readonly watch?: boolean;
  /** Refuse files that others than root can change, when this process is root (true). */
  readonly trusted?: boolean;
}

/** Of a look at everything without an event; nothing waits for it. */
const POLL_SLICE_MS = 2;

/** A watch is of a folder that may have been replaced by another of the same name. */
interface Watched {
  readonly watcher: FSWatcher;
  readonly inode: bigint | undefined;
  /** Of the entries that matter; undefined: all. */
  names: ReadonlySet<string> | undefined;
}

/** A file of which the content is in force, or was offered. */
interface KnownFile {
  readonly file: TableFile;
  readonly stamp: FileStamp | undefined;
}

/** The owner of the records of a file or folder. */
export function fileSourceName(path: string): string {
  return `file:${path}`;
}

export class FileSource implements MappingSource {
  readonly name: string;
  readonly #path: string;
  readonly #settle: number;
  readonly #settleRenamed: number;
  readonly #poll: number;
  readonly #trusted: boolean;
  readonly #watching: boolean;
  readonly #watchers = new Map<string, Watched>();
  #sink: SourceSink | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pollTimer: NodeJS.Timeout | undefined;
  /** The files whose content is in force. */
  #inForce: ReadonlyMap<string, KnownFile> = new Map();
  /** The state for which the last verdict holds. */
  #judged: FileState | undefined;
  /** The state that must last before it is read. */
  #candidate: FileState | undefined;
  #heldTold = false;
  /** An offer is being read. */
  #reading = false;
  /** A look at all is under way, in steps. */
  #polling = false;
  /** Events came, and the look at what they are of is to come. */
  #noted = false;
  /** What the last look saw. */
  #seen: FileState | undefined;
  /** What the kernel told since: which files of the folder, and whether they were written to. */
  #events = new FolderEvents();

  constructor(path: string, options: FileSourceOptions = {}) {
    this.#path = path;
    this.name = fileSourceName(path);
    this.#settle = options.settle ?? 50;
    this.#settleRenamed = Math.min(this.#settle, options.settleRenamed ?? 20);
    this.#poll = options.poll ?? 2000;
    this.#trusted = options.trusted ?? true;
    this.#watching = options.watch ?? true;
  }

  /** The file or folder. */
  get path(): string {
    return this.#path;
  }

  /** The files whose content is in force, as they were when they were read. */
  filesInForce(): { readonly path: string; readonly stamp: FileStamp }[] {
    const files: { path: string; stamp: FileStamp }[] = [];
    for (const [path, { stamp }] of this.#inForce) if (stamp !== undefined) files.push({ path, stamp });
    return files;
  }

  /** What an earlier process had read: only what is other than that is read. Before `start`. */
  resume(files: readonly { readonly path: string; readonly stamp: FileStamp; readonly file: TableFile }[]): void {
    this.#inForce = new Map(files.map(({ path, stamp, file }) => [path, { file, stamp }]));
  }

  #isInForce(state: FileState): boolean {
    const known = this.#inForce;
    if (known.size === 0 || known.size !== state.files.size) return false;
    for (const [path, { stamp }] of known) {
      if (!state.files.has(path) || !sameStamps(stamp, state.files.get(path))) return false;
    }
    return true;
  }

  async start(sink: SourceSink): Promise<void> {
    this.#sink = sink;
    const state = this.#look();
    if (!state.held && this.#isInForce(state)) this.#judged = state;
    else await this.#begin(state);
    this.#pollTimer = setInterval(() => void this.#lookInSteps(), this.#poll);
    this.#pollTimer.unref();
  }

  async #begin(state: FileState): Promise<void> {
    if (!state.held && ageOf(state) > this.#settle) await this.#read(state);
    else this.#consider(state);
  }

  async close(): Promise<void> {
    this.#sink = undefined;
    clearTimeout(this.#timer);
    clearInterval(this.#pollTimer);
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Looks now and does not wait for an event (as on SIGHUP). What is bad is read again. */
  rescan(): void {
    this.#judged = undefined;
    this.#events.lookAtAll();
    this.#check();
  }

  #look(): FileState {
    const few = this.#seen && this.#events.few(this.#path, this.#seen);
    this.#seen = few ?? this.#lookAtAll();
    this.#events.looked();
    return this.#seen;
  }

  #lookAtAll(): FileState {
    // Watching begins before looking: what happens in between is an event.
    let state = this.#lookOnce();
    while (this.#watch(state.folders)) state = this.#lookOnce();
    return state;
  }

  #lookOnce(): FileState {
    try {
      return lookAt(this.#path);
    } catch {
      // It changed under our eyes, or may not be looked at: reading will tell.
      return { kind: 'missing', files: new Map(), ignored: [], held: false, folders: new Map() };
    }
  }

  /** Without an event: looks at everything, in steps, and once more, in one go, where something is other than it was. */
  async #lookInSteps(): Promise<void> {
    if (this.#sink === undefined || this.#timer !== undefined || this.#reading || this.#polling) return;
    this.#polling = true;
    try {
      if (this.#isAsSeen(await inSteps(lookSteps(this.#path), pacer(POLL_SLICE_MS)))) return;
    } catch {
      // the look in one go copes with it
    } finally {
      this.#polling = false;
    }
    this.#events.lookAtAll();
    this.#check();
  }

  /** Is there nothing in this look that was not seen before, and judged or held? */
  #isAsSeen(state: FileState): boolean {
    const seen = this.#seen;
    if (seen === undefined || !sameState(seen, state) || this.#changedFolders(state.folders)) return false;
    if (state.held || this.#heldTold) return state.held === this.#heldTold;
    return this.#judged !== undefined && sameState(this.#judged, state);
  }

  /** Are these other folders than those that are watched? */
  #changedFolders(folders: WatchedNames): boolean {
    if (!this.#watching) return false;
    for (const [folder, { inode }] of this.#watchers)
      if (!folders.has(folder) || inodeOf(folder) !== inode) return true;
    for (const folder of folders.keys()) if (!this.#watchers.has(folder)) return true;
    return false;
  }

  /** Watches these folders and no others; true when one was added. */
  #watch(folders: WatchedNames): boolean {
    if (!this.#watching) return false;
    for (const [folder, watched] of this.#watchers) {
      if (folders.has(folder) && inodeOf(folder) === watched.inode) {
        watched.names = folders.get(folder);
        continue;
      }
      watched.watcher.close();
      this.#watchers.delete(folder);
    }
    let added = false;
    for (const [folder, names] of folders) {
      if (!this.#watchers.has(folder) && this.#watchFolder(folder, names)) added = true;
    }
    return added;
  }

  /** What came together is looked at once. */
  #checkSoon(): void {
    if (this.#noted) return;
    this.#noted = true;
    setImmediate(() => {
      this.#noted = false;
      this.#check();
    });
  }

  #watchFolder(folder: string, names: ReadonlySet<string> | undefined): boolean {
    try {
      const inode = inodeOf(folder);
      const watcher = watch(folder, { persistent: false }, (type, name) => {
        // What befalls the folder itself is told by its own name.
        const entries = this.#watchers.get(folder)?.names;
        if (name !== null && name !== basename(folder) && entries?.has(name) === false) return;
        this.#events.note(folder, type, name);
        this.#checkSoon();
      });
      // A folder that goes away, or no more watches: the next look finds out what is left.
      watcher.on('error', () => {
        watcher.close();
        if (this.#watchers.get(folder)?.watcher === watcher) this.#watchers.delete(folder);
        this.#events.lookAtAll();
      });
      this.#watchers.set(folder, { watcher, inode, names });
      return true;
    } catch {
      // Without a watch the poll finds changes.
      return false;
    }
  }

  #check(): void {
    if (this.#sink === undefined || this.#timer !== undefined || this.#reading) return;
    this.#consider(this.#look());
  }

  /** Waits until the state has lasted, unless it is the one that was judged. */
  #consider(state: FileState): void {
    if (state.held) {
      this.#candidate = undefined;
      if (!this.#heldTold) this.#sink?.report('held', []);
      this.#heldTold = true;
      return;
    }
    // What was in force, or refused, before the hold is offered again: then it is told anew.
    if (this.#heldTold) this.#judged = undefined;
    this.#heldTold = false;
    if (this.#judged !== undefined && sameState(this.#judged, state)) return;
    this.#candidate = state;
    const replaced = this.#watching && this.#events.onlyReplaced();
    this.#timer = setTimeout(() => this.#settled(), replaced ? this.#settleRenamed : this.#settle);
  }

  #settled(): void {
    this.#timer = undefined;
    if (this.#sink === undefined) return;
    const state = this.#look();
    const candidate = this.#candidate;
    if (state.held || candidate === undefined || !sameState(candidate, state)) {
      this.#consider(state);
      return;
    }
    void this.#read(state);
  }

  async #read(state: FileState): Promise<void> {
    this.#candidate = undefined;
    this.#judged = state;
    this.#events.judged();
    const offer = this.#offerOf(state);
    this.#reading = true;
    try {
      const verdict = await this.#sink!.offerSlowly(offer);
      if (verdict.state !== 'waiting') offer.settled(verdict);
    } catch (error) {
      // Nobody waits for a table any more.
      if (this.#sink !== undefined || !(error instanceof MapwireError) || error.code !== 'ERR_MW_CLOSED') throw error;
    } finally {
      this.#reading = false;
    }
    // What came while it was read.
    this.#check();
  }

  #offerOf(state: FileState): Offer & { settled(verdict: Verdict): void } {
    let offered: ReadonlyMap<string, KnownFile> = new Map();
    const feed = (edit: TableEdit) => this.#feed(edit, state);
    function* steps(edit: TableEdit): Steps<boolean> {
      const fed = yield* feed(edit);
      if (fed !== undefined) offered = fed;
      return fed !== undefined;
    }
    return {
      keep: true,
      feed: (edit) => {
        return atOnce(steps(edit));
      },
      steps,
      settled: (verdict) => {
        if (verdict.state === 'accepted') this.#inForce = offered;
        if (verdict.state !== 'unstable') return;
        this.#judged = undefined;
        this.#check();
      },
    };
  }

  /** Reads what is not in force; undefined when something changed meanwhile. */
  *#feed(edit: TableEdit, state: FileState): Steps<ReadonlyMap<string, KnownFile> | undefined> {
    const known = new Map<string, KnownFile>();
    if (state.kind === 'folder' && !this.#folder(edit, state)) return known;
    // A missing file is read like any: it says why it cannot be.
    const paths = state.kind === 'missing' ? [this.#path] : state.files.keys();
    const changed: string[] = [];
    for (const path of paths) {
      const before = this.#inForce.get(path);
      const stamp = state.files.get(path);
      if (before !== undefined && stamp !== undefined && sameStamps(before.stamp, stamp)) known.set(path, before);
      else changed.push(path);
    }
    // All that goes is said to go first: a record may have moved from one file to another.
    for (const [path, { file }] of this.#inForce) if (!known.has(path)) edit.removeFile(file);
    let stable = true;
    for (const path of changed) {
      const read = yield* tableFileSteps(edit, path, { source: this.name, trusted: this.#trusted });
      edit.whenOver(read.close);
      known.set(path, { file: read.file, stamp: read.stamp });
      // What cannot be opened has no stamp, and is told as it is.
      if (read.stamp !== undefined && !sameStamps(read.stamp, state.files.get(path))) stable = false;
    }
    if (!stable) return undefined;
    // Of files that the kernel tells of, those that were read are all that can have changed without a word of it.
    if (this.#watching && this.#seen === state && state.kind === 'folder') {
      return changed.every((path) => sameStamps(state.files.get(path), stampOf(path))) ? known : undefined;
    }
    return sameState(state, this.#lookOnce()) ? known : undefined;
  }

  /** What is to be said of a folder as a whole; false when its files must not be read. */
  #folder(edit: TableEdit, state: FileState): boolean {
    const refuse = (code: 'MW170' | 'MW173' | 'MW179', message: string, hint: string | undefined): false => {
      edit.replaceFile({ name: this.#path, source: this.name, rank: 0 });
      edit.mistakeAt(code, undefined, message, { hint });
      return false;
    };
    try {
      if (this.#trusted) assertTrustedFile(this.#path);
    } catch (error) {
      if (error instanceof MapwireError) return refuse('MW179', error.message, error.hint);
      const { message, hint } = systemMessage(error);
      return refuse('MW170', `the folder cannot be read: ${message}`, hint);
    }
    warnOfIgnored(edit, this.#path, state.ignored, this.name);
    if (state.files.size > 0) return true;
    return refuse(
      'MW173',
      'there is no table file in the folder',
      'names of table files end in .yaml, .yml, .json, .ndjson or .jsonl',
    );
  }
}

function inodeOf(folder: string): bigint | undefined {
  return statSync(folder, { bigint: true, throwIfNoEntry: false })?.ino;
}
