/**
 * Whole numbers below 2^32 by row, of which neighbours are much alike: lines, files, ids that were given out in turn. A chunk of rows in which
 * all are the same, or each is one more than the one before, takes a few bytes; of any other one the differences from its least are kept,
 * in one, two or four bytes each. What was never set is 0.
 */

const SHIFT = 9;
/** Rows of a chunk. */
const CHUNK = 1 << SHIFT;
const MASK = CHUNK - 1;
const SMALLEST = 8;

/** Kinds of chunks, as a dump has them; of the other ones it is the bytes of a difference. */
const SAME = 0;
const RISING = 3;

type Differences = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** A column as a snapshot keeps it. */
export interface ColumnDump {
  /** By chunk: the least, or first, number. */
  readonly bases: Uint32Array<ArrayBuffer>;
  readonly kinds: Uint8Array<ArrayBuffer>;
  /** Differences, chunk after chunk. */
  readonly cells: Uint8Array<ArrayBuffer>;
}

export class NumberColumn {
  #bases = new Uint32Array(SMALLEST);
  /** 1: each is one more than the one before. */
  #steps = new Uint8Array(SMALLEST);
  #differences: (Differences | undefined)[] = new Array(SMALLEST).fill(undefined);
  /** The chunk that was written last lies here as it is. */
  readonly #open = new Uint32Array(CHUNK);
  #openChunk = -1;

  get(row: number): number {
    const chunk = row >>> SHIFT;
    if (chunk === this.#openChunk) return this.#open[row & MASK]!;
    if (chunk >= this.#bases.length) return 0;
    const differences = this.#differences[chunk];
    if (differences !== undefined) return this.#bases[chunk]! + differences[row & MASK]!;
    return this.#bases[chunk]! + this.#steps[chunk]! * (row & MASK);
  }

  set(row: number, value: number): void {
    const chunk = row >>> SHIFT;
    if (chunk === this.#openChunk) {
      this.#open[row & MASK] = value;
      return;
    }
    const differences = this.#differences[chunk];
    if (differences !== undefined) {
      const difference = value - this.#bases[chunk]!;
      if (difference >= 0 && difference <= mostOf(differences)) {
        differences[row & MASK] = difference;
        return;
      }
    } else if (this.get(row) === value) return;
    this.#openUp(chunk);
    this.#open[row & MASK] = value;
  }

  #openUp(chunk: number): void {
    this.#seal();
    if (chunk >= this.#bases.length) this.#grow(chunk + 1);
    const first = chunk << SHIFT;
    for (let i = 0; i < CHUNK; i++) this.#open[i] = this.get(first + i);
    this.#openChunk = chunk;
    this.#differences[chunk] = undefined;
  }

  #grow(least: number): void {
    const length = Math.max(least, Math.ceil(this.#bases.length * 1.5));
    const [bases, steps] = [new Uint32Array(length), new Uint8Array(length)];
    bases.set(this.#bases);
    steps.set(this.#steps);
    this.#bases = bases;
    this.#steps = steps;
    while (this.#differences.length < length) this.#differences.push(undefined);
  }

  /** Puts the open chunk into its form. */
  #seal(): void {
    const chunk = this.#openChunk;
    if (chunk < 0) return;
    this.#openChunk = -1;
    const open = this.#open;
    const first = open[0]!;
    const step = open[1]! - first;
    let least = first;
    let most = first;
    let isEven = step === 0 || step === 1;
    for (let i = 0; i < CHUNK; i++) {
      const value = open[i]!;
      if (value < least) least = value;
      if (value > most) most = value;
      if (value !== first + step * i) isEven = false;
    }
    this.#bases[chunk] = least;
    this.#steps[chunk] = isEven ? step : 0;
    if (isEven) return;
    const differences = differencesOf(widthFor(most - least));
    for (let i = 0; i < CHUNK; i++) differences[i] = open[i]! - least;
    this.#differences[chunk] = differences;
  }

  /** Rows below `limit` with a number that is marked (1). */
  rowsOf(marked: Uint8Array, limit: number, visit: (row: number) => void): void {
    for (let from = 0; from < limit; from += CHUNK) {
      const chunk = from >>> SHIFT;
      const isSame = chunk !== this.#openChunk && this.#differences[chunk] === undefined && this.#steps[chunk] !== 1;
      if (isSame && marked[this.get(from)] !== 1) continue;
      const end = Math.min(limit, from + CHUNK);
      for (let row = from; row < end; row++) if (marked[this.get(row)] === 1) visit(row);
    }
  }

  /** Calls for every row whose number is not 0. */
  each(visit: (row: number, value: number) => void): void {
    for (let chunk = 0; chunk < this.#bases.length; chunk++) {
      const isSame = chunk !== this.#openChunk && this.#differences[chunk] === undefined && this.#steps[chunk] !== 1;
      if (isSame && this.#bases[chunk] === 0) continue;
      for (let row = chunk << SHIFT; row < (chunk + 1) << SHIFT; row++) {
        const value = this.get(row);
        if (value !== 0) visit(row, value);
      }
    }
  }

  /** The same numbers in a column of its own. */
  copy(): NumberColumn {
    return NumberColumn.restore(this.dump());
  }

  /** For a snapshot: nothing of it changes with the column. */
  dump(): ColumnDump {
    this.#seal();
    const kinds = this.#steps.map((step, chunk) => {
      const differences = this.#differences[chunk];
      return differences === undefined ? (step === 1 ? RISING : SAME) : differences.BYTES_PER_ELEMENT;
    });
    const cells = new Uint8Array(kinds.reduce((sum, kind) => sum + (kind === RISING ? 0 : kind * CHUNK), 0));
    let at = 0;
    for (const differences of this.#differences) {
      if (differences === undefined) continue;
      cells.set(new Uint8Array(differences.buffer), at);
      at += differences.byteLength;
    }
    return { bases: this.#bases.slice(), kinds, cells };
  }

  /** Takes the dump over. */
  static restore({ bases, kinds, cells }: ColumnDump): NumberColumn {
    const column = new NumberColumn();
    column.#bases = bases;
    column.#steps = kinds.map((kind) => (kind === RISING ? 1 : 0));
    let at = 0;
    column.#differences = Array.from(kinds, (kind) => {
      if (kind === SAME || kind === RISING) return undefined;
      const differences = differencesOf(kind);
      new Uint8Array(differences.buffer).set(cells.subarray(at, at + differences.byteLength));
      at += differences.byteLength;
      return differences;
    });
    return column;
  }
}

function widthFor(difference: number): number {
  return difference <= 0xff ? 1 : difference <= 0xffff ? 2 : 4;
}

function differencesOf(width: number): Differences {
  return width === 1 ? new Uint8Array(CHUNK) : width === 2 ? new Uint16Array(CHUNK) : new Uint32Array(CHUNK);
}

function mostOf(differences: Differences): number {
  return differences instanceof Uint8Array ? 0xff : differences instanceof Uint16Array ? 0xffff : 0xffff_ffff;
}

/** The arrays of a column's dump under names that begin with its own. */
export function namedColumn(name: string, column: NumberColumn): Record<string, Differences> {
  const { bases, kinds, cells } = column.dump();
  return { [`${name}Bases`]: bases, [`${name}Kinds`]: kinds, [`${name}Cells`]: cells };
}

/** Undefined when they are not all there. */
export function columnNamed(name: string, arrays: Readonly<Record<string, Differences>>): NumberColumn | undefined {
  const [bases, kinds, cells] = ['Bases', 'Kinds', 'Cells'].map((part) => arrays[name + part]);
  if (!(bases instanceof Uint32Array && kinds instanceof Uint8Array && cells instanceof Uint8Array)) return undefined;
  return NumberColumn.restore({ bases, kinds, cells });
}
