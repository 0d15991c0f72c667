/** Events of the kernel's tracepoints, in an instance of tracefs of their own. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { run } from '../test/support/process.ts';

const TRACEFS = '/sys/kernel/tracing';

export interface TraceEvent {
  /** `system/name` */
  readonly name: string;
  /** Which of them, in tracefs's words; absent: all. */
  readonly filter?: string;
}

export class TraceEvents {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param clock of the times that lines begin with: tracefs's word for it (`mono` is CLOCK_MONOTONIC) */
  static async start(name: string, events: readonly TraceEvent[], clock = 'local'): Promise<TraceEvents> {
    if (!existsSync(`${TRACEFS}/instances`)) await run(['mount', '-t', 'tracefs', 'tracefs', TRACEFS]);
    const trace = new TraceEvents(`${TRACEFS}/instances/${name}`);
    if (existsSync(trace.#folder)) rmdirSync(trace.#folder);
    mkdirSync(trace.#folder);
    trace.#write('buffer_size_kb', '4096');
    trace.#write('trace_clock', clock);
    for (const { name: event, filter } of events) {
      if (filter !== undefined) trace.#write(`events/${event}/filter`, filter);
      trace.#write(`events/${event}/enable`, '1');
    }
    return trace;
  }

  #write(file: string, text: string): void {
    writeFileSync(`${this.#folder}/${file}`, text);
  }

  /** What happened since the last call, as lines of tracefs's `trace`. */
  take(): string {
    this.#write('tracing_on', '0');
    const text = readFileSync(`${this.#folder}/trace`, 'utf8');
    this.#write('trace', '');
    this.#write('tracing_on', '1');
    return text;
  }

  close(): void {
    if (existsSync(this.#folder)) rmdirSync(this.#folder);
  }
}
