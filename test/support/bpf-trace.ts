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
