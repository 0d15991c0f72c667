/** Programs that stand in front of ours, as a user's own may: packet-front.bpf.c says what each does. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { compileBpf } from '../../src/bintools/tools/llvm.ts';
import { BpfObject, type Program } from '../../src/libbpf/index.ts';

/** The hook of each. */
export const FRONTS = { eat_headroom: 'xdp', pad_to_the_limit: 'tc', call_it_ipv4: 'tc' } as const;
export type Front = keyof typeof FRONTS;

export class PacketFront implements Disposable {
  readonly #object: BpfObject;

  private constructor(object: BpfObject) {
    this.#object = object;
  }

  static async load(): Promise<PacketFront> {
    const folder = mkdtempSync(join(tmpdir(), 'mapwire-front-'));
    try {
      const output = join(folder, 'front.o');
      await compileBpf({ root: packageRoot(), source: 'test/support/packet-front.bpf.c', output });
      return new PacketFront(await BpfObject.open(new Uint8Array(readFileSync(output)), { name: 'front' }).load());
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** The program `front`, set to go on with `next`. */
  before(front: Front, next: Program): Program {
    const slot = new Uint8Array(4);
    const value = new Uint8Array(Uint32Array.of(next.fd).buffer);
    this.#object.maps.get(`next_${FRONTS[front]}`)!.update(slot, value);
    return this.#object.programs.get(front)!;
  }

  [Symbol.dispose](): void {
    this.#object.close();
  }
}
