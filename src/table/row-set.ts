/** Bits of a page: it is made when one of its rows comes. */
const PAGE = 8_192;

/** Some rows of a store: a bit each. One row costs a page, a million cost 125 kB. */
export class RowSet {
  readonly #pages: (Uint32Array | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(row: number): boolean {
    const page = this.#pages[Math.floor(row / PAGE)];
    return page !== undefined && (page[(row % PAGE) >>> 5]! & (1 << (row & 31))) !== 0;
  }

  add(row: number): void {
    if (this.has(row)) return;
    const number = Math.floor(row / PAGE);
    let page = this.#pages[number];
    if (page === undefined) {
      page = new Uint32Array(PAGE / 32);
      this.#pages[number] = page;
    }
    page[(row % PAGE) >>> 5]! |= 1 << (row & 31);
    this.#size++;
  }

  delete(row: number): void {
    if (!this.has(row)) return;
    this.#pages[Math.floor(row / PAGE)]![(row % PAGE) >>> 5]! &= ~(1 << (row & 31));
    this.#size--;
  }
}
