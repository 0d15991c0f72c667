/**
 * YAML as big tables are written, read many times faster than by the library: block mappings and lists, flow collections that
 * end on their line, plain texts of the characters of ids, quoted texts without escapes, comments. Whatever is not exactly that,
 * be it right or wrong, is for the library, which reads the whole text then.
 *
 * Why what is read here has the values that the library finds:
 * - Every line is empty, a comment, or begins with spaces and then a key or the `-` of a list; every value ends on its line. So no
 *   line belongs to a text of several lines (a line deeper than the one before it is only read below a key without a value),
 *   and where a mapping or list goes on or ends is told by the indentation alone (YAML 1.2.2, 8.2.1 and 8.2.2).
 * - A plain text has no character that means something to YAML but `:` and `-` inside it, which do so only before a space
 *   or the end of a line. Inside of flow collections the same (7.3.3): `,[]{}` are not among the characters.
 * - Plain texts that the core schema may take for something else than text (10.3.2) are read only as `null`, `true`, `false` and whole
 *   numbers without sign or leading zero.
 * - A carriage return is read only before a newline, a tab nowhere.
 */

import { emptyMapping } from './json.ts';
import type { Steps } from './steps.ts';
import { EntryList, TableTree } from './table-tree.ts';
import type { TextPieces } from './text-pieces.ts';
import type { Span } from './text-position.ts';

const RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const HASH = 0x23;
const APOSTROPHE = 0x27;
const COMMA = 0x2c;
const DASH = 0x2d;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** Records between two pauses. */
const STEP = 64;
/** Deeper values are for the library. */
const DEEPEST = 16;
/** Longer keys are for the library: it has a limit for them. */
const LONGEST_KEY = 500;

/** Characters of plain texts: 1, and those that one may begin with. */
const FIRST = 2;
const CHARACTERS = new Uint8Array(0x1_0000);
for (const char of '.:@/+-') CHARACTERS[char.charCodeAt(0)] = 1;
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_')
  CHARACTERS[char.charCodeAt(0)] = FIRST;

/** What the core schema takes for something else than text, of what begins with a letter or digit. */
const SPECIAL =
  /^(?:null|Null|NULL|[Tt]rue|TRUE|[Ff]alse|FALSE|[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+)$/;
const WHOLE_NUMBER = /^(?:0|[1-9][0-9]{0,14})$/;

/** The text is for the library. */
class NotPlain extends Error {}
const NOT_PLAIN = new NotPlain();

/** Takes an entry of a flow mapping; `start` is where its value begins. */
type Add = (key: string, value: unknown, place: Span, start: number) => void;

class PlainReader {
  readonly #pieces: TextPieces;
  #piece = -1;
  /** The piece at hand, and where it begins. */
  #text = '';
  #base = 0;
  /** In it: where the next line begins, */
  #next = 0;
  /** where this one ends, */
  #end = 0;
  /** and what is read next. */
  #at = 0;
  #line = 0;
  /** Spaces before the first character of this line; -1: the text is over. */
  #indent = 0;
  /** Where the last value ended, and its line, in the whole text. */
  #valueEnd = 0;
  #lineEnd = 0;
  /** The last key. */
  #key = '';
  #keyStart = 0;
  #keyEnd = 0;

  constructor(pieces: TextPieces) {
    this.#pieces = pieces;
  }

  *document(): Steps<TableTree> {
    this.#advance();
    if (this.#indent !== 0) throw NOT_PLAIN;
    const tree = new TableTree({ start: this.#here, end: this.#pieces.length });
    while (this.#indent === 0) {
      this.#blockKey();
      const key = this.#key;
      const place = this.#keyPlace;
      if (tree.entries.has(key)) throw NOT_PLAIN;
      const entry = this.#isLineOver() ? yield* this.#blockEntry(place) : this.#lineEntry();
      tree.entries.set(key, { key: place, line: 0, ...entry });
    }
    if (this.#indent > 0) throw NOT_PLAIN;
    return tree;
  }

  get #here(): number {
    return this.#base + this.#at;
  }

  get #keyPlace(): Span {
    return { start: this.#keyStart, end: this.#keyEnd };
  }

  /** The value of a key of the document on the lines below it. */
  *#blockEntry(key: Span): Steps<{ content: unknown; value: Span }> {
    this.#advance();
    const start = this.#here;
    const content = this.#indent > 0 && !this.#isItem() ? yield* this.#section() : this.#below(0, 1);
    return { content, value: content === null ? key : { start, end: this.#lineEnd } };
  }

  /** The same on the line of the key. */
  #lineEntry(): { content: unknown; value: Span } {
    const start = this.#here;
    const content = this.#text.charCodeAt(this.#at) === OPEN ? this.#flowSection() : this.#value(1);
    const value = { start, end: this.#valueEnd };
    this.#endLine();
    return { content, value };
  }

  /** The records of a section, one after the other. */
  *#section(): Steps<EntryList> {
    const indent = this.#indent;
    const list = new EntryList();
    while (this.#indent === indent) {
      if (list.length % STEP === STEP - 1) yield;
      const line = this.#line;
      this.#blockKey();
      const id = this.#key;
      const key = this.#keyPlace;
      if (list.find(id) >= 0) throw NOT_PLAIN;
      let { start } = key;
      let value: unknown;
      if (this.#isLineOver()) {
        this.#advance();
        const below = this.#here;
        value = this.#below(indent, 2);
        if (value !== null) start = below;
      } else {
        start = this.#here;
        value = this.#value(2);
        this.#endLine();
      }
      list.add(id, value, { key, value: { start, end: start === key.start ? key.end : this.#lineEnd }, line });
    }
    if (this.#indent > indent) throw NOT_PLAIN;
    return list;
  }

  /** A section in a flow mapping. */
  #flowSection(): EntryList {
    const list = new EntryList();
    this.#flowMapping(1, (id, value, key, start) => {
      if (list.find(id) >= 0) throw NOT_PLAIN;
      list.add(id, value, { key, value: { start, end: this.#valueEnd }, line: this.#line });
    });
    return list;
  }

  // lines

  /** Goes to the next line that is neither empty nor a comment. */
  #advance(): void {
    for (;;) {
      if (this.#next >= this.#text.length && !this.#more()) {
        this.#indent = -1;
        return;
      }
      const text = this.#text;
      const start = this.#next;
      const newline = text.indexOf('\n', start);
      // A line that goes on in the next piece is too long for this.
      if (newline < 0 && this.#piece + 1 < this.#pieces.count) throw NOT_PLAIN;
      this.#line++;
      this.#next = newline < 0 ? text.length : newline + 1;
      this.#end = newline < 0 ? text.length : newline;
      if (newline > start && text.charCodeAt(newline - 1) === RETURN) this.#end--;
      this.#at = start;
      this.#spaces();
      if (this.#at === this.#end) continue;
      if (text.charCodeAt(this.#at) !== HASH) {
        this.#indent = this.#at - start;
        return;
      }
      this.#comment();
    }
  }

  #more(): boolean {
    if (this.#piece + 1 >= this.#pieces.count) return false;
    this.#piece++;
    this.#text = this.#pieces.piece(this.#piece);
    this.#base = this.#pieces.start(this.#piece);
    this.#next = 0;
    return true;
  }

  #spaces(): void {
    while (this.#at < this.#end && this.#text.charCodeAt(this.#at) === SPACE) this.#at++;
  }

  /** A comment that is one line, whatever ends lines. */
  #comment(): void {
    const at = this.#text.indexOf('\r', this.#at);
    if (at >= 0 && at < this.#end) throw NOT_PLAIN;
  }

  /** Passes over spaces. True: there is nothing else on the line but a comment. */
  #isLineOver(): boolean {
    this.#spaces();
    if (this.#at < this.#end) {
      if (this.#text.charCodeAt(this.#at) !== HASH) return false;
      if (this.#text.charCodeAt(this.#at - 1) !== SPACE) throw NOT_PLAIN;
      this.#comment();
    }
    this.#lineEnd = this.#base + this.#end;
    return true;
  }

  /** A value was read, and must be the last one of its line. */
  #endLine(): void {
    if (!this.#isLineOver()) throw NOT_PLAIN;
    this.#advance();
  }

  // blocks

  /** Does the line begin with an item of a list? */
  #isItem(): boolean {
    return this.#text.charCodeAt(this.#at) === DASH && this.#text.charCodeAt(this.#at + 1) === SPACE;
  }

  /** What stands below a key without a value on its line. */
  #below(indent: number, depth: number): unknown {
    if (this.#indent >= indent && this.#isItem()) return this.#blockList(depth);
    if (this.#indent <= indent) return null;
    this.#blockKey();
    return this.#blockMapping(depth);
  }

  /** A mapping of which the first key was read. */
  #blockMapping(depth: number): Record<string, unknown> {
    if (depth > DEEPEST) throw NOT_PLAIN;
    const indent = this.#indent;
    const mapping = emptyMapping();
    for (;;) {
      const key = this.#key;
      if (key in mapping) throw NOT_PLAIN;
      if (this.#isLineOver()) {
        this.#advance();
        mapping[key] = this.#below(indent, depth + 1);
      } else {
        mapping[key] = this.#value(depth + 1);
        this.#endLine();
      }
      if (this.#indent > indent) throw NOT_PLAIN;
      if (this.#indent < indent) return mapping;
      this.#blockKey();
    }
  }

  #blockList(depth: number): unknown[] {
    if (depth > DEEPEST) throw NOT_PLAIN;
    const indent = this.#indent;
    const items: unknown[] = [];
    while (this.#indent === indent && this.#isItem()) {
      const dash = this.#at++;
      this.#spaces();
      const start = this.#at;
      if (this.#tryKey()) {
        this.#indent = indent + start - dash;
        items.push(this.#blockMapping(depth + 1));
      } else {
        this.#at = start;
        items.push(this.#value(depth + 1));
        this.#endLine();
      }
    }
    if (this.#indent > indent) throw NOT_PLAIN;
    return items;
  }

  /** A key and its colon, with a space or the end of the line behind it. */
  #blockKey(): void {
    if (!this.#tryKey()) throw NOT_PLAIN;
  }

  /** False: what comes is no key; where it begins is to be gone back to. */
  #tryKey(): boolean {
    const text = this.#text;
    const start = this.#at;
    const first = text.charCodeAt(start);
    let end: number;
    if (first === QUOTE || first === APOSTROPHE) {
      const close = this.#closingQuote(first);
      end = close + 1;
      if (text.charCodeAt(end) !== COLON) return false;
      this.#key = text.slice(start + 1, close);
    } else {
      end = this.#plainEnd() - 1;
      if (end <= start || text.charCodeAt(end) !== COLON) return false;
      this.#key = text.slice(start, end);
      if (text.charCodeAt(end - 1) === COLON || SPECIAL.test(this.#key)) throw NOT_PLAIN;
    }
    this.#at = end + 1;
    if (this.#at < this.#end && text.charCodeAt(this.#at) !== SPACE) throw NOT_PLAIN;
    if (end - start > LONGEST_KEY) throw NOT_PLAIN;
    this.#keyStart = this.#base + start;
    this.#keyEnd = this.#base + end;
    return true;
  }

  // values on one line

  #value(depth: number): unknown {
    if (depth > DEEPEST) throw NOT_PLAIN;
    const text = this.#text;
    const start = this.#at;
    const first = text.charCodeAt(start);
    let value: unknown;
    if (first === QUOTE || first === APOSTROPHE) {
      const close = this.#closingQuote(first);
      value = text.slice(start + 1, close);
      this.#at = close + 1;
    } else if (first === OPEN_LIST) {
      value = this.#flowList(depth);
    } else if (first === OPEN) {
      const mapping = emptyMapping();
      this.#flowMapping(depth, (key, item) => {
        if (key in mapping) throw NOT_PLAIN;
        mapping[key] = item;
      });
      value = mapping;
    } else {
      const end = this.#plainEnd();
      if (end === start || text.charCodeAt(end - 1) === COLON) throw NOT_PLAIN;
      value = resolved(text.slice(start, end));
      this.#at = end;
    }
    this.#valueEnd = this.#here;
    return value;
  }

  #flowList(depth: number): unknown[] {
    const items: unknown[] = [];
    this.#at++;
    this.#spaces();
    if (this.#isNext(CLOSE_LIST)) return items;
    for (;;) {
      items.push(this.#value(depth + 1));
      this.#spaces();
      if (this.#isNext(CLOSE_LIST)) return items;
      if (!this.#isNext(COMMA)) throw NOT_PLAIN;
      this.#spaces();
    }
  }

  #flowMapping(depth: number, add: Add): void {
    this.#at++;
    this.#spaces();
    while (!this.#isNext(CLOSE)) {
      this.#blockKey();
      const key = this.#key;
      const place = this.#keyPlace;
      this.#spaces();
      const start = this.#here;
      add(key, this.#value(depth + 1), place, start);
      this.#spaces();
      if (this.#isNext(CLOSE)) break;
      if (!this.#isNext(COMMA)) throw NOT_PLAIN;
      this.#spaces();
      // A comma before the end is for the library.
      if (this.#text.charCodeAt(this.#at) === CLOSE) throw NOT_PLAIN;
    }
    this.#valueEnd = this.#here;
  }

  /** Passes over a character. What ends lines is none that is asked for. */
  #isNext(code: number): boolean {
    if (this.#text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  /** Where the plain text ends that begins here; here, if none does. A space, the end of the line or flow follows it. */
  #plainEnd(): number {
    const text = this.#text;
    let at = this.#at;
    if (CHARACTERS[text.charCodeAt(at)] !== FIRST) return at;
    while (at < this.#end && CHARACTERS[text.charCodeAt(at)]! > 0) at++;
    if (at === this.#end) return at;
    const code = text.charCodeAt(at);
    if (code === SPACE || code === COMMA || code === CLOSE_LIST || code === CLOSE) return at;
    throw NOT_PLAIN;
  }

  #closingQuote(quote: number): number {
    const text = this.#text;
    for (let at = this.#at + 1; at < this.#end; at++) {
      const code = text.charCodeAt(at);
      if (code === quote) {
        if (quote === APOSTROPHE && text.charCodeAt(at + 1) === APOSTROPHE) break;
        return at;
      }
      if (code < SPACE || (code === BACKSLASH && quote === QUOTE)) break;
    }
    throw NOT_PLAIN;
  }
}

/** The value of a plain text. */
function resolved(text: string): unknown {
  if (!SPECIAL.test(text)) return text;
  if (WHOLE_NUMBER.test(text)) return Number(text);
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (text === 'null') return null;
  throw NOT_PLAIN;
}

/** The tree of a plain text; undefined when it is for the library. */
export function* plainYamlSteps(text: TextPieces): Steps<TableTree | undefined> {
  try {
    return yield* new PlainReader(text).document();
  } catch (error) {
    if (!(error instanceof NotPlain)) throw error;
    return undefined;
  }
}
