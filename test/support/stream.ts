/** A stream of numbered datagrams, and what came of it at each place. */
import { unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Namespace, support } from './hosts.ts';
import { type Background, run } from './process.ts';

let tool: Promise<string> | undefined;

/** The compiled sender and receiver, once a process. */
function streamTool(): Promise<string> {
  tool ??= (async () => {
    const file = join(tmpdir(), `mw${process.pid}x-stream`);
    await run(['cc', '-O2', '-Wall', '-Werror', '-o', file, join(support, 'stream.c')]);
    process.once('exit', () => {
      try {
        unlinkSync(file);
      } catch {}
    });
    return file;
  })();
  return tool;
}

export interface Arrival {
  readonly number: number;
  /** Nanoseconds since 1970, as the kernel took the datagram. */
  readonly time: bigint;
}

/** What a guest reads, from now until `stop`. */
export class Receiver {
  readonly #process: Background;

  private constructor(process: Background) {
    this.#process = process;
  }

  static async start(at: Namespace, port: number): Promise<Receiver> {
    const process = at.start([await streamTool(), 'receive', String(port)]);
    await process.waitFor(/ready/);
    return new Receiver(process);
  }

  async stop(): Promise<Arrival[]> {
    this.#process.child.kill('SIGTERM');
    await this.#process.exit();
    return [...this.#process.stdout.matchAll(/^(\d+) (\d+)$/gm)].map(([, number, time]) => ({
      number: Number(number),
      time: BigInt(time!),
    }));
  }
}

/** Sends `count` datagrams, `rate` a second. */
export async function startStream(
  from: Namespace,
  to: string,
  port: number,
  rate: number,
  count: number,
): Promise<Background> {
  return from.start([await streamTool(), 'send', to, String(port), String(rate), String(count)]);
}
