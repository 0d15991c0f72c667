/**
 * Random frames over random tables, put to the simulator, the XDP object and the TC object, which must agree in the
 * verdict record and in every byte. All of it follows from a seed.
 */
import { simulate } from '../../src/simulator/simulate.ts';
import { type Hook, REASON_NAMES, type Simulation } from '../../src/simulator/types.ts';
import { World } from '../../src/simulator/world.ts';
import { toHex } from './packet.ts';
import { differences } from './packet-compare.ts';
import { FIRST_BUFFER, type LoadVariant, PacketKernel, PLAIN } from './packet-kernel.ts';
import { DEVICES, LOAD_CLASSES, Random, type RandomWorld, randomWorld } from './packet-random.ts';
import { type RandomPacket, randomPacket } from './packet-random-frame.ts';

const MOST_SHOWN = 5;
const VERDICTS = ['answer', 'deliver', 'drop', 'encap', 'flood', 'left', 'stack'];
/** Reasons that no random frame brings about, and why; test/fixtures/packets has those that do. */
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  internal: 'no helper fails unless a program in front of ours has changed the packet',
  headroom: 'a test run has 256 bytes of headroom and an skb that can grow',
};

/** The seed that `MAPWIRE_SEED` names, or a new one. */
export function chosenSeed(): string {
  return process.env.MAPWIRE_SEED ?? String(Math.floor(Math.random() * 1e9));
}

export class Differential implements AsyncDisposable {
  readonly seed: string;
  readonly #kernel: PacketKernel;
  readonly #seen = new Map<string, number>();
  readonly tally = { tables: 0, frames: 0, runs: 0, refused: 0 };

  private constructor(kernel: PacketKernel, seed: string) {
    this.#kernel = kernel;
    this.seed = seed;
  }

  static async start(seed: string): Promise<Differential> {
    return new Differential(await PacketKernel.start(DEVICES), seed);
  }

  /** Gives what disagrees, as text; stops when that is a handful. */
  async run(tables: number, frames: number): Promise<string[]> {
    const failures: string[] = [];
    for (let table = 0; table < tables; table++) {
      const { world, model } = await this.#install(table);
      this.tally.tables++;
      for (let index = 0; index < frames; index++) {
        failures.push(...(await this.#runFrame(world, model, table, index)));
        if (failures.length >= MOST_SHOWN) return failures;
      }
    }
    return failures;
  }

  /** Runs just one frame, `<table>:<frame>`, and shows what the model did with it. */
  async runCase(text: string): Promise<string[]> {
    const [table, index] = text.split(':').map(Number) as [number, number];
    const { world, model } = await this.#install(table);
    return this.#runFrame(world, model, table, index, true);
  }

  async #install(table: number): Promise<{ world: RandomWorld; model: World }> {
    const world = randomWorld(this.seed, table);
    await this.#kernel.install(world.table, world.environment);
    return { world, model: new World(world.table, world.environment) };
  }

  async #runFrame(world: RandomWorld, model: World, table: number, index: number, show = false): Promise<string[]> {
    const packet = randomPacket(new Random(`${this.seed} frame ${table} ${index}`), world);
    const failures: string[] = [];
    this.tally.frames++;
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
      const input = { ...packet, hook, firstBuffer: firstBuffer ?? packet.frame.length };
      const outcome = await this.#kernel.run(input, variantOf(world));
      if (outcome === undefined) {
        this.tally.refused++;
        continue;
      }
      this.tally.runs++;
      this.#count(wanted);
      const found = differences(this.#kernel, input, wanted, outcome);
      if (found.length > 0) failures.push(this.#report(world, packet, hook, table, index, found, wanted));
    }
    return failures;
  }

  #count({ record }: Simulation): void {
    for (const key of [`verdict ${record.verdict}`, `reason ${record.reason}`]) {
      this.#seen.set(key, (this.#seen.get(key) ?? 0) + 1);
    }
  }

  /** What has to be true of every whole run, whatever its length; gives what is not. */
  complaints(): string[] {
    const wanted = [
      ...VERDICTS.map((verdict) => `verdict ${verdict}`),
      ...REASON_NAMES.filter((reason) => !(reason in IMPOSSIBLE)).map((reason) => `reason ${reason}`),
    ];
    const found = wanted.filter((key) => !this.#seen.has(key)).map((key) => `${key} did not occur`);
    const { refused, runs } = this.tally;
    if (refused >= runs / 20) found.push(`the kernel refused ${refused} of ${runs + refused} runs`);
    // one load for each set of constants: tables change maps, not programs
    const { loads } = this.#kernel;
    if (loads.length > LOAD_CLASSES.length) found.push(`${loads.length} loads:\n${loads.join('\n')}`);
    return found;
  }

  summary(): string {
    const { tables, frames, runs, refused } = this.tally;
    const seen = [...this.#seen].sort(([, a], [, b]) => b - a).map(([key, number]) => `${key} ${number}`);
    return `${tables} tables, ${frames} frames, ${runs} runs, ${refused} refused by the kernel\n${seen.join(', ')}`;
  }

  #report(
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
      `again: MAPWIRE_SEED=${this.seed} MAPWIRE_CASE=${table}:${index} npx vitest run --project kernel test/kernel/packets/differential.test.ts`,
    ].join('\n');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#kernel[Symbol.asyncDispose]();
  }
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

function traceOf({ record, steps }: Simulation): string {
  return [JSON.stringify(record), ...steps.map(({ rule, asked, found }) => `  ${rule} ${asked}: ${found}`)].join('\n');
}
