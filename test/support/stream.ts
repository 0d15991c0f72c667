/** A stream of numbered datagrams, and what came of it at each place. */
import { compiled } from './compiled.ts';
import type { Namespace } from './hosts.ts';
import type { Background } from './process.ts';

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
    const process = at.start([await compiled('stream'), 'receive', String(port)]);
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
  return from.start([await compiled('stream'), 'send', to, String(port), String(rate), String(count)]);
}
