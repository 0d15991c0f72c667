/** Sessions with other nodes, in a thread of their own. */
import { Worker } from 'node:worker_threads';
import type { SessionStatus } from '../bfd/index.ts';
import { MapwireError } from '../errors.ts';
import type { ProbeProblem, ProbeSpec, ProbeTotals } from './probe-runner.ts';
import type { FromWorker, ToWorker } from './probe-worker.ts';

export interface ProberOptions {
  /** Hops between nodes, 1 to 255. */
  readonly hops: number;
  readonly changed: (id: string, status: SessionStatus) => void;
  readonly problem: (problem: ProbeProblem) => void;
  /** The thread ended by itself: nobody is probed any more. */
  readonly failed: (error: Error) => void;
}

export interface ProbeLook {
  readonly statuses: ReadonlyMap<string, SessionStatus>;
  readonly totals: ProbeTotals;
}

/** In a built checkout; run from its sources (by vitest) this file has the build beside it. */
function workerUrl(): URL {
  const source = import.meta.url.replace(/\/src\/daemon\/prober\.ts$/, '/dist/src/daemon/prober.js');
  return new URL('./probe-worker.js', source);
}

export class Prober {
  readonly #worker: Worker;
  readonly #options: ProberOptions;
  readonly #asked = new Map<number, { resolve: (look: ProbeLook) => void; reject: (error: Error) => void }>();
  #asks = 0;
  #ending: Promise<void> | undefined;
  readonly #ended: Promise<void>;

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#worker = new Worker(workerUrl(), { workerData: { hops: options.hops }, name: 'probes' });
    this.#worker.on('message', (message: FromWorker) => this.#onMessage(message));
    let failure: Error | undefined;
    this.#worker.on('error', (error) => {
      failure = error;
    });
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        const error = failure ?? new MapwireError('ERR_MW_CLOSED', 'the probes ended');
        for (const { reject } of this.#asked.values()) reject(error);
        this.#asked.clear();
        if (this.#ending === undefined) options.failed(error);
        resolve();
      });
    });
  }

  /** All sessions that there are to be from now on; those that are the same go on. */
  set(specs: readonly ProbeSpec[]): void {
    this.#post({ type: 'set', specs });
  }

  /** @throws ERR_MW_CLOSED when it has ended */
  look(): Promise<ProbeLook> {
    if (this.#ending !== undefined) return Promise.reject(new MapwireError('ERR_MW_CLOSED', 'the probes ended'));
    const ask = ++this.#asks;
    return new Promise((resolve, reject) => {
      this.#asked.set(ask, { resolve, reject });
      this.#post({ type: 'look', ask });
    });
  }

  /** Tells the peers of BFD sessions AdminDown, and ends. Idempotent. */
  close(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    this.#post({ type: 'end' });
    await this.#ended;
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #onMessage(message: FromWorker): void {
    switch (message.type) {
      case 'changed':
        if (this.#ending === undefined) this.#options.changed(message.id, message.status);
        break;
      case 'problem':
        this.#options.problem(message.problem);
        break;
      case 'looked':
        this.#asked.get(message.ask)?.resolve({ statuses: new Map(message.statuses), totals: message.totals });
        this.#asked.delete(message.ask);
    }
  }
}
