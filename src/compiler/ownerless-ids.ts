import { finish, HASH_SEED, HashIndex, mix } from '../table/hash-index.ts';

const TWO_32 = 0x1_0000_0000;
const SMALLEST = 64;

/** States of an entry. */
const GONE = 0;
/** Found by its natural key. */
const KEYED = 1;
/** The key is that of another one, too: nobody gets it by the key. */
const TWICE = 2;
const UNKEYED = 3;

function hashOf(network: number, mac: number): number {
  return finish(mix(mix(network ^ HASH_SEED, Math.floor(mac / TWO_32)), mac >>> 0));
}

/**
 * Ids of ports that nobody owns: found in the kernel, or given back. Most have the natural key (network and MAC) of whose they were. In
 * typed arrays, in the order in which they came; there may be a million.
 */
export class OwnerlessIds {
  #ids = new Uint32Array(SMALLEST);
  #networks = new Uint32Array(SMALLEST);
  #macs = new Float64Array(SMALLEST);
  #until = new Float64Array(SMALLEST);
  #state = new Uint8Array(SMALLEST);
  #head = 0;
  #end = 0;
  #count = 0;
  #index = this.#makeIndex();

  get size(): number {
    return this.#count;
  }

  #makeIndex(): HashIndex {
    return new HashIndex((add) => {
      for (let at = this.#head; at < this.#end; at++) if (this.#isIndexed(at)) add(this.#hash(at), at);
    });
  }

  #isIndexed(at: number): boolean {
    return this.#state[at] === KEYED || this.#state[at] === TWICE;
  }

  #hash(at: number): number {
    return hashOf(this.#networks[at]!, this.#macs[at]!);
  }

  #find(network: number, mac: number): number {
    const index = this.#index;
    for (let at = index.first(hashOf(network, mac)); at >= 0; at = index.next()) {
      if (this.#networks[at] === network && this.#macs[at] === mac) return at;
    }
    return -1;
  }

  /** Makes room for so many more at once. */
  reserve(more: number): void {
    if (this.#end + more > this.#ids.length) this.#resize(Math.max(this.#count + more, SMALLEST));
    this.#index.reserve(more);
  }

  /** One of which nothing tells whose it was. */
  add(id: number, until: number): void {
    this.#push(id, 0, 0, until, UNKEYED);
  }

  /** @param until when it may be given to somebody else */
  addKeyed(id: number, network: number, mac: number, until: number): void {
    const other = this.#find(network, mac);
    if (other >= 0) {
      this.#state[other] = TWICE;
      this.#push(id, network, mac, until, UNKEYED);
      return;
    }
    this.#index.reserve(1);
    this.#push(id, network, mac, until, KEYED);
    this.#index.add(hashOf(network, mac), this.#end - 1);
  }

  #push(id: number, network: number, mac: number, until: number, state: number): void {
    if (this.#end === this.#ids.length) this.#resize(Math.max(this.#count * 2, SMALLEST));
    const at = this.#end++;
    this.#ids[at] = id;
    this.#networks[at] = network;
    this.#macs[at] = mac;
    this.#until[at] = until;
    this.#state[at] = state;
    this.#count++;
  }

  /** Moves what is left to the front of larger arrays. */
  #resize(length: number): void {
    const before = { ids: this.#ids, networks: this.#networks, macs: this.#macs, until: this.#until };
    const states = this.#state;
    const [head, end] = [this.#head, this.#end];
    this.#ids = new Uint32Array(length);
    this.#networks = new Uint32Array(length);
    this.#macs = new Float64Array(length);
    this.#until = new Float64Array(length);
    this.#state = new Uint8Array(length);
    let to = 0;
    for (let at = head; at < end; at++) {
      if (states[at] === GONE) continue;
      this.#ids[to] = before.ids[at]!;
      this.#networks[to] = before.networks[at]!;
      this.#macs[to] = before.macs[at]!;
      this.#until[to] = before.until[at]!;
      this.#state[to++] = states[at]!;
    }
    this.#head = 0;
    this.#end = 0;
    this.#index = this.#makeIndex();
    this.#index.reserve(to);
    this.#end = to;
    for (let at = 0; at < to; at++) if (this.#isIndexed(at)) this.#index.add(this.#hash(at), at);
  }

  /** The id that had this network and MAC; 0: none. */
  take(network: number, mac: number): number {
    if (this.#count === 0) return 0;
    const at = this.#find(network, mac);
    return at < 0 || this.#state[at] !== KEYED ? 0 : this.#drop(at);
  }

  /** The first one, if its time has come; 0: none. */
  takeFirst(now: number): number {
    while (this.#head < this.#end && this.#state[this.#head] === GONE) this.#head++;
    if (this.#head === this.#end || this.#until[this.#head]! > now) return 0;
    return this.#drop(this.#head);
  }

  #drop(at: number): number {
    if (this.#isIndexed(at)) this.#index.remove(this.#hash(at), at);
    this.#state[at] = GONE;
    this.#count--;
    return this.#ids[at]!;
  }

  /** Hands all of them over to another list, from which they may be taken at `until`. */
  moveTo(other: OwnerlessIds, until: number): void {
    for (let at = this.#head; at < this.#end; at++) {
      if (this.#state[at] === GONE) continue;
      if (this.#state[at] === KEYED) other.addKeyed(this.#ids[at]!, this.#networks[at]!, this.#macs[at]!, until);
      else other.add(this.#ids[at]!, until);
    }
    this.#head = 0;
    this.#end = 0;
    this.#count = 0;
    this.#ids = new Uint32Array(SMALLEST);
    this.#networks = new Uint32Array(SMALLEST);
    this.#macs = new Float64Array(SMALLEST);
    this.#until = new Float64Array(SMALLEST);
    this.#state = new Uint8Array(SMALLEST);
    this.#index = this.#makeIndex();
  }
}
