/** Every frame that leaves a set of devices, caught at their egress, and tags beside frames: packet-capture.bpf.c. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { compileBpf } from '../../src/bintools/tools/llvm.ts';
import { BpfObject, type Program, type RawMap, TcFilter } from '../../src/libbpf/index.ts';

const SOURCE = 'test/support/packet-capture.bpf.c';
const SLOTS = 64;
const HEADER = 16;
/** Fields of `struct stage`, in words. */
const STAGE = { run: 0, tagPresent: 3, tag: 4 } as const;

export interface CaughtFrame {
  readonly ifindex: number;
  readonly frame: Uint8Array;
  /** 16 bits of the tag beside it. */
  readonly tag?: number;
}

export class PacketCapture implements Disposable {
  readonly #object: BpfObject;
  readonly #attachments: TcFilter[] = [];
  readonly #captures: DataView;
  readonly #count: BigUint64Array;
  readonly #stride: number;
  readonly #stage: Uint32Array;
  readonly #target: RawMap;
  #targetFd = -1;

  private constructor(object: BpfObject) {
    this.#object = object;
    const captures = object.maps.get('captures')!;
    this.#stride = captures.valueStride;
    this.#captures = new DataView(captures.mmap());
    this.#count = new BigUint64Array(object.maps.get('count')!.mmap(), 0, 1);
    this.#stage = new Uint32Array(object.maps.get('stages')!.mmap(), 0, 5);
    this.#target = object.maps.get('target')!;
  }

  /** Compiles the program and attaches it to the egress of these devices, which send nothing from then on. */
  static async start(ifindexes: readonly number[]): Promise<PacketCapture> {
    const object = BpfObject.open(await compile(), { name: 'capture' });
    await object.load();
    const capture = new PacketCapture(object);
    try {
      for (const ifindex of ifindexes) {
        const program = object.programs.get('capture')!;
        capture.#attachments.push(await TcFilter.attach(program, { ifindex, direction: 'egress' }));
      }
    } catch (error) {
      capture[Symbol.dispose]();
      throw error;
    }
    return capture;
  }

  /** What was caught since the last call, in order. Throws when it was more than there is room for. */
  take(): CaughtFrame[] {
    const count = Number(Atomics.exchange(this.#count, 0, 0n));
    if (count > SLOTS) throw new Error(`${count} frames left at once, room is for ${SLOTS}`);
    return Array.from({ length: count }, (_, slot) => {
      const at = slot * this.#stride;
      const length = this.#captures.getUint32(at + 4, true);
      return {
        ifindex: this.#captures.getUint32(at, true),
        frame: new Uint8Array(this.#captures.buffer, at + HEADER, length).slice(),
        ...(this.#captures.getUint32(at + 8, true) !== 0 && { tag: this.#captures.getUint32(at + 12, true) }),
      };
    });
  }

  /** A program that runs `program` with a tag beside the frame; `tagAfter` tells what a second run on the same skb finds. */
  staged(program: Program, tag: { readonly etherType: number; readonly tci: number } | undefined): Program {
    if (this.#targetFd !== program.fd) {
      this.#target.update(u32(0), u32(program.fd));
      this.#targetFd = program.fd;
    }
    this.#stage.set([0, tag?.etherType ?? 0, tag?.tci ?? 0, 0, 0]);
    return this.#object.programs.get('stage')!;
  }

  /** 16 bits of the tag that was beside the frame after the staged program. */
  tagAfter(): number | undefined {
    if (this.#stage[STAGE.run] !== 2) throw new Error('a staged program runs twice before its tag can be told');
    return this.#stage[STAGE.tagPresent] === 0 ? undefined : this.#stage[STAGE.tag];
  }

  [Symbol.dispose](): void {
    for (const attachment of this.#attachments) attachment[Symbol.dispose]();
    this.#object.close();
  }
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

async function compile(): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), 'mapwire-capture-'));
  try {
    const output = join(folder, 'capture.o');
    await compileBpf({ root: packageRoot(), source: SOURCE, output });
    return new Uint8Array(readFileSync(output));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
