import type { Codec } from '../bintools/codec.ts';
import { ENTRY_CODECS } from './entries.ts';
import type { PortMap } from './port-entries.ts';

/** Keys and values of one map, packed one after the other, as the kernel takes them in batches. */
export class EntryBuffer {
  readonly map: PortMap;
  readonly keySize: number;
  readonly valueSize: number;
  /** Entries that there is room for. */
  capacity: number;
  keys: Uint8Array<ArrayBuffer>;
  values: Uint8Array<ArrayBuffer>;
  keyView: DataView;
  valueView: DataView;
  count = 0;

  constructor(map: PortMap, capacity: number) {
    const { key, value } = ENTRY_CODECS[map];
    this.map = map;
    this.keySize = key.size;
    this.valueSize = (value as Codec<unknown>).size;
    this.capacity = capacity;
    this.keys = new Uint8Array(capacity * this.keySize);
    this.values = new Uint8Array(capacity * this.valueSize);
    this.keyView = new DataView(this.keys.buffer);
    this.valueView = new DataView(this.values.buffer);
  }

  /** Entries that still fit. */
  get room(): number {
    return this.capacity - this.count;
  }

  /** Makes itself larger when it is full. */
  push(key: Uint8Array, value: Uint8Array): void {
    if (this.room === 0) this.#grow();
    this.keys.set(key, this.count * this.keySize);
    this.values.set(value, this.count * this.valueSize);
    this.count++;
  }

  #grow(): void {
    const { keys, values } = this;
    this.capacity *= 2;
    this.keys = new Uint8Array(this.capacity * this.keySize);
    this.values = new Uint8Array(this.capacity * this.valueSize);
    this.keys.set(keys);
    this.values.set(values);
    this.keyView = new DataView(this.keys.buffer);
    this.valueView = new DataView(this.values.buffer);
  }

  clear(): void {
    this.count = 0;
  }
}
