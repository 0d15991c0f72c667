import { EventKind, event as eventCodec } from '../generated/layout.ts';
import { type RawMap, RingBuffer } from '../libbpf/index.ts';
import { ipFromMappedBytes } from '../table/address.ts';

/** What the programs tell: docs/packet-rules.md, sections 7 and 9. */
export interface EventSink {
  /** A router cannot pass on packets larger than this to an underlay address. */
  pathMtu(address: string, mtu: number): void;
  /** The guest of a port (kernel id) announced itself where it moves to, in the move of this sequence. */
  heard(port: number, sequence: number): void;
  /** The reader ended by an error; what is told from now on is lost until another generation. */
  failed(error: unknown): void;
}

/** Reads the ring of the generation in force. */
export class EventReader implements Disposable {
  readonly #sink: EventSink;
  #ring: RingBuffer | undefined;
  #map = 0;

  constructor(sink: EventSink) {
    this.#sink = sink;
  }

  /** Reads this ring from now on, and no other. The same ring again is fine. */
  follow(map: RawMap): void {
    if (this.#map === map.id) return;
    this.close();
    this.#map = map.id;
    const ring = new RingBuffer(map);
    this.#ring = ring;
    this.#read(ring).catch((error: unknown) => {
      if (this.#ring === ring) this.#sink.failed(error);
    });
  }

  /** Idempotent. */
  close(): void {
    this.#ring?.close();
    this.#ring = undefined;
    this.#map = 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #read(ring: RingBuffer): Promise<void> {
    for await (const { kind, mtu, remote, port, sequence } of ring.decoded(eventCodec)) {
      if (kind === EventKind.TOO_BIG) this.#sink.pathMtu(ipFromMappedBytes(remote), mtu);
      else if (kind === EventKind.HEARD) this.#sink.heard(port, sequence);
    }
  }
}
