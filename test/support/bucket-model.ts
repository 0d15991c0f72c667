/**
 * A model of the tables of `layout: compact`, written from bpf/buckets.h and not from native/ or bpf/address.h. Writer and reader
 * are generators that stop before each store and each load, so that a test can run them through each other in any order.
 */

const SLOTS = 4;
const FLAGS = 0xfn;
const U32 = 0xffff_ffffn;
const U64 = 0xffff_ffff_ffff_ffffn;
const MULTIPLIER = 0xd6e8_feb8_6659_fd93n;
const BUDGET = 4000;

/** Words behind the head, and 16 bits that are in it. */
export interface ModelKey {
  readonly words: readonly bigint[];
  readonly tail: bigint;
}

export interface ModelValue {
  readonly port: number;
  readonly flags: number;
}

/** What a writer does next: a store, or waiting until every reader that has begun is through. */
export type Step = 'store' | 'wait';

export interface ModelOptions {
  readonly buckets: number;
  /** 2 (IPv4, MAC) or 4 (IPv6). */
  readonly wordsPerSlot: 2 | 4;
  readonly seed: bigint;
  /** Left out of the protocol, to see that a test notices: waiting, or versions. */
  readonly without?: 'waiting' | 'versions';
}

function mix(h: bigint): bigint {
  h ^= h >> 32n;
  h = (h * MULTIPLIER) & U64;
  h ^= h >> 32n;
  h = (h * MULTIPLIER) & U64;
  return h ^ (h >> 32n);
}

export class BucketModel {
  readonly memory: BigUint64Array;
  readonly #options: ModelOptions;
  #occupied = 0;
  #vacated = 0;
  moves = 0;
  waits = 0;

  constructor(options: ModelOptions) {
    this.#options = options;
    this.memory = new BigUint64Array(options.buckets * SLOTS * options.wordsPerSlot);
  }

  hash({ words, tail }: ModelKey): bigint {
    const [first = 0n, ...more] = words;
    let h = mix(first ^ this.#options.seed);
    if (more.length > 0) {
      h = mix((h + more[0]!) & U64);
      h = mix((h + more[1]!) & U64);
    }
    return mix((h + tail) & U64);
  }

  /** First and second choice. */
  choices(key: ModelKey): readonly [number, number] {
    const { buckets } = this.#options;
    const hash = this.hash(key);
    const first = Number(((hash & U32) * BigInt(buckets)) >> 32n);
    const second = Number(((hash >> 32n) * BigInt(buckets - 1)) >> 32n);
    return [first, second >= first ? second + 1 : second];
  }

  /** As a program reads it. */
  *find(key: ModelKey): Generator<void, ModelValue | undefined, void> {
    const { without } = this.#options;
    for (const bucket of this.choices(key)) {
      for (let slot = 0; slot < SLOTS; slot++) {
        const at = this.#at(bucket, slot);
        yield;
        const head = this.memory[at]!;
        let same = head >> 48n === key.tail;
        for (const [i, word] of key.words.entries()) {
          yield;
          if (this.memory[at + 1 + i] !== word) same = false;
        }
        if (!same) continue;
        yield;
        const again = this.memory[at]!;
        const [marked, before] = [(again >> 36n) & 0xfffn, (head >> 36n) & 0xfffn];
        if ((again & U32) === 0n || (head & U32) === 0n || (marked !== before && without !== 'versions')) continue;
        if (again >> 48n !== head >> 48n) continue;
        return { port: Number(head & U32), flags: Number((head >> 32n) & FLAGS) };
      }
    }
    return undefined;
  }

  /** Ends with false where there is no room and none can be made. @param quiet nobody reads: nothing is waited for */
  *put(key: ModelKey, value: ModelValue, quiet = false): Generator<Step, boolean, void> {
    const known = this.#search(key);
    if (known !== undefined) {
      const head = this.memory[known]!;
      const wanted = this.#head(key, value, (head >> 36n) & 0xfffn);
      if (wanted !== head) {
        yield 'store';
        this.memory[known] = wanted;
      }
      return true;
    }
    const [first, second] = this.choices(key);
    let place = this.#free(first) ?? this.#free(second);
    if (place === undefined && !quiet) place = yield* this.#makeRoom([first, second], true, quiet);
    if (place === undefined) place = yield* this.#makeRoom([first, second], false, quiet);
    if (place === undefined) return false;
    yield* this.#occupy(place, key, value, quiet);
    return true;
  }

  *remove(key: ModelKey): Generator<Step, boolean, void> {
    const at = this.#search(key);
    if (at === undefined) return false;
    yield* this.#vacate(at);
    return true;
  }

  /** Keys and values, as a reader that is alone finds them. */
  *entries(): Generator<readonly [ModelKey, ModelValue], void, void> {
    for (let at = 0; at < this.memory.length; at += this.#options.wordsPerSlot) {
      const head = this.memory[at]!;
      if ((head & U32) !== 0n) {
        yield [this.#keyAt(at), { port: Number(head & U32), flags: Number((head >> 32n) & FLAGS) }];
      }
    }
  }

  #at(bucket: number, slot: number): number {
    return (bucket * SLOTS + slot) * this.#options.wordsPerSlot;
  }

  #bucketOf(at: number): number {
    return Math.floor(at / (SLOTS * this.#options.wordsPerSlot));
  }

  #keyAt(at: number): ModelKey {
    const { wordsPerSlot } = this.#options;
    return { tail: this.memory[at]! >> 48n, words: [...this.memory.subarray(at + 1, at + wordsPerSlot)] };
  }

  #head(key: ModelKey, { port, flags }: ModelValue, version: bigint): bigint {
    return BigInt(port) | (BigInt(flags) << 32n) | (version << 36n) | (key.tail << 48n);
  }

  #search(key: ModelKey): number | undefined {
    for (const bucket of this.choices(key)) {
      for (let slot = 0; slot < SLOTS; slot++) {
        const at = this.#at(bucket, slot);
        const held = this.#keyAt(at);
        if ((this.memory[at]! & U32) === 0n || held.tail !== key.tail) continue;
        if (held.words.every((word, i) => word === key.words[i])) return at;
      }
    }
    return undefined;
  }

  #free(bucket: number): number | undefined {
    for (let slot = 0; slot < SLOTS; slot++) {
      const at = this.#at(bucket, slot);
      if ((this.memory[at]! & U32) === 0n) return at;
    }
    return undefined;
  }

  *#wait(quiet: boolean): Generator<Step, void, void> {
    if (quiet || this.#options.without === 'waiting') return;
    yield 'wait';
    this.waits++;
    this.#occupied = this.#vacated = 0;
  }

  *#occupy(at: number, key: ModelKey, value: ModelValue, quiet: boolean): Generator<Step, void, void> {
    if (Math.min(this.#occupied, this.#vacated) >= BUDGET) yield* this.#wait(quiet);
    const version = (((this.memory[at]! >> 36n) & 0xfffn) + 1n) & 0xfffn;
    for (const [i, word] of key.words.entries()) {
      yield 'store';
      this.memory[at + 1 + i] = word;
    }
    yield 'store';
    this.memory[at] = this.#head(key, value, version);
    this.#occupied++;
  }

  *#vacate(at: number): Generator<Step, void, void> {
    yield 'store';
    this.memory[at] = this.memory[at]! & ~(U32 | (FLAGS << 32n));
    this.#vacated++;
  }

  /** Moves keys to their other buckets until one of these buckets has a free slot; breadth first. */
  *#makeRoom(
    roots: readonly number[],
    onlyForward: boolean,
    quiet: boolean,
  ): Generator<Step, number | undefined, void> {
    const steps = roots.map((bucket) => ({
      bucket,
      path: [] as readonly number[],
      visited: [bucket] as readonly number[],
    }));
    for (let index = 0; index < steps.length && index < 512; index++) {
      const { bucket, path, visited } = steps[index]!;
      for (let slot = 0; slot < SLOTS; slot++) {
        const at = this.#at(bucket, slot);
        const [first, second] = this.choices(this.#keyAt(at));
        if (onlyForward && first !== bucket) continue;
        const other = first === bucket ? second : first;
        if (visited.includes(other)) continue;
        const free = this.#free(other);
        if (free === undefined) {
          steps.push({ bucket: other, path: [...path, at], visited: [...visited, other] });
          continue;
        }
        let to = free;
        for (const from of [...path, at].reverse()) {
          yield* this.#move(from, to, quiet);
          to = from;
        }
        return to;
      }
    }
    return undefined;
  }

  *#move(from: number, to: number, quiet: boolean): Generator<Step, void, void> {
    const key = this.#keyAt(from);
    const head = this.memory[from]!;
    const value = { port: Number(head & U32), flags: Number((head >> 32n) & FLAGS) };
    yield* this.#occupy(to, key, value, quiet);
    if (this.choices(key)[0] !== this.#bucketOf(from)) yield* this.#wait(quiet);
    yield* this.#vacate(from);
    this.moves++;
  }
}

/** Runs a writer that nobody reads beside. */
export function finish<T>(writer: Generator<unknown, T, void>): T {
  for (;;) {
    const step = writer.next();
    if (step.done === true) return step.value;
  }
}
