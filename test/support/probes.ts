import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Namespace } from './hosts.ts';
import type { ProbeLine } from './probe-worker.ts';
import type { Background } from './process.ts';

/** A change as the worker prints it. */
export interface ProbeChange {
  readonly changed: string;
  /** Milliseconds since 1970, when the thread that asked for the probes was told. */
  readonly at: number;
  readonly since: number;
  readonly state: string;
  readonly remoteState: string;
  readonly diagnostic: number;
  readonly expired: number;
}

/** A process with a Prober in a namespace; see probe-worker.ts. */
export class Probes {
  readonly process: Background;
  #results = 0;

  constructor(host: Namespace) {
    const worker = fileURLToPath(new URL('../../dist/test/support/probe-worker.js', import.meta.url));
    if (!existsSync(worker)) throw new Error(`${worker} is absent: run \`npm run build\` first`);
    this.process = host.start([process.execPath, worker]);
  }

  #lines<T>(key: string): T[] {
    const lines = this.process.stdout.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as T).filter((line) => key in (line as object));
  }

  changes(id?: string): ProbeChange[] {
    return this.#lines<ProbeChange>('changed').filter(({ changed }) => id === undefined || changed === id);
  }

  problems(): { code: string; message: string }[] {
    return this.#lines<{ problem: { code: string; message: string } }>('problem').map(({ problem }) => problem);
  }

  async ask<T = Record<string, unknown>>(op: string, more: Record<string, unknown> = {}): Promise<T> {
    this.process.child.stdin?.write(`${JSON.stringify({ op, ...more })}\n`);
    const wanted = this.#results++;
    for (let i = 0; i < 2000; i++) {
      const result = this.#lines<{ result: T }>('result')[wanted];
      if (result !== undefined) return result.result;
      if (!this.process.running) break;
      await new Promise((done) => setTimeout(done, 10));
    }
    throw new Error(`the probes do not answer: ${this.process.stdout}${this.process.stderr}`);
  }

  set(...sessions: ProbeLine[]): Promise<unknown> {
    return this.ask('set', { sessions });
  }

  /** Waits for a change that is not older than `from` changes. */
  async change(id: string, state: string, from = 0): Promise<ProbeChange> {
    for (let i = 0; i < 2000; i++) {
      const found = this.changes(id)
        .slice(from)
        .find((change) => change.state === state);
      if (found !== undefined) return found;
      await new Promise((done) => setTimeout(done, 10));
    }
    throw new Error(`session ${id} does not become ${state}: ${this.process.stdout}${this.process.stderr}`);
  }
}
