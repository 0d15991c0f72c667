/** Figures of a process of Node.js from inside it: loop-probe.mjs is loaded into it and answers a signal. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { eventually } from '../test/support/process.ts';

/** What `loop-probe.mjs` tells; memory in bytes, times in milliseconds. */
export interface ProcessFigures {
  readonly uptime: number;
  readonly maxMs: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly active: number;
  readonly rss: number;
  readonly peak: number;
  readonly heapTotal: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
}

const script = fileURLToPath(new URL('loop-probe.mjs', import.meta.url)).replace('/dist/bench/', '/bench/');

export class LoopProbe {
  readonly #file: string;

  /** @param file to which the process writes its answers */
  constructor(file: string) {
    this.#file = file;
  }

  /** In front of the command of the process. */
  get prefix(): string[] {
    return ['env', `NODE_OPTIONS=--import=${script}`, `MAPWIRE_PROBE=${this.#file}`];
  }

  #lines(): string[] {
    return existsSync(this.#file) ? readFileSync(this.#file, 'utf8').trimEnd().split('\n') : [];
  }

  /** Since the last call. */
  async figures(pid: number): Promise<ProcessFigures> {
    const before = this.#lines().length;
    process.kill(pid, 'SIGUSR2');
    await eventually('the figures of the process', () => this.#lines().length > before, 60_000);
    return JSON.parse(this.#lines().at(-1)!) as ProcessFigures;
  }
}
