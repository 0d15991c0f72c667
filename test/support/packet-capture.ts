/** Every frame that leaves a set of devices, caught at their egress: what a flood really sends. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { compileBpf } from '../../src/bintools/tools/llvm.ts';
import { BpfObject, TcFilter } from '../../src/libbpf/index.ts';

const SOURCE = 'test/support/packet-capture.bpf.c';
const SLOTS = 64;
const HEADER = 8;

export interface CaughtFrame {
  readonly ifindex: number;
  readonly frame: Uint8Array;
}

export class PacketCapture implements Disposable {
  readonly #object: BpfObject;
  readonly #attachments: TcFilter[] = [];
  readonly #captures: DataView;
  readonly #count: BigUint64Array;
  readonly #stride: number;

  private constructor(object: BpfObject) {
    this.#object = object;
    const captures = object.maps.get('captures')!;
    this.#stride = captures.valueStride;
    this.#captures = new DataView(captures.mmap());
    this.#count = new BigUint64Array(object.maps.get('count')!.mmap(), 0, 1);
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
      };
    });
  }

  [Symbol.dispose](): void {
    for (const attachment of this.#attachments) attachment[Symbol.dispose]();
    this.#object.close();
  }
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
