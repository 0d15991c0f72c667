/**
 * Random and badly damaged frames at the underlay programs. Each must do what the model does, and be counted as docs/packet-rules.md,
 * section 5, says: a frame that is dropped by exactly one reason, one that is not dropped by none. Everything follows from a
 * seed.
 */
import { simulate } from '../../src/simulator/simulate.ts';
import type { Hook } from '../../src/simulator/types.ts';
import { World } from '../../src/simulator/world.ts';
import { frame as build, concat, internetChecksum, toHex } from './packet.ts';
import { differences } from './packet-compare.ts';
import { countersOf, membersFor } from './packet-counters.ts';
import { asReceived, FIRST_BUFFER, type PacketInput, PacketKernel, PLAIN } from './packet-kernel.ts';
import { be16 } from './packet-layer.ts';
import { DEVICES, type RandomWorld, randomWorld } from './packet-random.ts';
import { damage } from './packet-random-frame.ts';
import { fromUnderlay } from './packet-random-underlay.ts';
import { Random } from './random.ts';

/** Frames of one table: after them the counters are looked at. */
export const BATCH = 500;
const SHORTEST = 15;

export class UnderlayFuzz implements AsyncDisposable {
  readonly seed: string;
  readonly #kernel: PacketKernel;
  readonly tally = { batches: 0, frames: 0, refused: 0 };
  /** How often each verdict and reason has occurred. */
  readonly seen = new Map<string, number>();

  private constructor(kernel: PacketKernel, seed: string) {
    this.#kernel = kernel;
    this.seed = seed;
  }

  static async start(seed: string): Promise<UnderlayFuzz> {
    return new UnderlayFuzz(await PacketKernel.start(DEVICES), seed);
  }

  /** Runs that many batches from the first on; gives what is wrong, as text, and stops at the first batch with faults. */
  async run(batches: number): Promise<string[]> {
    for (let batch = 0; batch < batches; batch++) {
      const faults = await this.runBatch(batch);
      if (faults.length > 0) return [`batch ${batch} of seed ${this.seed}`, ...faults];
    }
    return [];
  }

  async runBatch(batch: number): Promise<string[]> {
    const world = randomWorld(this.seed, batch);
    await this.#kernel.install(world.table, world.environment);
    const model = new World(world.table, world.environment);
    const random = new Random(`${this.seed} fuzz ${batch}`);
    const faults: string[] = [];
    const counted = new Map<string, number>();
    await this.#kernel.resetCounters();
    for (let i = 0; i < BATCH && faults.length < 5; i++) {
      const input = randomInput(random, world);
      const { hook, program, device, frame, firstBuffer, metadataTag } = input;
      const wanted = simulate({
        world: model,
        hook,
        program,
        device,
        frame,
        ...(firstBuffer !== undefined && { firstBuffer }),
        ...(metadataTag !== undefined && { metadataTag }),
      });
      // once: a second run would be counted
      const outcome = await this.#kernel.run(input, variantOf(world), true);
      if (outcome === undefined) {
        this.tally.refused++;
        continue;
      }
      this.tally.frames++;
      const { record, outputs } = wanted;
      const outcomeName = record.verdict === 'drop' ? record.reason : record.verdict;
      this.seen.set(outcomeName, (this.seen.get(outcomeName) ?? 0) + 1);
      const found = differences(this.#kernel, input, wanted, outcome);
      if (found.length > 0) {
        faults.push(
          [`frame ${i}, ${hook} of ${device} (${world.loadClass.name}): ${toHex(frame)}`, ...found].join('\n'),
        );
        continue;
      }
      const members = record.verdict === 'flood' ? membersFor(world.scene, device, record.network!) : 0;
      for (const [key, number] of Object.entries(countersOf(device, record, outputs, members))) {
        counted.set(key, (counted.get(key) ?? 0) + number);
      }
    }
    this.tally.batches++;
    return faults.length > 0 ? faults : this.#miscounted(counted);
  }

  #miscounted(expected: ReadonlyMap<string, number>): string[] {
    const counters = this.#kernel.counters();
    const keys = new Set([...counters.keys(), ...expected.keys()]);
    return [...keys]
      .filter((key) => (counters.get(key) ?? 0) !== (expected.get(key) ?? 0))
      .map((key) => `${key}: ${counters.get(key) ?? 0} counted, ${expected.get(key) ?? 0} happened`);
  }

  summary(): string {
    const { batches, frames, refused } = this.tally;
    const outcomes = [...this.seen].sort(([, a], [, b]) => b - a).map(([key, number]) => `${key} ${number}`);
    return `seed ${this.seed}: ${batches} tables, ${frames} frames, ${refused} refused by the kernel\n${outcomes.join(', ')}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#kernel[Symbol.asyncDispose]();
  }
}

function variantOf({ loadClass }: RandomWorld) {
  const lean = loadClass.lean === true;
  return { ...PLAIN, allFeatures: !lean, limited: !lean };
}

function randomInput(random: Random, world: RandomWorld): PacketInput {
  const device = random.pick(['u0', 'u0', 'u1']);
  const hook: Hook = random.pick(['xdp', 'tc']);
  const frame = randomFrame(random, world, device);
  const input = { hook, program: 'underlay', device, frame } as const;
  if (hook === 'tc') return asReceived(input);
  // outer headers and the longest options of a tunnel are in the first buffer of any driver
  const firstBuffer = random.chance(0.2) && frame.length > 400 ? random.between(400, frame.length) : frame.length;
  return { ...input, firstBuffer: Math.min(firstBuffer, FIRST_BUFFER) };
}

function randomFrame(random: Random, world: RandomWorld, device: string): Uint8Array {
  const kind = random.below(10);
  if (kind < 2) return noise(random, world, device);
  let bytes = fromUnderlay(random, world, device);
  if (kind === 2) bytes = spliced(random, bytes, fromUnderlay(random, world, device));
  for (let i = random.pick([0, 0, 1, 1, 2, 4]); i > 0; i--) bytes = damage(random, bytes);
  // a wrong checksum would end most of them at the outer header
  if (random.chance(0.7)) mendOuterChecksum(bytes);
  return bytes.length < SHORTEST ? concat(bytes, new Uint8Array(SHORTEST)) : bytes;
}

function mendOuterChecksum(bytes: Uint8Array): void {
  const at = bytes[12] === 0x81 ? 18 : 14;
  if (bytes.length < at + 20 || bytes[at] !== 0x45) return;
  bytes.fill(0, at + 10, at + 12);
  bytes.set(be16(internetChecksum(bytes.subarray(at, at + 20))), at + 10);
}

/** Bytes without sense, for this device at least, and mostly behind headers that have some. */
function noise(random: Random, { scene, environment }: RandomWorld, device: string): Uint8Array {
  const { mac } = scene.devices[device]!;
  const { ports } = environment;
  const rest = Uint8Array.from({ length: random.between(1, 200) }, () => random.below(256));
  const udp = `udp 9>${random.pick(Object.values(ports))} sum=0`;
  const heads = [
    '',
    ' | ip4 192.0.2.2>192.0.2.1',
    ' | ip6 2001:db8::2>2001:db8::1',
    ` | ip4 192.0.2.2>192.0.2.1 | ${udp}`,
    ` | ip6 2001:db8::2>2001:db8::1 | ${udp}`,
    ` | ip4 192.0.2.2>192.0.2.1 proto=47`,
    ` | ip6 2001:db8::2>2001:db8::1 next=47`,
  ];
  const vlan = environment.underlayVlan === 0 || random.chance(0.2) ? '' : ` | vlan ${environment.underlayVlan}`;
  const type = random.pick(['', ' type=0x0800', ' type=0x86dd', ' type=0x8100']);
  const head = random.pick(heads);
  return build(`eth 02:00:00:00:bb:01>${mac}${head === '' ? type : vlan}${head} | hex ${toHex(rest)}`);
}

/** The first bytes of one and the last of another. */
function spliced(random: Random, one: Uint8Array, other: Uint8Array): Uint8Array {
  return concat(one.subarray(0, random.below(one.length)), other.subarray(random.below(other.length)));
}
