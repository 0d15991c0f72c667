/** The thread of `Prober`: a `ProbeRunner`, and messages. */
import { parentPort, workerData } from 'node:worker_threads';
import type { SessionStatus } from '../bfd/index.ts';
import { type ProbeProblem, ProbeRunner, type ProbeSpec, type ProbeTotals } from './probe-runner.ts';

export type ToWorker =
  | { readonly type: 'set'; readonly specs: readonly ProbeSpec[] }
  | { readonly type: 'look'; readonly ask: number }
  | { readonly type: 'end' };

export type FromWorker =
  | { readonly type: 'changed'; readonly id: string; readonly status: SessionStatus }
  | { readonly type: 'problem'; readonly problem: ProbeProblem }
  | {
      readonly type: 'looked';
      readonly ask: number;
      readonly statuses: readonly (readonly [string, SessionStatus])[];
      readonly totals: ProbeTotals;
    };

const port = parentPort;
if (port === null) throw new Error('probe-worker is a thread of the daemon');
const post = (message: FromWorker): void => port.postMessage(message);
const runner = new ProbeRunner({
  hops: (workerData as { readonly hops: number }).hops,
  changed: (id, status) => post({ type: 'changed', id, status }),
  problem: (problem) => post({ type: 'problem', problem }),
});

async function end(): Promise<void> {
  await runner.end();
  port?.close();
}

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'set':
      runner.set(message.specs);
      break;
    case 'look':
      post({ type: 'looked', ask: message.ask, statuses: runner.statuses(), totals: runner.totals() });
      break;
    case 'end':
      void end();
  }
});
