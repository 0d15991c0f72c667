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

/** Sizes of a table of slots that members share. Primes: every step through one meets all of its slots. */
export const SLOT_SIZES = [4093, 32749, 262139, 1048573] as const;

/** Slots of an address that does not say how many: 48 equal members, or weights up to a 327th of their sum. */
export const DEFAULT_SLOTS = 32749;

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
export function slotsNeeded(members: readonly Weighted[]): number {
  if (members.length < 2) return 1;
  let sum = 0;
  let smallest = Number.POSITIVE_INFINITY;
  for (const { weight } of members) {
    sum += weight;
    smallest = Math.min(smallest, weight);
  }
  return Math.max(Math.ceil((LEAST_SLOTS * sum) / smallest), LEAST_SQUARE * members.length ** 2);
}

/** FNV-1a over the UTF-8 bytes of a text, mixed; 32 bits. Two seeds give two independent numbers. */
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
 * Fills a table of `size` slots, one of `SLOT_SIZES`; one slot is enough for one member. Members take turns, each as often as its weight says, and take the
 * first free slot of their own permutation, until they have their shares.
 *
 * @param members in the order of their ids, each id once
 */
export function maglev(members: readonly Weighted[], size: number): Slots {
  const first = new Int32Array(size).fill(NOBODY);
  const second = new Int32Array(size).fill(NOBODY);
  if (members.length < 2) return { first: members.length === 0 ? first : first.fill(0), second };
  const quota = quotas(members, size);
  const place = members.map(({ id }) => hashText(id, 0x6d617077) % size);
  const step = members.map(({ id }) => 1 + (hashText(id, 0x736c6f74) % (size - 1)));
  const taken = members.map(() => 0);
  // Whose turn it is: the member that is the furthest behind. A heap of [when it has its next turn, member].
  const turns = members.map(({ weight }, index) => [0.5 / weight, index] as [number, number]);
  turns.sort(before);
  for (let filled = 0; filled < size; filled++) {
    while (
      (taken[(turns[0] as [number, number])[1]] as number) >= (quota[(turns[0] as [number, number])[1]] as number)
    ) {
      const last = turns.pop() as [number, number];
      if (turns.length > 0) {
        turns[0] = last;
        sink(turns);
      }
    }
    const turn = turns[0] as [number, number];
    const member = turn[1];
    let slot = place[member] as number;
    while (first[slot] !== NOBODY) slot = (slot + (step[member] as number)) % size;
    first[slot] = member;
    place[member] = (slot + (step[member] as number)) % size;
    const had = (taken[member] as number) + 1;
    taken[member] = had;
    turn[0] = (had + 0.5) / (members[member] as Weighted).weight;
    sink(turns);
  }
  fillSecond(first, second);
  return { first, second };
}

function before(a: readonly [number, number], b: readonly [number, number]): number {
  return a[0] - b[0] || a[1] - b[1];
}

/** Puts the first of a heap where it belongs. */
function sink(heap: [number, number][]): void {
  const moved = heap[0] as [number, number];
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1] as [number, number], heap[child] as [number, number]) < 0)
      child++;
    if (before(moved, heap[child] as [number, number]) <= 0) break;
    heap[at] = heap[child] as [number, number];
    at = child;
  }
  heap[at] = moved;
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
