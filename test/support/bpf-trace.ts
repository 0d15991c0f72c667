/** Counts bpf(2) calls of a process from outside, with strace. */
import { readFile } from 'node:fs/promises';

/** The prefix that runs a command under strace; the trace goes to `file`. */
export function underStrace(file: string): string[] {
  return ['strace', '-f', '-qq', '-e', 'trace=bpf', '-o', file];
}

export interface MapWrites {
  /** Single updates and deletes. */
  readonly single: number;
  /** Entries in batched updates and deletes. */
  readonly batched: number;
  readonly lines: readonly string[];
}

/** What a trace says was written to maps: one line is one call, batched calls carry their count. */
export async function mapWrites(file: string): Promise<MapWrites> {
  const text = await readFile(file, 'utf8');
  let single = 0;
  let batched = 0;
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (/BPF_MAP_(UPDATE|DELETE)_BATCH/.test(line)) {
      batched += Number(line.match(/count=(\d+)/)?.[1] ?? Number.NaN);
      lines.push(line);
    } else if (/BPF_MAP_(UPDATE_ELEM|DELETE_ELEM|LOOKUP_AND_DELETE_ELEM)\b/.test(line)) {
      single += 1;
      lines.push(line);
    }
  }
  return { single, batched, lines };
}

/** Waits until no map was written for so many milliseconds: programs that are loaded later write their constants. */
export async function writesRest(file: string, ms = 7_000, timeout = 120_000): Promise<void> {
  const end = Date.now() + timeout;
  let [count, since] = [-1, Date.now()];
  while (Date.now() - since < ms) {
    if (Date.now() > end) throw new Error(`${file}: maps are written all the time`);
    const { length } = (await mapWrites(file)).lines;
    if (length !== count) [count, since] = [length, Date.now()];
    await new Promise((done) => setTimeout(done, 250));
  }
}
