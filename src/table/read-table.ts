/** A table from a path, from a text, from an object of a program: whole, in one go. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { MapwireError } from '../errors.ts';
import { bytesOf } from './byte-source.ts';
import type { CompactTable } from './compact-table.ts';
import { type Diagnostic, renderDiagnostics } from './diagnostics.ts';
import { type EditOptions, TableEdit } from './edit.ts';
import {
  formatOfContent,
  formatOfName,
  listFolder,
  memoryFile,
  readContent,
  readTableFile,
  systemMessage,
  type TableFormat,
  warnOfIgnored,
} from './read-file.ts';

export interface TableResult {
  /** Absent when there are errors. */
  readonly table?: CompactTable;
  readonly diagnostics: readonly Diagnostic[];
}

export interface ReadTableOptions extends EditOptions {
  /** Refuse files that others than root can change, when this process is root. */
  readonly trusted?: boolean;
}

/**
 * Reads a table from a file, or from all files of a folder (hidden files and folders are passed over; the order is that
 * of their names). Never throws for what is wrong with the files: that is in the diagnostics.
 */
export function readTable(path: string, options: ReadTableOptions = {}): TableResult {
  const edit = new TableEdit(undefined, { revision: 1, ...options });
  const trusted = options.trusted ?? false;
  if (isFolder(path)) readFolder(edit, path, trusted);
  else edit.whenOver(readTableFile(edit, path, { trusted }).close);
  return edit.finish();
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function readFolder(edit: TableEdit, path: string, trusted: boolean): void {
  let names: readonly string[];
  try {
    const folder = listFolder(path);
    names = folder.names;
    warnOfIgnored(edit, path, folder.ignored, 'file');
  } catch (error) {
    const { message, hint } = systemMessage(error);
    edit.replaceFile({ name: path, source: 'file', rank: 0 });
    edit.mistakeAt('MW170', undefined, `the folder cannot be read: ${message}`, { hint });
    return;
  }
  if (names.length === 0) {
    edit.replaceFile({ name: path, source: 'file', rank: 0 });
    edit.mistakeAt('MW173', undefined, 'there is no table file in the folder', {
      hint: 'names of table files end in .yaml, .yml, .json, .ndjson or .jsonl',
    });
  }
  for (const name of names) edit.whenOver(readTableFile(edit, join(path, name), { trusted }).close);
}

export interface ParseOptions extends EditOptions {
  /** As diagnostics name the text. */
  readonly name?: string;
  /** Otherwise what the name tells, or the text itself. */
  readonly format?: TableFormat;
}

/** Reads a table from memory. */
export function parseTable(content: string | Uint8Array, options: ParseOptions = {}): TableResult {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const name = options.name ?? 'table';
  const source = bytesOf(bytes);
  const format = options.format ?? formatOfName(name) ?? formatOfContent(source);
  const edit = new TableEdit(undefined, { revision: 1, ...options });
  edit.replaceFile(memoryFile(name, 'memory', 0, bytes, format));
  readContent(source, format, edit, edit.show);
  return edit.finish();
}

/**
 * A table from an object as a JSON file would hold it; `mapwire: 1` may be left out.
 *
 * @throws ERR_MW_TABLE when it has errors, with them in `details.diagnostics` and rendered in the message.
 */
export function tableFromObject(object: Readonly<Record<string, unknown>>, options: ParseOptions = {}): CompactTable {
  const text = JSON.stringify({ mapwire: 1, ...object }, undefined, 2);
  const { table, diagnostics } = parseTable(text, { name: 'object', format: 'json', ...options });
  if (table === undefined) throw tableError(diagnostics);
  return table;
}

/** The errors of a table as something to throw. */
export function tableError(diagnostics: readonly Diagnostic[]): MapwireError {
  return new MapwireError('ERR_MW_TABLE', `the table has errors\n${renderDiagnostics(diagnostics)}`, {
    hint: 'mend the lines shown; docs/diagnostics.md explains the codes',
    details: { diagnostics },
  });
}
