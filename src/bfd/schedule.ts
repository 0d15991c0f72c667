/** Who is due when: a binary heap in which an item's time can be changed. All operations are logarithmic. */
export class Schedule<T> {
  readonly #items: T[] = [];
  readonly #times: number[] = [];
  readonly #places = new Map<T, number>();

  get size(): number {
    return this.#items.length;
  }

  /** Of the first. Infinity: nobody waits. */
  get next(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  set(item: T, time: number): void {
    const place = this.#places.get(item);
    if (place === undefined) {
      this.#items.push(item);
      this.#times.push(time);
      this.#places.set(item, this.#items.length - 1);
      this.#rise(this.#items.length - 1);
      return;
    }
    const before = this.#times[place] as number;
    this.#times[place] = time;
    if (time < before) this.#rise(place);
    else this.#sink(place);
  }

  delete(item: T): void {
    const place = this.#places.get(item);
    if (place === undefined) return;
    this.#places.delete(item);
    const last = this.#items.length - 1;
    const item2 = this.#items.pop() as T;
    const time = this.#times.pop() as number;
    if (place === last) return;
    this.#put(place, item2, time);
    this.#rise(place);
    this.#sink(this.#places.get(item2) as number);
  }

  /** The first whose time has come; it stays until it is set or deleted. */
  due(now: number): T | undefined {
    return this.next <= now ? this.#items[0] : undefined;
  }

  #put(place: number, item: T, time: number): void {
    this.#items[place] = item;
    this.#times[place] = time;
    this.#places.set(item, place);
  }

  #rise(place: number): void {
    const item = this.#items[place] as T;
    const time = this.#times[place] as number;
    let at = place;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((this.#times[parent] as number) <= time) break;
      this.#put(at, this.#items[parent] as T, this.#times[parent] as number);
      at = parent;
    }
    if (at !== place) this.#put(at, item, time);
  }

  #sink(place: number): void {
    const item = this.#items[place] as T;
    const time = this.#times[place] as number;
    const size = this.#items.length;
    let at = place;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && (this.#times[child + 1] as number) < (this.#times[child] as number)) child++;
      if ((this.#times[child] as number) >= time) break;
      this.#put(at, this.#items[child] as T, this.#times[child] as number);
      at = child;
    }
    if (at !== place) this.#put(at, item, time);
  }
}
