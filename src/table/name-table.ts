/** Names as dense numbers, counted by who refers to them; the number of a name that nobody refers to is used again. */
export interface NameDump {
  readonly names: readonly (string | null)[];
  readonly references: readonly number[];
}

export class NameTable {
  readonly #numbers = new Map<string, number>();
  readonly #names: (string | undefined)[] = [];
  readonly #references: number[] = [];
  readonly #free: number[] = [];
  /** Names that got their first reference since this was last emptied. */
  readonly fresh = new Set<string>();

  /** The number of a name, if anybody refers to it. */
  find(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  /** One more reference; the name's number. */
  take(name: string): number {
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#names.length;
      this.#numbers.set(name, number);
      this.#names[number] = name;
      this.#references[number] = 0;
      this.fresh.add(name);
    }
    this.#references[number]!++;
    return number;
  }

  drop(number: number): void {
    const left = this.#references[number]! - 1;
    this.#references[number] = left;
    if (left > 0) return;
    this.#numbers.delete(this.#names[number]!);
    this.#names[number] = undefined;
    this.#free.push(number);
  }

  /** The name of a number that is referred to. */
  name(number: number): string {
    return this.#names[number]!;
  }

  /** The name of a number that may have been dropped. */
  nameIfKnown(number: number): string | undefined {
    return this.#names[number];
  }

  /** For a snapshot: names by number (null: free), and how many refer to each. */
  dump(): NameDump {
    return { names: this.#names.map((name) => name ?? null), references: [...this.#references] };
  }

  /** Of an empty table. */
  restore({ names, references }: NameDump): void {
    names.forEach((name, number) => {
      this.#names[number] = name ?? undefined;
      this.#references[number] = references[number] ?? 0;
      if (name === null) this.#free.push(number);
      else this.#numbers.set(name, number);
    });
  }

  references(name: string): number {
    const number = this.#numbers.get(name);
    return number === undefined ? 0 : this.#references[number]!;
  }

  /** Every name that is referred to. */
  names(): IterableIterator<string> {
    return this.#numbers.keys();
  }

  entries(): IterableIterator<[string, number]> {
    return this.#numbers.entries();
  }
}
