/** What the kernel tells of a table's folder: enough to look at a few files and not at all of them. */

import { lstatSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { FileStamp } from '../table/byte-source.ts';
import { formatOfName, HOLD_FILE } from '../table/read-file.ts';
import { type FileState, stampOf } from './file-state.ts';

export class FolderEvents {
  /** Paths told of since the last look. */
  #fresh = new Set<string>();
  /** Paths told of since the last verdict: true when they were written to in their place. */
  readonly #since = new Map<string, boolean>();
  #all = true;

  /** @param type `change`: content or attributes; `rename`: it came, went, or took another's place */
  note(folder: string, type: string, name: string | null): void {
    if (name === null) {
      this.#all = true;
      return;
    }
    const path = join(folder, name);
    this.#fresh.add(path);
    this.#since.set(path, (this.#since.get(path) ?? false) || type !== 'rename');
  }

  /** The next look has to be at everything. */
  lookAtAll(): void {
    this.#all = true;
  }

  looked(): void {
    this.#fresh.clear();
    this.#all = false;
  }

  judged(): void {
    this.#since.clear();
  }

  /**
   * The state of a folder, given what it was before: only files that were told of are looked at. Undefined when that is not enough: a
   * name that was not there, a hold, a symbolic link.
   */
  few(path: string, before: FileState): FileState | undefined {
    if (this.#all || before.kind !== 'folder') return undefined;
    // Nothing is read before the hold goes, and that is a look at everything.
    if (before.held) return this.#fresh.has(join(path, HOLD_FILE)) ? undefined : before;
    let files: Map<string, FileStamp | undefined> | undefined;
    for (const told of this.#fresh) {
      const name = basename(told);
      if (told !== join(path, name)) return undefined;
      if (name === HOLD_FILE) return undefined;
      // Hidden names are passed over.
      if (name.startsWith('.')) continue;
      if (!before.files.has(told)) return undefined;
      if (!isFile(told)) return undefined;
      files ??= new Map(before.files);
      files.set(told, stampOf(told));
    }
    return files === undefined ? before : { ...before, files };
  }

  /**
   * True when all that was told of since the last verdict took the place of something by a rename, or gave its place up: no file is being
   * written. One that is made in its place is told of by its first write at the latest; before that it is empty, which no table is.
   */
  onlyReplaced(): boolean {
    let visible = false;
    for (const [path, written] of this.#since) {
      const name = basename(path);
      // Where files are written before they are renamed.
      if (name.startsWith('.') || formatOfName(name) === undefined) continue;
      if (written) return false;
      visible = true;
    }
    return visible;
  }
}

/** A regular file, and no link to one. */
function isFile(path: string): boolean {
  try {
    return lstatSync(path).isFile();
  } catch {
    return false;
  }
}
