/** What commands print, and how they end. Results go to stdout, everything said about them to stderr. */
import { MapwireError } from '../errors.ts';

/** Exit status of every command. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  /** The table or the configuration has errors. */
  mistakes: 3,
} as const;

const MISTAKES: readonly string[] = ['ERR_MW_TABLE', 'ERR_MW_CONFIG', 'ERR_MW_UNSAFE_FILE'];

export function exitStatusOf(error: unknown): number {
  return error instanceof MapwireError && MISTAKES.includes(error.code) ? EXIT.mistakes : EXIT.failed;
}

/** Writes to stdout; resolves when it is out. A reader that went away is no error. */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text.endsWith('\n') ? text : `${text}\n`, (error) => {
      if (error && (error as NodeJS.ErrnoException).code !== 'EPIPE') reject(error);
      else resolve();
    });
  });
}

/** Plain data as JSON: 64-bit numbers as numbers where that is exact, as text where not; bytes as hex. */
export function printJson(value: unknown): Promise<void> {
  return print(JSON.stringify(value, replacer, 2));
}

function replacer(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  // A Buffer has turned itself into this before the replacer sees it.
  if (isBufferJson(value)) return Buffer.from(value.data).toString('hex');
  return value;
}

function isBufferJson(value: unknown): value is { data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value;
}

/** One line for people, with the remedy under it. */
export function warn(message: string, hint?: string): void {
  process.stderr.write(hint === undefined ? `${message}\n` : `${message}\n  hint: ${hint}\n`);
}

/** Says what went wrong: for people, or as JSON on stdout where that was asked for. */
export async function printError(error: unknown, json: boolean): Promise<void> {
  const known = error instanceof MapwireError;
  if (json) {
    await printJson({
      error: {
        code: known ? error.code : 'ERR_INTERNAL',
        message: error instanceof Error ? error.message : String(error),
        ...(known && error.hint !== undefined ? { hint: error.hint } : {}),
        ...(known ? { details: error.details } : {}),
      },
    });
    return;
  }
  if (!known) {
    warn(`mapwire: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return;
  }
  // Diagnostics of files stand for themselves, as a compiler prints them.
  const plain = error.code === 'ERR_MW_CONFIG' && 'mistakes' in error.details;
  warn(plain ? error.message : `mapwire: ${error.message} [${error.code}]`, error.hint);
}

/** `1 port`, `2 ports`; `many` where an s is not enough. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

export type Cell = string | number | undefined;

/** Columns, aligned; numbers to the right. */
export function columns(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = rows.map((row) => row.map((cell) => (cell === undefined ? '-' : String(cell))));
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const numeric = head.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(head), ...cells.map(line)].join('\n');
}
