/**
 * Random frames over random tables: the simulator, the XDP object and the TC object must agree in the verdict record and
 * in every byte, and together they must have met every verdict and every reason.
 *
 * The run follows from a seed, which is printed. MAPWIRE_SEED repeats a run, MAPWIRE_CASE=<table>:<frame> one frame of it,
 * MAPWIRE_LONG=1 makes it a million frames (MAPWIRE_TABLES another number of tables).
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { simulate } from '../../../src/simulator/simulate.ts';
import { type Hook, REASON_NAMES, type Simulation } from '../../../src/simulator/types.ts';
import { World } from '../../../src/simulator/world.ts';
import { toHex } from '../../support/packet.ts';
import { differences } from '../../support/packet-compare.ts';
import { FIRST_BUFFER, type LoadVariant, PacketKernel, PLAIN } from '../../support/packet-kernel.ts';
import { DEVICES, LOAD_CLASSES, Random, type RandomWorld, randomWorld } from '../../support/packet-random.ts';
import { type RandomPacket, randomPacket } from '../../support/packet-random-frame.ts';

const LONG = process.env.MAPWIRE_LONG === '1';
const SEED = process.env.MAPWIRE_SEED ?? String(Math.floor(Math.random() * 1e9));
const CASE = process.env.MAPWIRE_CASE;
const TABLES = Number(process.env.MAPWIRE_TABLES ?? (LONG ? 5000 : 210));
const FRAMES = LONG ? 200 : 100;
const MOST_SHOWN = 5;

const VERDICTS = ['answer', 'deliver', 'drop', 'encap', 'flood', 'left', 'stack'];
/** Reasons that no random frame brings about, and why; test/fixtures/packets has those that do. */
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  internal: 'no helper fails unless a program in front of ours has changed the packet',
  headroom: 'a test run has 256 bytes of headroom and an skb that can grow',
};

let kernel: PacketKernel;
const seen = new Map<string, number>();
const tally = { frames: 0, runs: 0, refused: 0 };

beforeAll(async () => {
  kernel = await PacketKernel.start(DEVICES);
}, 60_000);

afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
});

test(
  `simulator, XDP and TC agree (seed ${SEED})`,
  async () => {
    console.info(`packets: seed ${SEED}, ${TABLES} tables of ${FRAMES} frames`);
    const failures = CASE === undefined ? await runAll() : await runCase(CASE);
    expect(failures.join('\n\n')).toBe('');
    if (CASE !== undefined) return;
    console.info(
      `packets: ${tally.frames} frames, ${tally.runs} runs, ${tally.refused} refused by the kernel\n${summary()}`,
    );
    expect(tally.frames).toBeGreaterThanOrEqual(20_000);
    expect(missing()).toEqual([]);
    expect(tally.refused).toBeLessThan(tally.runs / 20);
    // one load for each set of constants: tables change maps, not programs
    expect(kernel.loads.length, kernel.loads.join('\n')).toBeLessThanOrEqual(LOAD_CLASSES.length);
  },
  LONG ? 3 * 3600_000 : 240_000,
);

async function runAll(): Promise<string[]> {
  const failures: string[] = [];
  for (let table = 0; table < TABLES; table++) {
    const world = randomWorld(SEED, table);
    await kernel.install(world.table, world.environment);
    const model = new World(world.table, world.environment);
    for (let index = 0; index < FRAMES; index++) {
      failures.push(...(await runFrame(world, model, table, index)));
      if (failures.length >= MOST_SHOWN) return failures;
    }
  }
  return failures;
}

/** Runs just one frame, and shows what the model did with it. */
async function runCase(text: string): Promise<string[]> {
  const [table, index] = text.split(':').map(Number) as [number, number];
  const world = randomWorld(SEED, table);
  await kernel.install(world.table, world.environment);
  return runFrame(world, new World(world.table, world.environment), table, index, true);
}

async function runFrame(
  world: RandomWorld,
  model: World,
  table: number,
  index: number,
  show = false,
): Promise<string[]> {
  const packet = randomPacket(new Random(`${SEED} frame ${table} ${index}`), world);
  const failures: string[] = [];
  tally.frames++;
  for (const hook of ['xdp', 'tc'] as const) {
    const firstBuffer = firstBufferOf(packet, hook);
    const wanted = simulate({
      world: model,
      hook,
      program: packet.program,
      device: packet.device,
      frame: packet.frame,
      gsoSize: packet.gsoSize,
      ...(firstBuffer !== undefined && { firstBuffer }),
    });
    if (show) console.info(`${hook}: ${traceOf(wanted)}`);
    if (isUnrunnable(packet, hook, wanted)) continue;
    const outcome = await kernel.run(
      { ...packet, hook, firstBuffer: firstBuffer ?? packet.frame.length },
      variantOf(world),
    );
    if (outcome === undefined) {
      tally.refused++;
      continue;
    }
    tally.runs++;
    count(wanted);
    const found = differences(kernel, hook, packet.frame, wanted, outcome);
    if (found.length > 0) failures.push(report(world, packet, hook, table, index, found, wanted));
  }
  return failures;
}

function variantOf({ loadClass }: RandomWorld): LoadVariant {
  return { ...PLAIN, allFeatures: loadClass !== 'lean' };
}

/** Frames larger than the first buffer of a test run are multi-buffer anyway. */
function firstBufferOf(packet: RandomPacket, hook: Hook): number | undefined {
  if (hook === 'tc') return undefined;
  const most = packet.frame.length > FIRST_BUFFER ? FIRST_BUFFER : undefined;
  if (packet.firstBuffer === undefined) return most;
  return Math.min(packet.firstBuffer, most ?? packet.firstBuffer);
}

/** A super-packet can neither be encapsulated nor decapsulated in a test run: its gso_type cannot be set. */
function isUnrunnable({ frame, gsoSize, program }: RandomPacket, hook: Hook, { record }: Simulation): boolean {
  if (hook === 'xdp' && frame.length < 14) return true;
  if (hook === 'xdp' || gsoSize === 0) return false;
  const { verdict } = record;
  return verdict === 'encap' || verdict === 'flood' || (verdict === 'deliver' && program === 'underlay');
}

function count({ record }: Simulation): void {
  for (const key of [`verdict ${record.verdict}`, `reason ${record.reason}`]) seen.set(key, (seen.get(key) ?? 0) + 1);
}

function missing(): string[] {
  const wanted = [
    ...VERDICTS.map((verdict) => `verdict ${verdict}`),
    ...REASON_NAMES.filter((reason) => !(reason in IMPOSSIBLE)).map((reason) => `reason ${reason}`),
  ];
  return wanted.filter((key) => !seen.has(key));
}

function summary(): string {
  return [...seen]
    .sort(([, a], [, b]) => b - a)
    .map(([key, number]) => `${key} ${number}`)
    .join(', ');
}

function traceOf({ record, steps }: Simulation): string {
  return [JSON.stringify(record), ...steps.map(({ rule, asked, found }) => `  ${rule} ${asked}: ${found}`)].join('\n');
}

function report(
  world: RandomWorld,
  packet: RandomPacket,
  hook: Hook,
  table: number,
  index: number,
  found: readonly string[],
  wanted: Simulation,
): string {
  return [
    `${hook} disagrees with the simulator: table ${table}, frame ${index}, from ${packet.device} (${world.loadClass})`,
    `frame ${toHex(packet.frame)}${packet.gsoSize > 0 ? ` gso ${packet.gsoSize}` : ''}${packet.firstBuffer ? ` first buffer ${packet.firstBuffer}` : ''}`,
    ...found,
    `the simulator: ${traceOf(wanted)}`,
    `faults: ${JSON.stringify(world.environment.faults)}`,
    `again: MAPWIRE_SEED=${SEED} MAPWIRE_CASE=${table}:${index} npx vitest run --project kernel test/kernel/packets/differential.test.ts`,
  ].join('\n');
}
