/**
 * Which member of a balanced address serves which part of the flows: a table of slots, filled as in Maglev (Eisenbud et al.,
 * NSDI 2016, section 3.4) but with exact shares. It follows from the members' ids and weights alone, so that every node, and
 * every run, makes the same one.
 */

/** A member, as far as its slots go. */
export interface Weighted {
  readonly id: string;
  /** 1–100. */
  readonly weight: number;
}

/** Sizes of a table of slots that members share. Primes: numbers modulo one are a field, whose inverses the permutations are made of. */
export const SLOT_SIZES = [4093, 16381, 65521, 262139, 1048573] as const;

/** Slots of an address that does not say how many: for 34 equal members, or weights down to a 163rd of their sum. */
export const DEFAULT_SLOTS = 16381;

/** Largest table of slots. */
export const MAX_SLOTS = SLOT_SIZES[SLOT_SIZES.length - 1] as number;

/** So many slots, at least, for a member of the least weight: its share is then within 1 % of what it should be. */
export const LEAST_SLOTS = 100;

/** So many slots, at least, for the square of the number of members: less, and more flows move than those of who comes or goes. */
export const LEAST_SQUARE = 14;

/** No member. */
const NOBODY = -1;

/**
 * Slots in a table of "at least so many": the next size, or the largest. It follows from what the address says and from
 * nothing that may change with its members: most flows move when the number of slots does.
 */
export function slotsFor(least = DEFAULT_SLOTS): number {
  return SLOT_SIZES.find((size) => size >= least) ?? MAX_SLOTS;
}

/** So many slots these members need, for shares within 1 % and under 1.5/N of the flows that move. Fewer members never need more. */
export function slotsNeeded(members: readonly Pick<Weighted, 'weight'>[]): number {
  if (members.length < 2) return 1;
  let sum = 0;
  let smallest = Number.POSITIVE_INFINITY;
  for (const { weight } of members) {
    sum += weight;
    smallest = Math.min(smallest, weight);
  }
  return Math.max(Math.ceil((LEAST_SLOTS * sum) / smallest), LEAST_SQUARE * members.length ** 2);
}

/** FNV-1a over the UTF-8 bytes of a text, mixed; 32 bits. Other seeds give independent numbers. */
function hashText(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return mix(hash);
}

/** The end of MurmurHash3. */
function mix(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Slots of each member: in proportion to the weights, what is left over to the largest remainders. */
function quotas(members: readonly Weighted[], size: number): number[] {
  const sum = members.reduce((total, { weight }) => total + weight, 0);
  // Whole numbers throughout: size * weight < 2^53.
  const found = members.map(({ weight }) => Math.floor((size * weight) / sum));
  const rest = members.map(({ weight }, index) => ({ index, rest: (size * weight) % sum }));
  rest.sort((a, b) => b.rest - a.rest || a.index - b.index);
  let left = size - found.reduce((total, count) => total + count, 0);
  for (const { index } of rest) {
    if (left === 0) break;
    (found[index] as number)++;
    left--;
  }
  return found;
}

export interface Slots {
  /** Index of the member that has the slot. */
  readonly first: Int32Array;
  /** Of the one that has it while the first is dead; -1: there is no other. */
  readonly second: Int32Array;
}

/**
 * Fills a table of `size` slots, one of `SLOT_SIZES`; one slot is enough for one member. Members take turns, each as often as its
 * weight says, and take the first free slot of their own permutation, until they have their shares.
 *
 * @param members in the order of their ids, each id once
 */
export function maglev(members: readonly Weighted[], size: number): Slots {
  const first = new Int32Array(size).fill(NOBODY);
  const second = new Int32Array(size).fill(NOBODY);
  if (members.length < 2) return { first: members.length === 0 ? first : first.fill(0), second };
  const quota = Int32Array.from(quotas(members, size));
  const order = inverses(size);
  const own = members.map(({ id }) => new Permutation(id, order));
  const taken = new Int32Array(members.length);
  const turns = new Turns(members);
  for (let filled = 0; filled < size; filled++) {
    while (at(taken, turns.first) >= at(quota, turns.first)) turns.drop();
    const member = turns.first;
    const permutation = own[member] as Permutation;
    let slot = permutation.next();
    while (first[slot] !== NOBODY) slot = permutation.next();
    first[slot] = member;
    const had = at(taken, member) + 1;
    taken[member] = had;
    turns.again((had + 0.5) / (members[member] as Weighted).weight);
  }
  fillSecond(first, second);
  return { first, second };
}

function at(list: Int32Array, index: number): number {
  return list[index] as number;
}

/** Tables of `inverses` that were needed; there are as many as sizes. */
const known = new Map<number, Int32Array>();

/** For each number modulo a prime the one whose product with it is 1; for 0, 0. A permutation. */
function inverses(prime: number): Int32Array {
  let found = known.get(prime);
  if (found === undefined) {
    found = new Int32Array(prime);
    found[1] = 1;
    for (let i = 2; i < prime; i++) found[i] = ((prime - Math.floor(prime / i)) * at(found, prime % i)) % prime;
    known.set(prime, found);
  }
  return found;
}

/**
 * The order in which a member takes slots: a · 1/(k + c) + b modulo their number, for k = 0, 1, … and a, b, c from its id (an
 * explicit inversive generator, Eichenauer-Herrmann 1993). With the paper's k · step + offset some tables have two members whose steps
 * are alike, or one a small multiple of the other's: they follow each other through the table, and up to 1.83/N of the flows moved.
 */
class Permutation {
  readonly #order: Int32Array;
  readonly #size: number;
  /** 1 / size. */
  readonly #part: number;
  readonly #factor: number;
  readonly #offset: number;
  #k: number;

  constructor(id: string, order: Int32Array) {
    const size = order.length;
    this.#order = order;
    this.#size = size;
    this.#part = 1 / size;
    this.#factor = 1 + (hashText(id, 0x736c6f74) % (size - 1));
    this.#offset = hashText(id, 0x6d617077) % size;
    this.#k = hashText(id, 0x6f726465) % size;
  }

  next(): number {
    const k = this.#k;
    this.#k = k + 1 === this.#size ? 0 : k + 1;
    // below 2^41: exact, but too large for the fast remainder of integers
    const sum = this.#factor * at(this.#order, k) + this.#offset;
    const rest = sum - Math.floor(sum * this.#part) * this.#size;
    if (rest < 0) return rest + this.#size;
    return rest < this.#size ? rest : rest - this.#size;
  }
}

/** Whose turn it is: the member that is the furthest behind; of equals the first. A heap. */
class Turns {
  /** Members, and when each has its next turn. */
  readonly #heap: Int32Array;
  readonly #when: Float64Array;
  #count: number;

  constructor(members: readonly Weighted[]) {
    this.#when = Float64Array.from(members, ({ weight }) => 0.5 / weight);
    this.#heap = Int32Array.from(members, (_, member) => member);
    this.#heap.sort((a, b) => (this.#isBefore(a, b) ? -1 : 1));
    this.#count = members.length;
  }

  get first(): number {
    return this.#heap[0] as number;
  }

  /** The first has its next turn then. */
  again(when: number): void {
    this.#when[this.first] = when;
    this.#sink();
  }

  /** The first has no more turns. */
  drop(): void {
    this.#heap[0] = at(this.#heap, --this.#count);
    this.#sink();
  }

  #isBefore(a: number, b: number): boolean {
    const difference = (this.#when[a] as number) - (this.#when[b] as number);
    return difference < 0 || (difference === 0 && a < b);
  }

  /** Puts the first where it belongs. */
  #sink(): void {
    const heap = this.#heap;
    const moved = this.first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#count) break;
      if (child + 1 < this.#count && this.#isBefore(at(heap, child + 1), at(heap, child))) child++;
      if (this.#isBefore(moved, at(heap, child))) break;
      heap[place] = at(heap, child);
      place = child;
    }
    heap[place] = moved;
  }
}

/** A second member for each slot: the owner of another slot, which gives each of the others its part by weight. */
function fillSecond(first: Int32Array, second: Int32Array): void {
  const size = first.length;
  for (let slot = 0; slot < size; slot++) {
    const step = 1 + (mix(slot ^ 0x7365636f) % (size - 1));
    let other = (slot + step) % size;
    while (first[other] === first[slot]) {
      other = (other + step) % size;
      // All slots are one member's: the shares of the others are too small for a slot.
      if (other === slot) break;
    }
    if (other !== slot) second[slot] = first[other] as number;
  }
}
