/**
 * A whole table as it was read from one text, before it is judged: the keys of the document, and of those that hold mappings
 * the entries, with their places.
 */

import type { Span } from './text-position.ts';

/** Maps of texts are kept apart by so many: one large map that grows blocks everything else while it does. */
const SHARES = 256;

function shareOf(id: string): number {
  let hash = id.length;
  for (let i = Math.max(0, id.length - 8); i < id.length; i++) hash = (Math.imul(hash, 31) + id.charCodeAt(i)) | 0;
  return (hash ^ (hash >>> 8)) & (SHARES - 1);
}

/** Where an entry of a mapping is. */
export interface EntryPlace {
  /** Of its key, which in a line of its own is the place of a record. */
  readonly key: Span;
  readonly value: Span;
  readonly line: number;
}

/** The entries of a section, in their order. */
export class EntryList {
  readonly ids: string[] = [];
  readonly values: unknown[] = [];
  /** Of each entry: where its key and its value begin and end, and its line. */
  readonly #places: number[] = [];
  readonly #shares: (Map<string, number> | undefined)[] = new Array(SHARES).fill(undefined);

  get length(): number {
    return this.ids.length;
  }

  /** -1: there is none. */
  find(id: string): number {
    return this.#shares[shareOf(id)]?.get(id) ?? -1;
  }

  /** The id must not be there. */
  add(id: string, value: unknown, place: EntryPlace): void {
    const share = shareOf(id);
    let index = this.#shares[share];
    if (index === undefined) {
      index = new Map();
      this.#shares[share] = index;
    }
    index.set(id, this.length);
    this.ids.push(id);
    this.values.push(value);
    this.#places.push(place.key.start, place.key.end, place.value.start, place.value.end, place.line);
  }

  key(index: number): Span {
    return { start: this.#places[index * 5]!, end: this.#places[index * 5 + 1]! };
  }

  value(index: number): Span {
    return { start: this.#places[index * 5 + 2]!, end: this.#places[index * 5 + 3]! };
  }

  line(index: number): number {
    return this.#places[index * 5 + 4]!;
  }
}

/** A key of the document. */
export interface RootEntry {
  readonly key: Span;
  readonly value: Span;
  /** Of the value. */
  readonly line: number;
  /** A mapping is a list of its entries. */
  readonly content: unknown;
}

/** A document that is a mapping. */
export class TableTree {
  /** Of the document's value. */
  span: Span;
  /** The keys, each with what counts. */
  readonly entries = new Map<string, RootEntry>();
  /** The entries that stand first, of keys that stand twice where the last counts: places are looked up in them. */
  readonly first = new Map<string, RootEntry>();

  constructor(span: Span) {
    this.span = span;
  }

  /** Where a key is looked for. */
  placed(key: string): RootEntry | undefined {
    return this.first.get(key) ?? this.entries.get(key);
  }

  /** The value of an entry that counts; undefined when there is none. */
  valueOf(section: string, id: string): unknown {
    const content = this.entries.get(section)?.content;
    return content instanceof EntryList ? content.values[content.find(id)] : undefined;
  }

  /** The line of an entry of a section. */
  lineOf(section: string, list: EntryList, index: number): number {
    const first = this.first.get(section);
    if (first === undefined) return list.line(index);
    const place = first.content instanceof EntryList ? first.content.find(list.ids[index]!) : -1;
    return place < 0 ? first.line : (first.content as EntryList).line(place);
  }
}
