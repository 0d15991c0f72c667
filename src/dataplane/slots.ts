/**
 * Slots: small numbers that index the counters of a device. A device that stays keeps its slot; the lowest free one is
 * given next. Underlay devices come first, because a next hop holds its device's slot in 16 bits.
 */
export class Slots {
  readonly #used = new Map<number, number>();
  readonly #byIfindex = new Map<number, number>();

  /** A slot that the kernel's maps say is in use. */
  adopt(ifindex: number, slot: number): void {
    if (this.#used.has(slot) || this.#byIfindex.has(ifindex)) return;
    this.#used.set(slot, ifindex);
    this.#byIfindex.set(ifindex, slot);
  }

  slotOf(ifindex: number): number | undefined {
    return this.#byIfindex.get(ifindex);
  }

  /** The device's slot, and whether it is new: its counters then belong to somebody who is gone. */
  take(ifindex: number): { readonly slot: number; readonly fresh: boolean } {
    const known = this.#byIfindex.get(ifindex);
    if (known !== undefined) return { slot: known, fresh: false };
    let slot = 0;
    while (this.#used.has(slot)) slot++;
    this.#used.set(slot, ifindex);
    this.#byIfindex.set(ifindex, slot);
    return { slot, fresh: true };
  }

  release(ifindex: number): void {
    const slot = this.#byIfindex.get(ifindex);
    if (slot === undefined) return;
    this.#byIfindex.delete(ifindex);
    this.#used.delete(slot);
  }

  /** One more than the highest slot in use. */
  get extent(): number {
    let extent = 0;
    for (const slot of this.#used.keys()) extent = Math.max(extent, slot + 1);
    return extent;
  }
}
