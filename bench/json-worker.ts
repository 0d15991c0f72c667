/** A process of ours in a namespace: JSON lines in, one JSON line out for each. */
import { fileURLToPath } from 'node:url';
import type { Namespace } from '../test/support/hosts.ts';
import type { Background } from '../test/support/process.ts';

/** Where the bench's compiled files are, wherever this one runs from. */
export const compiled = fileURLToPath(new URL('.', import.meta.url)).replace(/(?<!\/dist)\/bench\/$/, '/dist/bench/');

export class JsonWorker {
  readonly #process: Background;
  readonly #waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  #rest = '';

  /** @param through a command that runs it, e.g. `taskset -c 1` */
  constructor(host: Namespace, file: string, through: readonly string[] = []) {
    this.#process = host.start([...through, process.execPath, `${compiled}${file}`]);
    this.#process.child.stdout?.on('data', (chunk: string) => this.#read(chunk));
    void this.#process.exit().then(() => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`${file} ended: ${this.#process.stderr}`));
    });
  }

  #read(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#waiting.shift()?.resolve(line);
    // The output is not kept: a worker may say a lot.
    this.#process.stdout = '';
  }

  async ask<T>(command: object): Promise<T> {
    const line = await new Promise<string>((resolve, reject) => {
      if (!this.#process.running) return reject(new Error(`the worker ended: ${this.#process.stderr}`));
      this.#waiting.push({ resolve, reject });
      this.#process.child.stdin?.write(`${JSON.stringify(command)}\n`);
    });
    const { result, error } = JSON.parse(line) as { result: T; error?: string };
    if (error !== undefined) throw new Error(error);
    return result;
  }

  /** Tells it that there is no more to do, and waits for its end. */
  async close(): Promise<void> {
    this.#process.child.stdin?.end();
    await this.#process.exit();
  }
}

/** The other side: answers each line of standard input; returns at its end. */
export async function serveJson(run: (command: never) => Promise<unknown>): Promise<void> {
  const { createInterface } = await import('node:readline');
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: object;
    try {
      answer = { result: (await run(JSON.parse(line) as never)) ?? null };
    } catch (error) {
      answer = { error: (error as Error).stack };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}
