/** Collects the diagnostics of one run: so many of each file, and a count of the rest. */

import { DIAGNOSTICS, type Diagnostic, type DiagnosticCode, type Place, type RelatedPlace } from './diagnostics.ts';
import type { TableFile } from './document.ts';
import type { Position } from './text-position.ts';

/** Errors shown of one file; warnings are counted apart. */
export const SHOWN_PER_FILE = 100;

export interface FoundMistake {
  readonly code: DiagnosticCode;
  readonly message: string;
  /** What costs something to find out is asked for only when the mistake will be shown. */
  readonly hint?: string | (() => string | undefined) | undefined;
  readonly related?: (() => readonly RelatedPlace[]) | undefined;
}

interface Tally {
  readonly file: TableFile;
  errors: number;
  warnings: number;
}

/** The place of a position in a file; without one it is the file as a whole, or a line of it. */
export function placeIn(file: TableFile, position: Position | undefined, line = 0): Place {
  if (position !== undefined) return { file: file.name, line: position.line, column: position.column };
  return { file: file.name, line, column: line === 0 ? 0 : 1 };
}

export class Mistakes {
  readonly #limit: number;
  readonly #found: { readonly diagnostic: Diagnostic; readonly rank: number; readonly number: number }[] = [];
  readonly #tallies = new Map<string, Tally>();
  #errors = 0;

  constructor(limit = SHOWN_PER_FILE) {
    this.#limit = limit;
  }

  get errors(): number {
    return this.#errors;
  }

  /** The position is asked for only when the mistake will be shown. */
  add(file: TableFile, mistake: FoundMistake, position: () => Position | undefined, line = 0): void {
    const { severity } = DIAGNOSTICS[mistake.code];
    const key = `${file.rank} ${file.name}`;
    let tally = this.#tallies.get(key);
    if (tally === undefined) {
      tally = { file, errors: 0, warnings: 0 };
      this.#tallies.set(key, tally);
    }
    const count = severity === 'error' ? ++tally.errors : ++tally.warnings;
    if (severity === 'error') this.#errors++;
    if (count > this.#limit) return;
    const at = position();
    const { code, message } = mistake;
    const hint = typeof mistake.hint === 'function' ? mistake.hint() : mistake.hint;
    const related = mistake.related?.() ?? [];
    this.#found.push({
      rank: file.rank,
      number: this.#found.length,
      diagnostic: {
        code,
        severity,
        message,
        ...placeIn(file, at, line),
        ...(at !== undefined && { length: at.length, excerpt: at.excerpt }),
        ...(hint !== undefined && { hint }),
        ...(related.length > 0 && { related }),
      },
    });
  }

  /** Everything found, by file and place, with the counts of what was left out. */
  list(): Diagnostic[] {
    const sorted = this.#found.toSorted(
      (a, b) =>
        a.rank - b.rank ||
        compareText(a.diagnostic.file, b.diagnostic.file) ||
        a.diagnostic.line - b.diagnostic.line ||
        a.diagnostic.column - b.diagnostic.column ||
        a.number - b.number,
    );
    const list = sorted.map((entry) => entry.diagnostic);
    for (const { file, errors, warnings } of this.#tallies.values()) {
      const more = [errors, warnings].map((n) => Math.max(0, n - this.#limit));
      if (more[0]! > 0) list.push(rest(file, 'error', more[0]!));
      if (more[1]! > 0) list.push(rest(file, 'warning', more[1]!));
    }
    return list;
  }
}

function rest(file: TableFile, severity: 'error' | 'warning', count: number): Diagnostic {
  const message = `${count} more ${severity}${count === 1 ? '' : 's'} in this file`;
  return { code: 'MW199', severity, message, file: file.name, line: 0, column: 0 };
}

/** Order by code units: the same on every machine. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
