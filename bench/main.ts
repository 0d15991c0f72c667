/**
 * `npm run bench`: Mapwire beside what one would run otherwise, in one run on one machine. docs/benchmarks/README.md says what is
 * measured and how. Builds namespaces of its own and leaves nothing behind, whether it ends well, fails or is interrupted.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { packageRoot } from '../src/bintools/package-root.ts';
import { compileBpf } from '../src/bintools/tools/llvm.ts';
import { Lab, sweepLabs } from '../test/support/hosts.ts';
import { type FailoverRow, measureFailover } from './failover.ts';
import { goals } from './goals.ts';
import { machine } from './machine.ts';
import { type Options, parseOptions, USAGE, UsageError } from './options.ts';
import { measurePackets, type PacketPlan, type PacketRow } from './packets.ts';
import { peersOf } from './peers/index.ts';
import { AUTO, variantsFor } from './peers/mapwire.ts';
import { printFailover, printPackets, printSockets, printUpdates } from './print.ts';
import { type Run, report } from './report.ts';
import { measureSockets, NO_TUNNEL, type SocketRow } from './sockets.ts';
import { measureUpdates, type UpdateResults } from './updates.ts';

const started = performance.now();
const argv = process.argv.slice(2);

/** Progress, on standard error: what is measured goes to standard output. */
function say(text: string): void {
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(5)} s  ${text}\n`);
}

/** Whom the other encapsulations are measured with: few kernels have any. */
const OF_ENCAPS = ['redirect', 'mapwire-xdp', 'mapwire-tc'];

/** What need not be as exact as the curves. */
function fewer(rounds: number): number {
  return Math.max(1, Math.ceil(rounds * 0.6));
}

function packetPlans({
  parts,
  endpoints,
  sizes,
  encaps,
  rounds,
}: Options): (PacketPlan & { readonly rounds: number })[] {
  const directions = (['encap', 'decap'] as const).filter((direction) => parts.has(direction));
  const both = ['encap', 'decap'] as const;
  const plans: (PacketPlan & { readonly rounds: number })[] = [];
  if (directions.length > 0)
    for (const count of endpoints) plans.push({ encap: 'vxlan', endpoints: count, directions, sizes: [64], rounds });
  if (parts.has('sizes')) {
    const rest = directions.length === 2 && endpoints.includes(1) ? sizes.filter((size) => size !== 64) : sizes;
    if (rest.length > 0)
      plans.push({ encap: 'vxlan', endpoints: 1, directions: both, sizes: rest, rounds: fewer(rounds) });
  }
  if (parts.has('encapsulations')) {
    for (const encap of encaps)
      if (encap !== 'vxlan') plans.push({ encap, endpoints: 1, directions: both, sizes: [64], rounds: fewer(rounds) });
  }
  return plans;
}

async function bench(lab: Lab, options: Options): Promise<void> {
  const root = packageRoot();
  const object = join(await lab.folder(), 'packets.bpf.o');
  await compileBpf({ root, source: 'bench/packets.bpf.c', output: object });
  const all = peersOf(variantsFor('packets', options.variants));
  const known = [...all.flatMap(({ names }) => names), AUTO.name, NO_TUNNEL];
  const unknown = options.peers?.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new UsageError(`no peer '${unknown}': there are ${known.join(', ')}`);
  const packetOptions = { ...options, object, peers: all, names: new Set(options.peers ?? known), say };
  const packets: PacketRow[] = [];
  for (const plan of packetPlans(options)) {
    const names = new Set(
      [...packetOptions.names].filter((name) => plan.encap === 'vxlan' || OF_ENCAPS.includes(name)),
    );
    const rows = await measurePackets(lab, plan, { ...packetOptions, names, rounds: plan.rounds });
    packets.push(...rows);
    process.stdout.write(printPackets(rows));
  }
  const sockets: SocketRow[] = [];
  if (options.parts.has('sockets')) {
    for (const wire of options.wires) {
      const rows = await measureSockets(lab, wire, {
        variants: variantsFor('sockets', [AUTO, ...options.variants]),
        names: packetOptions.names,
        rounds: fewer(options.rounds),
        seconds: 1,
        pings: options.quick ? 2000 : 10_000,
        streams: [1, 4],
        say,
      });
      sockets.push(...rows);
      process.stdout.write(printSockets(rows));
    }
  }
  let updates: UpdateResults | undefined;
  if (options.parts.has('updates')) {
    updates = await measureUpdates(lab, {
      ...packetOptions,
      variants: variantsFor('updates', options.variants),
      endpoints: options.endpoints,
    });
    process.stdout.write(printUpdates(updates));
  }
  let failover: FailoverRow[] = [];
  if (options.parts.has('failover')) {
    const variants = variantsFor('failover', options.variants);
    failover = await measureFailover(lab, { ...packetOptions, variants, endpoints: options.endpoints });
    process.stdout.write(printFailover(failover));
  }
  const run: Run = {
    machine: machine(),
    command: ['npm run bench', ...(argv.length > 0 ? ['--', ...argv] : [])].join(' '),
    seconds: (performance.now() - started) / 1000,
    packets,
    sockets,
    updates,
    failover,
  };
  await writeReport(run, options);
}

async function writeReport(run: Run, { json, output, whole }: Options): Promise<void> {
  const folder = output ?? join(packageRoot(), ...(whole ? ['docs', 'benchmarks'] : ['build', 'bench']));
  await mkdir(folder, { recursive: true });
  const files = report(run);
  for (const [name, text] of files) await writeFile(join(folder, name), text);
  if (json !== undefined) {
    await mkdir(dirname(json), { recursive: true });
    await writeFile(json, files.get('results.json') ?? '');
  }
  const missed = goals(run).filter(({ reached }) => reached === false);
  for (const { figure, goal, text } of missed) process.stdout.write(`not reached: ${figure}: ${text}, goal ${goal}\n`);
  say(`written to ${folder}`);
}

async function main(): Promise<void> {
  const options = parseOptions(argv);
  if (options === 'help') {
    process.stdout.write(USAGE);
    return;
  }
  if (process.getuid?.() !== 0)
    throw new UsageError('the bench makes namespaces and loads BPF programs: it needs root');
  await sweepLabs('mwbench');
  const lab = new Lab('mwbench');
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => reject(new UsageError(`interrupted by ${signal}`)));
  });
  try {
    await Promise.race([bench(lab, options), interrupted]);
  } finally {
    say('taking everything down');
    await lab.close();
  }
  say('done');
}

try {
  await main();
  process.exit(0);
} catch (error) {
  process.stderr.write(`error: ${error instanceof UsageError ? error.message : (error as Error).stack}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
