/**
 * Random frames over random tables, put to the simulator, the XDP object and the TC object, which must agree in the
 * verdict record and in every byte. All of it follows from a seed.
 */
import { simulate } from '../../src/simulator/simulate.ts';
import { type Hook, REASON_NAMES, SEGMENTER_DEVICE, type Simulation } from '../../src/simulator/types.ts';
import { World } from '../../src/simulator/world.ts';
import { toHex } from './packet.ts';
import { differences } from './packet-compare.ts';
import {
  asReceived,
  FIRST_BUFFER,
  isOnlyInHash,
  type LoadVariant,
  type PacketInput,
  PacketKernel,
  PLAIN,
} from './packet-kernel.ts';
import { DEVICES, type RandomWorld, randomWorld } from './packet-random.ts';
import { LOAD_CLASSES } from './packet-random-classes.ts';
import { type RandomPacket, randomPacket } from './packet-random-frame.ts';
import { Random } from './random.ts';

const MOST_SHOWN = 5;
const VERDICTS = ['answer', 'deliver', 'drop', 'encap', 'flood', 'left', 'stack'];
/** Reasons that no random frame brings about, and why; test/fixtures/packets has those that do. */
export const IMPOSSIBLE: Readonly<Record<string, string>> = {
  internal: 'no helper fails unless a program in front of ours has changed the packet',
  headroom: 'a test run has 256 bytes of headroom and an skb that can grow',
  'flood-copy': 'it counts copies that were not made, and is no packet’s reason',
};

/** What the front of the programs (bpf/front.h) has to have done by itself. */
const REMEMBERED = (['xdp', 'tc'] as const).flatMap((hook) =>
  ['port encap', 'port deliver', 'underlay deliver'].map((what) => `remembered ${hook} ${what}`),
);

/** The seed that `MAPWIRE_SEED` names, or a new one. */
export function chosenSeed(): string {
  return process.env.MAPWIRE_SEED ?? String(Math.floor(Math.random() * 1e9));
}

/** Which load classes have their addresses in tables of buckets: every other one, or all alike. */
export type Layouts = 'mixed' | 'hash' | 'compact';

/** As `MAPWIRE_LAYOUT` says, else this. */
export function chosenLayouts(usual: Layouts): Layouts {
  return (process.env.MAPWIRE_LAYOUT as Layouts | undefined) ?? usual;
}

export class Differential implements AsyncDisposable {
  readonly seed: string;
  readonly #kernel: PacketKernel;
  readonly #seen = new Map<string, number>();
  readonly #layouts: Layouts;
  readonly tally = { tables: 0, frames: 0, runs: 0, refused: 0 };

  private constructor(kernel: PacketKernel, seed: string, layouts: Layouts) {
    this.#kernel = kernel;
    this.seed = seed;
    this.#layouts = layouts;
  }

  static async start(seed: string, layouts: Layouts = chosenLayouts('mixed')): Promise<Differential> {
    return new Differential(await PacketKernel.start(DEVICES), seed, layouts);
  }

  #isCompact({ loadClass }: RandomWorld): boolean {
    return this.#layouts === 'mixed' ? LOAD_CLASSES.indexOf(loadClass) % 2 === 1 : this.#layouts === 'compact';
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
    const drawn = randomWorld(this.seed, table);
    const { environment } = drawn;
    const world = this.#isCompact(drawn)
      ? { ...drawn, environment: { ...environment, faults: environment.faults.filter((one) => !isOnlyInHash(one)) } }
      : drawn;
    await this.#kernel.install(world.table, world.environment);
    return { world, model: new World(world.table, world.environment) };
  }

  async #runFrame(world: RandomWorld, model: World, table: number, index: number, show = false): Promise<string[]> {
    const packet = randomPacket(new Random(`${this.seed} frame ${table} ${index}`), world);
    const failures: string[] = [];
    this.tally.frames++;
    for (const hook of hooksFor(packet)) {
      const again = hook === 'tc' && packet.program === 'port' && packet.gsoSize === 0 && !world.loadClass.lean;
      const second = again && new Random(`${this.seed} second ${table} ${index}`).chance(0.15);
      const input = { ...inputOf(packet, hook), ...(second && { second }) };
      const { frame, gsoSize = 0, firstBuffer, metadataTag } = input;
      const wanted = simulate({
        world: model,
        hook,
        program: packet.program,
        device: packet.device,
        frame,
        gsoSize,
        ...(firstBuffer !== undefined && { firstBuffer }),
        ...(metadataTag !== undefined && { metadataTag }),
        second,
      });
      if (show) console.info(`${hook}: ${traceOf(wanted)}`);
      if (isUnrunnable(input, wanted, world)) continue;
      const outcome = await this.#kernel.run(input, variantOf(world, this.#isCompact(world)));
      if (outcome === undefined) {
        this.tally.refused++;
        continue;
      }
      this.tally.runs++;
      this.#count(wanted);
      const found = differences(this.#kernel, input, wanted, outcome);
      if (found.length > 0) failures.push(this.#report(world, packet, hook, table, index, found, wanted));
      const remembered = await this.#again(input, wanted, variantOf(world, this.#isCompact(world)), index);
      if (remembered.length > 0) failures.push(this.#report(world, packet, hook, table, index, remembered, wanted));
    }
    return failures;
  }

  /** The same from what the program remembers of it, if it does: nothing else may come out. */
  async #again(input: PacketInput, wanted: Simulation, variant: LoadVariant, index: number): Promise<string[]> {
    const { verdict } = wanted.record;
    if (verdict !== 'deliver' && verdict !== 'encap') return [];
    const outcome = await this.#kernel.runRemembered(input, variant);
    if (outcome === undefined) return [];
    const key = `remembered ${input.hook} ${input.program} ${verdict}`;
    this.#seen.set(key, (this.#seen.get(key) ?? 0) + 1);
    const found = differences(this.#kernel, input, wanted, outcome).map((text) => `remembered: ${text}`);
    if (index % 8 === 0) {
      this.#kernel.forget();
      if ((await this.#kernel.runRemembered(input, variant)) !== undefined) found.push('remembered what is void');
    }
    return found;
  }

  #count({ record, heard }: Simulation): void {
    const keys = [`verdict ${record.verdict}`, `reason ${record.reason}`];
    if (record.copies === 1 && record.verdict !== 'flood') keys.push('a second copy');
    if (heard !== undefined) keys.push('an announcement');
    for (const key of keys) {
      this.#seen.set(key, (this.#seen.get(key) ?? 0) + 1);
    }
  }

  /** What has to be true of every whole run, whatever its length; gives what is not. */
  complaints(): string[] {
    const wanted = [
      ...VERDICTS.map((verdict) => `verdict ${verdict}`),
      'a second copy',
      'an announcement',
      ...REASON_NAMES.filter((reason) => !(reason in IMPOSSIBLE)).map((reason) => `reason ${reason}`),
      ...REMEMBERED,
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
      `${hook} disagrees with the simulator: table ${table}, frame ${index}, from ${packet.device} (${world.loadClass.name})`,
      `frame ${toHex(packet.frame)}${packet.gsoSize > 0 ? ` gso ${packet.gsoSize}` : ''}${packet.firstBuffer ? ` first buffer ${packet.firstBuffer}` : ''}${packet.metadataTag ? ` beside it ${JSON.stringify(packet.metadataTag)}` : ''}`,
      ...found,
      `the simulator: ${traceOf(wanted)}`,
      `faults: ${JSON.stringify(world.environment.faults)}`,
      `again: MAPWIRE_SEED=${this.seed} MAPWIRE_LAYOUT=${this.#layouts} MAPWIRE_CASE=${table}:${index} npx vitest run --project kernel test/kernel/packets/differential.test.ts`,
    ].join('\n');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#kernel[Symbol.asyncDispose]();
  }
}

function variantOf({ loadClass }: RandomWorld, compact: boolean): LoadVariant {
  const lean = loadClass.lean === true;
  return { ...PLAIN, allFeatures: !lean, limited: !lean, compact };
}

function hooksFor({ metadataTag }: RandomPacket): readonly Hook[] {
  return metadataTag === undefined ? ['xdp', 'tc'] : ['tc'];
}

function inputOf({ device, program, frame, gsoSize, firstBuffer, metadataTag }: RandomPacket, hook: Hook): PacketInput {
  if (hook === 'tc') {
    return asReceived({ hook, device, program, frame, gsoSize, ...(metadataTag !== undefined && { metadataTag }) });
  }
  // frames larger than the first buffer of a test run are multi-buffer anyway
  return { hook, device, program, frame, firstBuffer: Math.min(firstBuffer ?? frame.length, FIRST_BUFFER) };
}

/** A super-packet can neither be encapsulated nor decapsulated in a test run: its gso_type cannot be set. */
function isUnrunnable(
  { hook, frame, gsoSize = 0, program }: PacketInput,
  { record }: Simulation,
  world: RandomWorld,
): boolean {
  if (hook === 'xdp') return frame.length < 14;
  if (gsoSize === 0) return false;
  const { verdict, device, network } = record;
  const flat = network !== undefined && world.table.networks.get(network)?.encap === 'flat';
  if (verdict === 'encap') return device !== SEGMENTER_DEVICE && !flat;
  return verdict === 'flood' || (verdict === 'deliver' && program === 'underlay' && !flat);
}

function traceOf({ record, steps }: Simulation): string {
  return [JSON.stringify(record), ...steps.map(({ rule, asked, found }) => `  ${rule} ${asked}: ${found}`)].join('\n');
}
