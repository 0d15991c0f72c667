/**
 * A process that holds one Dataplane, for tests that look at it from outside, trace it, or kill it. Commands are JSON lines
 * on standard input, answers JSON lines on standard output. It runs compiled, inside a network namespace.
 */
import { createInterface } from 'node:readline';
import { u32 } from '../../src/bintools/codec.ts';
import { type Plan, plan, replan, STATE_FLAGS, stateFlags } from '../../src/compiler/index.ts';
import { Dataplane, type DataplaneOptions } from '../../src/dataplane/index.ts';
import { MapwireError } from '../../src/errors.ts';
import { node as nodeCodec } from '../../src/generated/layout.ts';
import { RawMap } from '../../src/libbpf/index.ts';
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
    | 'verdicts'
    | 'overtaken'
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
  /** Where the map of nodes is pinned. */
  readonly map?: string;
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
    case 'verdicts':
      return verdicts(plane, command);
    case 'overtaken':
      return overtaken(plane, command);
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

/**
 * Applies a whole table, and meanwhile says again and again that a node is down, drained or up. After each word the kernel is asked.
 *
 * @returns how often something was said before the plan was applied, how often the kernel held something else then, what was said last,
 * and how long the longest of them took
 */
async function verdicts(plane: Dataplane, { table, node = 'b', map = '' }: Command): Promise<object> {
  using held = RawMap.openPinned(map);
  current = plan(tableFromObject(table ?? {}), 'a', plane.ids);
  let applied = false;
  const apply = plane.apply(current).finally(() => {
    applied = true;
  });
  const [said, wrong]: NodeState[][] = [[], []];
  let longest = 0;
  for (let turn = 0; !applied; turn++) {
    const state = (['down', 'drain', 'up'] as const)[turn % 3]!;
    const begin = performance.now();
    await plane.setStates(new Map([[node, state]]));
    longest = Math.max(longest, performance.now() - begin);
    const entry = held.lookup(u32.encode(plane.ids.nodes.idOf(node)!));
    if (entry === undefined || (nodeCodec.decode(entry).flags & STATE_FLAGS) !== stateFlags(state)) wrong!.push(state);
    if (!applied) said!.push(state);
    await new Promise((done) => setTimeout(done, turn % 7));
  }
  const report = await apply;
  return { said: said!.length, wrong: wrong!.length, last: said!.at(-1), longest, report };
}

/**
 * Applies a table that has another address for every node, and says of the node written last that it is down while the first is written
 * already and it is not.
 *
 * @returns whether that moment was met
 */
async function overtaken(plane: Dataplane, { table, node = '', map = '' }: Command): Promise<object> {
  using held = RawMap.openPinned(map);
  const ids = [...(current?.entries('node') ?? [])].map(({ key }) => key as number);
  const remoteOf = (id: number): string =>
    Buffer.from(nodeCodec.decode(held.lookup(u32.encode(id))!).remote).toString('hex');
  const last = plane.ids.nodes.idOf(node)!;
  const before = new Map(ids.map((id) => [id, remoteOf(id)]));
  current = plan(tableFromObject(table ?? {}), 'a', plane.ids);
  const first = plane.ids.nodes.idOf('n0')!;
  let met = false;
  let applied = false;
  const apply = plane.apply(current).finally(() => {
    applied = true;
  });
  while (!applied && !met) {
    await new Promise((done) => setImmediate(done));
    if (remoteOf(first) === before.get(first) || remoteOf(last) !== before.get(last)) continue;
    met = true;
    await plane.setStates(new Map([[node, 'down']]));
  }
  await apply;
  const { flags } = nodeCodec.decode(held.lookup(u32.encode(last))!);
  const isDown = (flags & STATE_FLAGS) === stateFlags('down');
  await plane.setStates(new Map());
  return { met, isDown };
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
