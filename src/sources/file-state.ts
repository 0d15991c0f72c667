/** What a table's file or folder looks like from outside: enough to see that something changed, without reading it. */

import { type BigIntStats, lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type FileStamp, sameStamp } from '../table/byte-source.ts';
import { HOLD_FILE, listFolder } from '../table/read-file.ts';
import { atOnce, type Steps } from '../table/steps.ts';

/** Files looked at between two pauses. */
const FILES_A_STEP = 64;

export interface FileState {
  readonly kind: 'file' | 'folder' | 'missing';
  /** Files to read, by path, in their order; undefined: it is there but cannot be looked at. */
  readonly files: ReadonlyMap<string, FileStamp | undefined>;
  readonly ignored: readonly string[];
  readonly held: boolean;
  /** Folders in which a change can make another state, and the names in each that it can be of; undefined: any name. */
  readonly folders: WatchedNames;
}

export type WatchedNames = ReadonlyMap<string, ReadonlySet<string> | undefined>;

export function stampOf(path: string): FileStamp | undefined {
  try {
    return stampFrom(statSync(path, { bigint: true }));
  } catch {
    return undefined;
  }
}

function stampFrom({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileStamp {
  return { device: dev, inode: ino, size, modified: mtimeNs, changed: ctimeNs };
}

/** The folders on whose entries the meaning of a path depends, and which entries: its own, and that of each symbolic link on the way. */
export function foldersOf(path: string): Map<string, Set<string>> {
  const folders = new Map<string, Set<string>>();
  let at = resolve(path);
  for (let links = 0; links < 40; links++) {
    addEntry(folders, at);
    const next = firstLink(at);
    if (next === undefined) break;
    addEntry(folders, next.link);
    at = next.target;
  }
  return folders;
}

/** The folder that a path is in, or the nearest one above it that exists, with what is looked for there. */
function addEntry(folders: Map<string, Set<string>>, path: string): void {
  let [folder, name] = [dirname(path), basename(path)];
  while (!statSync(folder, { throwIfNoEntry: false })?.isDirectory() && folder !== dirname(folder)) {
    [folder, name] = [dirname(folder), basename(folder)];
  }
  const names = folders.get(folder);
  if (names === undefined) folders.set(folder, new Set([name]));
  else names.add(name);
}

/** The first symbolic link among the folders and the file of a path, and the path with it followed. */
function firstLink(path: string): { link: string; target: string } | undefined {
  const parts = path.split('/').slice(1);
  let at = '/';
  for (let i = 0; i < parts.length; i++) {
    at = join(at, parts[i]!);
    try {
      if (!lstatSync(at).isSymbolicLink()) continue;
      const target = resolve(dirname(at), readlinkSync(at), ...parts.slice(i + 1));
      return { link: at, target };
    } catch {
      return undefined;
    }
  }
  return undefined;
}

export function lookAt(path: string): FileState {
  return atOnce(lookSteps(path));
}

/** `lookAt` with pauses: there may be thousands of files. */
export function* lookSteps(path: string): Steps<FileState> {
  const folders: Map<string, Set<string> | undefined> = foldersOf(path);
  let isFolder = false;
  try {
    const stat = statSync(path);
    isFolder = stat.isDirectory();
  } catch {
    return missing(path, folders);
  }
  if (!isFolder) {
    const files = new Map([[path, stampOf(path)]]);
    return { kind: 'file', files, ignored: [], held: isHeld(dirname(path)), folders: withHold(path, folders) };
  }
  const files = new Map<string, FileStamp | undefined>();
  const { names, ignored, held } = listFolder(path);
  for (const name of names) {
    const file = join(path, name);
    // Every look is at all of them: one question each.
    const own = lstatSync(file, { bigint: true, throwIfNoEntry: false });
    const isLink = own?.isSymbolicLink() === true;
    files.set(file, own === undefined || isLink ? stampOf(file) : stampFrom(own));
    if (isLink) {
      for (const [at, entries] of foldersOf(file)) folders.set(at, new Set([...(folders.get(at) ?? []), ...entries]));
    }
    if (files.size % FILES_A_STEP === 0) yield;
  }
  folders.set(realpathSync(path), undefined);
  return { kind: 'folder', files, ignored, held, folders };
}

function missing(path: string, folders: WatchedNames): FileState {
  return {
    kind: 'missing',
    files: new Map(),
    ignored: [],
    held: isHeld(dirname(path)),
    folders: withHold(path, folders),
  };
}

/** A hold lies beside a table that is a file. */
function withHold(path: string, folders: WatchedNames): WatchedNames {
  const beside = dirname(resolve(path));
  const names = folders.get(beside);
  return names === undefined ? folders : new Map([...folders, [beside, new Set([...names, HOLD_FILE])]]);
}

function isHeld(folder: string): boolean {
  return statSync(join(folder, HOLD_FILE), { throwIfNoEntry: false }) !== undefined;
}

export function sameStamps(a: FileStamp | undefined, b: FileStamp | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return sameStamp(a, b);
}

export function sameState(a: FileState, b: FileState): boolean {
  if (a.kind !== b.kind || a.held !== b.held || a.files.size !== b.files.size) return false;
  if (a.ignored.join('/') !== b.ignored.join('/')) return false;
  for (const [path, stamp] of a.files) {
    if (!b.files.has(path) || !sameStamps(stamp, b.files.get(path))) return false;
  }
  return true;
}

/** Milliseconds since anything of it was changed. */
export function ageOf(state: FileState): number {
  let newest = 0n;
  for (const stamp of state.files.values()) {
    if (stamp === undefined) continue;
    if (stamp.changed > newest) newest = stamp.changed;
  }
  return Date.now() - Number(newest / 1_000_000n);
}
