/**
 * A table in JSON, read in steps: the document and its sections entry by entry, each entry in one go. The text comes in
 * pieces; what does not end in the piece at hand is read again with more of it.
 */

import { JsonMistake, JsonParser, type RepeatedKey } from './json.ts';
import type { Steps } from './steps.ts';
import { EntryList, type RootEntry, TableTree } from './table-tree.ts';
import type { TextPieces } from './text-pieces.ts';
import type { Span } from './text-position.ts';

/** Entries between two pauses. */
const STEP = 64;
/** A mistake nearer to the end of what is at hand may be that end's: the longest that is looked at in one is an escape. */
const LOOK = 8;

const OPEN_LIST = 0x5b;
const OPEN = 0x7b;
const CLOSE: Readonly<Record<number, number>> = { [OPEN_LIST]: 0x5d, [OPEN]: 0x7d };
const COMMA = 0x2c;
const COLON = 0x3a;
const QUOTE = 0x22;

class TreeReader {
  readonly #text: TextPieces;
  readonly #tell: (repeat: RepeatedKey) => void;
  readonly #parser: JsonParser;
  /** Where the parser's text begins. */
  #base = 0;
  #pieces = 0;
  /** The line that was counted up to, and where it ends in the parser's text. */
  #line = 1;
  #lineEnd = 0;
  #repeats: RepeatedKey[] = [];
  #entries = 0;

  constructor(text: TextPieces, tell: (repeat: RepeatedKey) => void) {
    this.#text = text;
    this.#tell = tell;
    this.#parser = new JsonParser('', (repeat) => this.#repeats.push(repeat));
  }

  *whole(): Steps<unknown> {
    const parser = this.#parser;
    this.#attempt(() => parser.space());
    const start = this.#here;
    const code = parser.text.charCodeAt(parser.at);
    let value: unknown;
    if (code === OPEN) value = yield* this.#document({ start, end: start + 1 });
    else if (code === OPEN_LIST) value = yield* this.#list();
    else value = this.#attempt(() => parser.value());
    this.#attempt(() => parser.space());
    if (parser.at < parser.text.length) throw this.#moved(parser.unexpected('the end'));
    return value;
  }

  get #here(): number {
    return this.#base + this.#parser.at;
  }

  /** Counts the lines that end before a place, which is not before that of the last count. */
  #count(end: number): void {
    while (this.#lineEnd < end) {
      this.#line++;
      this.#lineEnd = this.#newline(this.#lineEnd + 1);
    }
  }

  #newline(from: number): number {
    const at = this.#parser.text.indexOf('\n', from);
    return at < 0 ? Number.POSITIVE_INFINITY : at;
  }

  /** Takes in more of the text, at least as much as there is behind a place, and lets go of what is before it. */
  #more(from: number): boolean {
    if (this.#pieces === this.#text.count) return false;
    const parser = this.#parser;
    this.#count(from);
    let text = parser.text.slice(from);
    const enough = text.length * 2;
    do text += this.#text.piece(this.#pieces++);
    while (text.length < enough && this.#pieces < this.#text.count);
    parser.text = text;
    this.#base += from;
    this.#lineEnd = this.#newline(0);
    return true;
  }

  /** Reads something here; once more with more of the text as long as what follows may belong to it. */
  #attempt<T>(read: () => T): T {
    const parser = this.#parser;
    const { depth } = parser;
    let start = parser.at;
    for (;;) {
      let failed: JsonMistake | undefined;
      let result: T | undefined;
      try {
        result = read();
      } catch (error) {
        if (!(error instanceof JsonMistake)) throw error;
        failed = error;
      }
      const end = failed === undefined ? parser.at : failed.offset + LOOK;
      if (end < parser.text.length || !this.#more(start)) {
        for (const repeat of this.#repeats.splice(0)) this.#tell(this.#movedRepeat(repeat));
        if (failed !== undefined) throw this.#moved(failed);
        return result as T;
      }
      start = 0;
      parser.at = 0;
      parser.depth = depth;
      this.#repeats = [];
    }
  }

  #moved(mistake: JsonMistake): JsonMistake {
    return new JsonMistake(mistake.message, mistake.offset + this.#base, mistake.tooDeep);
  }

  #movedRepeat({ key, depth, first, second }: RepeatedKey): RepeatedKey {
    return { key, depth, first: this.#movedSpan(first), second: this.#movedSpan(second) };
  }

  #movedSpan({ start, end }: Span): Span {
    return { start: start + this.#base, end: end + this.#base };
  }

  /** Is there an entry in the mapping or list that begins here? */
  #enter(): boolean {
    const parser = this.#parser;
    return this.#attempt(() => {
      const close = CLOSE[parser.text.charCodeAt(parser.at)];
      parser.enter();
      return !this.#ends(close);
    });
  }

  #ends(close: number | undefined): boolean {
    const parser = this.#parser;
    if (parser.text.charCodeAt(parser.at) !== close) return false;
    parser.at++;
    parser.depth--;
    return true;
  }

  /** Does another entry follow? */
  #next(open: number): boolean {
    const parser = this.#parser;
    parser.space();
    if (parser.text.charCodeAt(parser.at) === COMMA) {
      parser.at++;
      parser.space();
      return true;
    }
    if (this.#ends(CLOSE[open])) return false;
    throw parser.unexpected(open === OPEN ? "',' or '}'" : "',' or ']'");
  }

  /** A key and the colon behind it. */
  #key(known: (key: string) => Span | undefined): { key: string; start: number; end: number } {
    const parser = this.#parser;
    if (parser.text.charCodeAt(parser.at) !== QUOTE) throw parser.unexpected('a key in double quotes');
    const start = parser.at;
    const key = parser.string();
    const end = parser.at;
    const first = known(key);
    if (first !== undefined) {
      const before = { start: first.start - this.#base, end: first.end - this.#base };
      this.#repeats.push({ key, depth: parser.depth, first: before, second: { start, end } });
    }
    parser.space();
    if (parser.text.charCodeAt(parser.at) !== COLON) throw parser.unexpected("':'");
    parser.at++;
    parser.space();
    return { key, start, end };
  }

  *#document(span: Span): Steps<TableTree> {
    const parser = this.#parser;
    const tree = new TableTree(span);
    if (!this.#enter()) return tree;
    do {
      const { key, at } = this.#attempt(() => {
        const { key, start, end } = this.#key((name) => tree.placed(name)?.key);
        return { key, at: { start: start + this.#base, end: end + this.#base } };
      });
      const start = this.#here;
      this.#count(parser.at);
      const line = this.#line;
      const content = yield* this.#rootValue();
      const entry: RootEntry = { key: at, value: { start, end: this.#here }, line, content };
      const before = tree.entries.get(key);
      if (before !== undefined && !tree.first.has(key)) tree.first.set(key, before);
      tree.entries.set(key, entry);
      yield;
    } while (this.#attempt(() => this.#next(OPEN)));
    return tree;
  }

  *#rootValue(): Steps<unknown> {
    const parser = this.#parser;
    const code = parser.text.charCodeAt(parser.at);
    if (code === OPEN) return yield* this.#section();
    if (code === OPEN_LIST) return yield* this.#list();
    return this.#attempt(() => parser.value());
  }

  *#section(): Steps<EntryList> {
    const list = new EntryList();
    if (!this.#enter()) return list;
    let more = true;
    while (more) {
      const { key, start, end, value, valueStart, valueEnd, next } = this.#attempt(() => this.#entry(list));
      const known = list.find(key);
      // The last of repeated keys counts, where the first stands.
      if (known >= 0) list.values[known] = value;
      else {
        this.#count(start);
        const place = {
          key: this.#movedSpan({ start, end }),
          value: this.#movedSpan({ start: valueStart, end: valueEnd }),
        };
        list.add(key, value, { ...place, line: this.#line });
      }
      more = next;
      if (++this.#entries % STEP === 0) yield;
    }
    return list;
  }

  #entry(list: EntryList) {
    const parser = this.#parser;
    const key = this.#key((id) => {
      const known = list.find(id);
      return known < 0 ? undefined : list.key(known);
    });
    const valueStart = parser.at;
    const value = parser.value();
    const valueEnd = parser.at;
    return { ...key, value, valueStart, valueEnd, next: this.#next(OPEN) };
  }

  /** A list where a mapping should be: what is in it counts for nothing but its mistakes. */
  *#list(): Steps<unknown[]> {
    const parser = this.#parser;
    if (!this.#enter()) return [];
    const item = (): boolean => {
      parser.value();
      return this.#next(OPEN_LIST);
    };
    while (this.#attempt(item)) if (++this.#entries % STEP === 0) yield;
    return [];
  }
}

/** What a text of JSON holds; a mapping as a tree, a list without its items. Throws JsonMistake. */
export function jsonTreeSteps(text: TextPieces, tell: (repeat: RepeatedKey) => void): Steps<unknown> {
  return new TreeReader(text, tell).whole();
}
