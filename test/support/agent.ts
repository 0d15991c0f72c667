/**
 * A guest that does what it is told: one process a guest for all that a test asks of it, so that a matrix of hundreds of small
 * tests does not start a thousand processes.
 */
import { join } from 'node:path';
import { type Namespace, support } from './hosts.ts';
import { type Background, eventually } from './process.ts';

const script = join(support, 'agent.mjs');
const SLOW = Number(process.env.MAPWIRE_SLOW ?? 1);

interface Answer {
  readonly id: number;
  readonly error?: string;
}

/** How often each text was heard. */
export type Heard = Readonly<Record<string, number>>;

export class Agent {
  readonly #process: Background;
  readonly #name: string;
  readonly #waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  #next = 1;
  #rest = '';

  private constructor(process: Background, name: string) {
    this.#process = process;
    this.#name = name;
    process.child.stdout?.on('data', (chunk: string) => this.#read(chunk));
    void process.exit().then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${name} ended: ${process.stderr}`));
      this.#waiting.clear();
    });
  }

  static async start(guest: Namespace): Promise<Agent> {
    const background = guest.start([process.execPath, script]);
    const agent = new Agent(background, guest.name);
    await background.waitFor(/ready/);
    return agent;
  }

  #read(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('{')) continue;
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.resolve(answer);
      this.#waiting.delete(answer.id);
    }
  }

  /** Asks for an action of agent.mjs. */
  async ask<T = unknown>(action: string, rest: object = {}, timeout = 60_000): Promise<T> {
    const id = this.#next++;
    const answer = await new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.#name}: no answer to ${action}`)), timeout * SLOW);
      const end =
        <V>(then: (value: V) => void) =>
        (value: V) => {
          clearTimeout(timer);
          then(value);
        };
      this.#waiting.set(id, { resolve: end(resolve), reject: end(reject) });
      this.#process.child.stdin?.write(`${JSON.stringify({ id, action, ...rest })}\n`);
    });
    if (answer.error !== undefined) throw new Error(`${this.#name}: ${action}: ${answer.error}`);
    return answer as T;
  }

  async heard(name: string): Promise<Heard> {
    return (await this.ask<{ counts: Heard }>('heard', { name })).counts;
  }

  /** UDP datagrams of each size to `to` and back, compared byte for byte. */
  async compare(to: Agent, from: string, address: string, sizes: readonly number[]): Promise<void> {
    const name = `echo ${this.#next}`;
    const { port } = await to.ask<{ port: number }>('echo', { name, address });
    await this.ask('compare', { from, to: address, port, sizes });
    await to.ask('unlisten', { name });
  }

  /** `bytes` over TCP to `to` and as many back, SHA-256 compared at both ends. */
  async transfer(
    to: Agent,
    from: string,
    address: string,
    bytes: number,
  ): Promise<{ readonly bytes: number; readonly seconds: number }> {
    const name = `serve ${this.#next}`;
    const { port } = await to.ask<{ port: number }>('serve', { name, address });
    const result = await this.ask<{ bytes: number; seconds: number }>('transfer', { from, to: address, port, bytes });
    await to.ask('served', { name });
    await to.ask('unlisten', { name });
    return result;
  }

  /** Waits until `wanted` texts were heard, and a moment longer for what comes twice; gives the counts. */
  async hears(name: string, wanted: readonly string[], grace = 60): Promise<Heard> {
    await eventually(`${this.#name} hears all of ${wanted.length} texts (${wanted[0]} …)`, async () => {
      const heard = await this.heard(name);
      return wanted.every((text) => heard[text] !== undefined);
    });
    await new Promise((resolve) => setTimeout(resolve, grace * SLOW));
    return this.heard(name);
  }
}
