/** Files and folders of a table into an edit. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MapwireError } from '../errors.ts';
import { assertTrustedDescriptor } from '../safe-file.ts';
import {
  type ByteSource,
  bytesOf,
  type FileStamp,
  type OpenFile,
  openFile,
  sameStamp,
  wholeSteps,
} from './byte-source.ts';
import type { Document, RecordSink, TableFile } from './document.ts';
import type { TableEdit } from './edit.ts';
import { compareText } from './mistakes.ts';
import { jsonSteps } from './read-json.ts';
import { NdjsonDocument, ndjsonSteps } from './read-ndjson.ts';
import { yamlSteps } from './read-yaml.ts';
import { atOnce, type Steps } from './steps.ts';
import { TextPieces, textSteps } from './text-pieces.ts';

export type TableFormat = 'yaml' | 'json' | 'ndjson';

/** While a file of this name lies in a table's folder, nothing is read (it beside a table file holds that one). */
export const HOLD_FILE = '.mapwire-hold';

/** YAML and JSON are read whole; more than this belongs into NDJSON, which is not. */
export const MAX_WHOLE_BYTES = 64 * 1024 * 1024;

const EXTENSIONS: Readonly<Record<string, TableFormat>> = {
  yaml: 'yaml',
  yml: 'yaml',
  json: 'json',
  ndjson: 'ndjson',
  jsonl: 'ndjson',
};

/** The format that a file's name tells. */
export function formatOfName(name: string): TableFormat | undefined {
  const dot = name.lastIndexOf('.');
  return dot < 0 ? undefined : EXTENSIONS[name.slice(dot + 1).toLowerCase()];
}

/** NDJSON when the first line is a whole mapping and more follows, JSON when it opens one, else YAML. */
export function formatOfContent(source: ByteSource): TableFormat {
  const start = Buffer.alloc(4096);
  const text = start.toString('utf8', 0, source.read(start, start.length, 0)).trimStart();
  if (!text.startsWith('{')) return 'yaml';
  return /^\{[^\n]*\}[ \t\r]*\n\s*\{/.test(text) || /^\{\s*"mapwire"\s*:\s*\d+\s*\}\s*$/.test(text) ? 'ndjson' : 'json';
}

const NOWHERE: RecordSink = {
  record() {},
  plainPort: () => true,
  expect() {},
  remove() {},
  mistake() {},
  mistakeAt() {},
  incomplete() {},
};

/** Reads content in a known format. The source must stay open until the edit is over. */
export function readContent(
  source: ByteSource,
  format: TableFormat,
  sink: RecordSink,
  show: (document: Document) => void,
): void {
  atOnce(contentSteps(source, format, sink, show));
}

/** `readContent` with pauses. */
function* contentSteps(
  source: ByteSource,
  format: TableFormat,
  sink: RecordSink,
  show: (document: Document) => void,
): Steps<void> {
  if (format === 'ndjson') {
    yield* ndjsonSteps(source, sink, show);
    return;
  }
  const bytes = yield* wholeSteps(source, MAX_WHOLE_BYTES);
  if (bytes === undefined) {
    sink.mistakeAt('MW176', undefined, `the file has more than ${MAX_WHOLE_BYTES} bytes`, {
      hint: 'write big tables as NDJSON',
    });
    sink.incomplete();
    return;
  }
  const text = yield* textSteps(bytes);
  if (!(text instanceof TextPieces)) {
    sink.mistakeAt('MW171', text.position, text.mistake.message, { hint: text.mistake.hint });
    sink.incomplete();
    return;
  }
  if (text.begin < 0) {
    sink.mistakeAt('MW173', undefined, 'the file is empty', { hint: "a table begins with 'mapwire: 1'" });
    sink.incomplete();
    return;
  }
  if (format === 'json') yield* jsonSteps(text, sink, show);
  else yield* yamlSteps(text, sink, show);
}

export interface FileOptions {
  /** As diagnostics name the file; the path when absent. */
  readonly name?: string;
  readonly source?: string;
  /** Refuse what others than root can change, when this process is root. */
  readonly trusted?: boolean;
}

/** What a file was when it was read. */
export interface ReadFile {
  readonly file: TableFile;
  /** undefined: it could not be opened. */
  readonly stamp: FileStamp | undefined;
  /** To be called when the edit is over. */
  readonly close: () => void;
}

const OPEN_HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'check the path',
  EACCES: 'check who may read it',
  ELOOP: 'check the symbolic links',
};

export function systemMessage(error: unknown): { message: string; hint: string | undefined } {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) throw error;
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'it does not exist',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
    ENOTDIR: 'part of its path is no directory',
    ELOOP: 'too many symbolic links',
  };
  return { message: words[code] ?? code, hint: OPEN_HINTS[code] };
}

/** Reads one file into the edit, replacing what it gave before. Whatever is wrong with it becomes a diagnostic. */
export function readTableFile(edit: TableEdit, path: string, options: FileOptions = {}): ReadFile {
  return atOnce(tableFileSteps(edit, path, options));
}

/** `readTableFile` with pauses. */
export function* tableFileSteps(edit: TableEdit, path: string, options: FileOptions = {}): Steps<ReadFile> {
  const name = options.name ?? path;
  const source = options.source ?? 'file';
  let open: OpenFile | undefined;
  const describe = (): TableFile => ({
    name,
    source,
    rank: 0,
    ...(open !== undefined && { reopen: reopener(path, open.stamp) }),
  });
  try {
    open = openFile(path);
    if (options.trusted) assertTrustedDescriptor(open.fd, path);
  } catch (error) {
    open?.close();
    open = undefined;
    edit.replaceFile(describe());
    edit.incomplete();
    if (error instanceof MapwireError) edit.mistakeAt('MW179', undefined, error.message, { hint: error.hint });
    else {
      const { message, hint } = systemMessage(error);
      edit.mistakeAt('MW170', undefined, `the file cannot be read: ${message}`, { hint });
    }
    return { file: describe(), stamp: undefined, close() {} };
  }
  const file = describe();
  const { stamp, kind } = open;
  const opened = open;
  edit.replaceFile(file);
  if (kind !== 'file') {
    const what = kind === 'directory' ? 'it is a directory' : 'it is no regular file';
    edit.mistakeAt('MW170', undefined, `the file cannot be read: ${what}`);
    edit.incomplete();
  } else {
    yield* contentSteps(opened, formatOfName(path) ?? formatOfContent(opened), edit, edit.show);
  }
  return { file, stamp, close: () => opened.close() };
}

/** Opens a file that has been read once more; only as it was then. */
export function reopener(path: string, stamp: FileStamp): () => Document | undefined {
  return () => {
    let open: OpenFile;
    try {
      open = openFile(path);
    } catch {
      return undefined;
    }
    if (open.kind !== 'file' || !sameStamp(open.stamp, stamp)) {
      open.close();
      return undefined;
    }
    const format = formatOfName(path) ?? formatOfContent(open);
    open.close();
    // Lines are looked up one by one, so the file is opened for each of them rather than kept open.
    if (format === 'ndjson') return new NdjsonDocument(opening(path, stamp));
    let document: Document | undefined;
    const again = opening(path, stamp);
    readContent(again, format, NOWHERE, (shown) => {
      document = shown;
    });
    return document;
  };
}

/** A source that opens the file for every read. */
function opening(path: string, stamp: FileStamp): ByteSource {
  return {
    read(into, length, position) {
      let open: OpenFile;
      try {
        open = openFile(path);
      } catch {
        return 0;
      }
      try {
        return sameStamp(open.stamp, stamp) ? open.read(into, length, position) : 0;
      } finally {
        open.close();
      }
    },
    close() {},
  };
}

/** Content in memory, with a document that can be made again from the same memory. */
export function memoryFile(
  name: string,
  source: string,
  rank: number,
  content: Uint8Array,
  format: TableFormat,
): TableFile {
  return {
    name,
    source,
    rank,
    reopen: () => {
      let document: Document | undefined;
      readContent(bytesOf(content), format, NOWHERE, (shown) => {
        document = shown;
      });
      return document;
    },
  };
}

export interface TableFolder {
  /** Names of the files to read, in their order. */
  readonly names: readonly string[];
  /** Names of files that are passed over. */
  readonly ignored: readonly string[];
  /** A hold file lies there. */
  readonly held: boolean;
}

/** Sorts a folder's entries: what is hidden is not looked at, what has another extension is not read. */
export function listFolder(path: string): TableFolder {
  const names: string[] = [];
  const ignored: string[] = [];
  let held = false;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const { name } = entry;
    if (name === HOLD_FILE) held = true;
    if (name.startsWith('.')) continue;
    if (formatOfName(name) !== undefined && !entry.isDirectory()) names.push(name);
    else if (!name.endsWith('~')) ignored.push(entry.isDirectory() ? `${name}/` : name);
  }
  return { names: names.sort(compareText), ignored: ignored.sort(compareText), held };
}

/** Tells of files of the folder that are not read. */
export function warnOfIgnored(edit: TableEdit, folder: string, ignored: readonly string[], source: string): void {
  for (const name of ignored) {
    const file: TableFile = { name: join(folder, name), source, rank: 0 };
    const message = name.endsWith('/')
      ? "folders inside the table's folder are not read"
      : 'the file is not read: its name does not end in .yaml, .yml, .json, .ndjson or .jsonl';
    edit.mistakes.add(file, { code: 'MW203', message }, () => undefined);
  }
}
