/** A guest that keeps talking to one endpoint: probe.c, compiled, in a site. */
import { join } from 'node:path';
import { packageRoot } from '../src/bintools/package-root.ts';
import type { Lab } from '../test/support/hosts.ts';
import { type Background, run } from '../test/support/process.ts';
import { FIRST_NODE } from './addressing.ts';
import { drawn, traffic } from './frames.ts';
import type { Site } from './site.ts';

export interface ProbeReport {
  readonly sent: number;
  readonly received: number;
  /** Nanoseconds from the guest to the wire. */
  readonly delays: readonly number[];
}

export class Probe {
  readonly #process: Background;
  #endpoint = -1;

  private constructor(process: Background) {
    this.#process = process;
  }

  static async compile(lab: Lab): Promise<string> {
    const program = join(await lab.folder(), 'probe');
    await run(['cc', '-O2', '-Wall', '-Werror', '-o', program, join(packageRoot(), 'bench', 'probe.c')]);
    return program;
  }

  /**
   * @param gap microseconds between two packets
   * @param prefix what it is run by
   */
  static async start(site: Site, program: string, gap: number, prefix: readonly string[] = []): Promise<Probe> {
    const background = site.outside.start([...prefix, 'taskset', '-c', '1', program, 'guest', 'wire', `${gap}`]);
    await background.waitFor(/ready/);
    return new Probe(background);
  }

  /** Talks to this endpoint from now on. */
  talkTo(endpoint: number): void {
    if (endpoint === this.#endpoint) return;
    this.#endpoint = endpoint;
    const { bytes, draw } = traffic('encap', 'vxlan', 64, endpoint + 1);
    this.#say(`frame ${Buffer.from(drawn(bytes, draw, endpoint)).toString('hex')}`);
  }

  /** When the first of its packets goes to this node: monotonic nanoseconds. */
  async seen(node: number, timeout = 60_000): Promise<bigint> {
    this.#process.stdout = '';
    this.#say(`await ${FIRST_NODE + node}`);
    const [, time] = await this.#process.waitFor(/seen (\d+)\n/, timeout);
    return BigInt(time!);
  }

  /** Sends nothing, so that what is under way can come. */
  pause(): void {
    this.#say('pause');
  }

  resume(): void {
    this.#say('resume');
  }

  /** Of everything since the last report. */
  async report(): Promise<ProbeReport> {
    this.#process.stdout = '';
    this.#say('report');
    const [, text] = await this.#process.waitFor(/report ([\d ]+)\n/);
    const [sent = 0, received = 0, ...delays] = text!.split(' ').map(Number);
    return { sent, received, delays };
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  #say(line: string): void {
    this.#process.child.stdin?.write(`${line}\n`);
  }
}
