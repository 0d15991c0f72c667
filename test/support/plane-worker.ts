/**
 * A process that holds one Dataplane, for tests that look at it from outside, trace it, or kill it. Commands are JSON lines
 * on standard input, answers JSON lines on standard output. It runs compiled, inside a network namespace.
 */
import { createInterface } from 'node:readline';
import { type Plan, plan, replan } from '../../src/compiler/index.ts';
import { Dataplane, type DataplaneOptions } from '../../src/dataplane/index.ts';
import { MapwireError } from '../../src/errors.ts';
import { diffTables, type NodeState, tableFromObject } from '../../src/table/index.ts';

let plane: Dataplane | undefined;
let current: Plan | undefined;
let next: ReturnType<typeof replan> | undefined;

interface Command {
  readonly op:
    | 'open'
    | 'apply'
    | 'edit'
    | 'replan'
    | 'finish'
    | 'hops'
    | 'states'
    | 'pathMtu'
    | 'status'
    | 'dump'
    | 'traffic'
    | 'drops'
    | 'trace'
    | 'close'
    | 'down';
  readonly options?: DataplaneOptions;
  /** Ends this process by SIGKILL before the first step whose name begins so. */
  readonly killAt?: string;
  readonly node?: string;
  readonly table?: Record<string, unknown>;
  readonly port?: string;
  /** Hex. */
  readonly frame?: string;
  readonly ms?: number;
  /** By node: up, down or drain. */
  readonly states?: Record<string, NodeState>;
  readonly address?: string;
  readonly mtu?: number;
}

function withKill({ options, killAt }: Command): DataplaneOptions {
  return {
    ...(options as DataplaneOptions),
    onStep: (step) => {
      if (killAt !== undefined && step.startsWith(killAt)) process.kill(process.pid, 'SIGKILL');
    },
  };
}

async function run(command: Command): Promise<unknown> {
  switch (command.op) {
    case 'open':
      plane = await Dataplane.open(withKill(command));
      return { revision: plane.adoptedRevision };
    case 'down':
      return Dataplane.down(withKill(command));
    case 'close':
      await plane?.close();
      plane = undefined;
      return {};
  }
  if (plane === undefined) throw new Error('open first');
  switch (command.op) {
    case 'apply':
      current = plan(tableFromObject(command.table ?? {}), command.node ?? 'a', plane.ids);
      return plane.apply(current);
    case 'edit':
    case 'replan': {
      if (current === undefined) throw new Error('apply first');
      const table = tableFromObject(command.table ?? {});
      next = replan(current, table, diffTables(current.table, table));
      current = next.plan;
      return command.op === 'edit' ? plane.apply(next.plan, next.changes) : {};
    }
    case 'finish':
      if (next === undefined) throw new Error('replan first');
      return plane.apply(next.plan, next.changes);
    case 'hops':
      return plane.waitForNextHops(command.ms ?? 2000);
    case 'states':
      return plane.setStates(new Map(Object.entries(command.states ?? {})));
    case 'pathMtu':
      return plane.pathMtu(command.address ?? '', command.mtu ?? 0);
    case 'status':
      return plane.status();
    case 'dump':
      return plane.dump();
    case 'traffic':
      return plane.traffic();
    case 'drops':
      return plane.drops();
    case 'trace': {
      const frame = new Uint8Array(Buffer.from(command.frame ?? '', 'hex'));
      const result = await plane.trace({ port: command.port ?? '', frame });
      return { ...result, frame: Buffer.from(result.frame).toString('hex') };
    }
  }
}

function answer(value: unknown): void {
  const text = JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? Number(one) : one));
  process.stdout.write(`${text}\n`);
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    answer({ result: await run(JSON.parse(line) as Command) });
  } catch (error) {
    if (error instanceof MapwireError) {
      answer({ error: { code: error.code, message: error.message, hint: error.hint, details: error.details } });
    } else {
      answer({ error: { code: 'bug', message: String((error as Error).stack) } });
    }
  }
}
await plane?.close();
