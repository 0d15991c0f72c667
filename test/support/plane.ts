import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DataplaneOptions } from '../../src/dataplane/index.ts';
import type { Namespace } from './hosts.ts';
import type { Background } from './process.ts';

/** A process with a Dataplane in a namespace; see plane-worker.ts. */
export class Plane {
  readonly process: Background;
  #seen = 0;

  /** @param through a command that runs the worker, e.g. strace with its options */
  constructor(host: Namespace, through: readonly string[] = []) {
    const worker = fileURLToPath(new URL('../../dist/test/support/plane-worker.js', import.meta.url));
    if (!existsSync(worker)) throw new Error(`${worker} is absent: run \`npm run build\` first`);
    this.process = host.start([...through, process.execPath, worker]);
  }

  get pid(): number {
    return this.process.child.pid ?? 0;
  }

  /** Rejects with the error's code in `code`. */
  async ask<T = Record<string, unknown>>(op: string, more: Record<string, unknown> = {}): Promise<T> {
    this.process.child.stdin?.write(`${JSON.stringify({ op, ...more })}\n`);
    const line = await this.#line();
    if (line === undefined)
      throw Object.assign(new Error(`the worker ended: ${this.process.stderr}`), { code: 'ended' });
    const { result, error } = JSON.parse(line) as { result?: T; error?: { code: string; message: string } };
    if (error !== undefined) throw Object.assign(new Error(`${error.code}: ${error.message}`), error);
    return result as T;
  }

  open(options: DataplaneOptions, killAt?: string): Promise<{ revision: number }> {
    return this.ask('open', { options, ...(killAt === undefined ? {} : { killAt }) });
  }

  async close(): Promise<void> {
    await this.ask('close');
    this.process.child.stdin?.end();
    await this.ended();
  }

  /** Waits until the process is gone. */
  async ended(): Promise<void> {
    for (let i = 0; i < 1200 && this.process.running; i++) await new Promise((done) => setTimeout(done, 50));
    if (this.process.running) throw new Error('the worker does not end');
  }

  async #line(): Promise<string | undefined> {
    for (let i = 0; i < 4000; i++) {
      const end = this.process.stdout.indexOf('\n', this.#seen);
      if (end >= 0) {
        const line = this.process.stdout.slice(this.#seen, end);
        this.#seen = end + 1;
        return line;
      }
      if (!this.process.running) return undefined;
      await new Promise((done) => setTimeout(done, 25));
    }
    throw new Error(`the worker does not answer: ${this.process.stderr}`);
  }
}
