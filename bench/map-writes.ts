/** What a process writes to maps, seen from outside: the tracepoint of bpf(2). */
import { existsSync } from 'node:fs';
import { TraceEvents } from './trace-events.ts';

/** enum bpf_cmd in include/uapi/linux/bpf.h: update, delete, lookup and delete; then the same in batches. */
const WRITING = [2, 3, 21, 25, 26, 27];

export class MapWriteWatch {
  readonly #trace: TraceEvents;

  private constructor(trace: TraceEvents) {
    this.#trace = trace;
  }

  static async start(name: string): Promise<MapWriteWatch> {
    const filter = WRITING.map((command) => `cmd == ${command}`).join(' || ');
    return new MapWriteWatch(await TraceEvents.start(name, [{ name: 'syscalls/sys_enter_bpf', filter }], 'mono'));
  }

  /** When the process began each call that writes to a map since the last time: monotonic nanoseconds. */
  take(pid: number): bigint[] {
    return writesOf(this.#trace.take(), (thread) => existsSync(`/proc/${pid}/task/${thread}`));
  }

  close(): void {
    this.#trace.close();
  }
}

/** Reads the lines of tracefs's `trace` of those threads. */
export function writesOf(text: string, ours: (thread: number) => boolean): bigint[] {
  const times: bigint[] = [];
  for (const [, thread, seconds, micro] of text.matchAll(/-(\d+)\s+\[\d+\].*? (\d+)\.(\d{6}): sys_(?:enter_)?bpf/g)) {
    if (ours(Number(thread))) times.push(BigInt(seconds!) * 1_000_000_000n + BigInt(micro!) * 1_000n);
  }
  return times;
}
