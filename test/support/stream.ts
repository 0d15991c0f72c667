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

/** Sends `count` datagrams, `rate` a second; fewer when it is told to stop. */
export async function startStream(
  from: Namespace,
  to: string,
  port: number,
  rate: number,
  count: number,
): Promise<Background> {
  return from.start([await compiled('stream'), 'send', to, String(port), String(rate), String(count)]);
}

/** Ends a stream early. Gives how many datagrams were sent; rejects when the sender's own stack refused one. */
export async function endStream(stream: Background): Promise<number> {
  await stream.stop();
  const [, sent, refused] = /sent (\d+), refused (\d+)/.exec(stream.stdout) ?? [];
  if (refused !== '0') throw new Error(`the stream was not sent: ${stream.stdout}${stream.stderr}`);
  return Number(sent);
}
