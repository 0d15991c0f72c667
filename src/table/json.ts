/**
 * JSON with what JSON.parse keeps to itself: keys that stand twice, offsets of mistakes, and where a value is. Accepts
 * exactly the texts of RFC 8259; nesting is limited.
 */

import type { Path } from './row.ts';
import type { Span } from './text-position.ts';

export const MAX_DEPTH = 64;

/** A text that is not JSON. */
export class JsonMistake extends Error {
  readonly offset: number;
  readonly tooDeep: boolean;

  constructor(message: string, offset: number, tooDeep = false) {
    super(message);
    this.offset = offset;
    this.tooDeep = tooDeep;
  }
}

export interface RepeatedKey {
  readonly key: string;
  /** Of the mapping: 1 for the outermost. */
  readonly depth: number;
  readonly first: Span;
  readonly second: Span;
}

type Mapping = Record<string, unknown>;

/** A mapping on which every key is an own one, `__proto__` too. */
export function emptyMapping(): Mapping {
  return Object.create(null) as Mapping;
}

/** Reads values from a text one after the other. Throws JsonMistake. */
export class JsonParser {
  text: string;
  at = 0;
  depth = 0;
  readonly #onRepeat: ((repeat: RepeatedKey) => void) | undefined;

  constructor(text: string, onRepeat: ((repeat: RepeatedKey) => void) | undefined) {
    this.text = text;
    this.#onRepeat = onRepeat;
  }

  whole(): unknown {
    this.space();
    const value = this.value();
    this.space();
    if (this.at < this.text.length) throw this.unexpected('the end');
    return value;
  }

  space(): void {
    const { text } = this;
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  unexpected(wanted: string): JsonMistake {
    const { text, at } = this;
    if (at >= text.length) return new JsonMistake(`the text ends where ${wanted} should be`, at);
    const found = String.fromCodePoint(text.codePointAt(at)!);
    return new JsonMistake(`${JSON.stringify(found)} stands where ${wanted} should be`, at);
  }

  value(): unknown {
    const code = this.text.charCodeAt(this.at);
    if (code === 0x22) return this.string();
    if (code === 0x7b) return this.object();
    if (code === 0x5b) return this.array();
    if (code === 0x2d || (code >= 0x30 && code <= 0x39)) return this.number();
    if (code === 0x74) return this.word('true', true);
    if (code === 0x66) return this.word('false', false);
    if (code === 0x6e) return this.word('null', null);
    throw this.unexpected('a value');
  }

  word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw this.unexpected('a value');
    this.at += word.length;
    return value;
  }

  number(): number {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) throw this.unexpected('a number');
    this.at = NUMBER.lastIndex;
    return Number(match[0]);
  }

  string(): string {
    const { text } = this;
    const start = this.at + 1;
    let at = start;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        this.at = at + 1;
        return text.slice(start, at);
      }
      if (code === 0x5c) return this.escaped(start, at);
      if (!(code >= 0x20)) {
        this.at = at;
        throw this.unexpected('a character of the text or its closing quote');
      }
      at++;
    }
  }

  escaped(start: number, firstEscape: number): string {
    const { text } = this;
    let result = text.slice(start, firstEscape);
    let at = firstEscape;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        this.at = at + 1;
        return result;
      }
      if (code === 0x5c) {
        const plain = ESCAPES[text.charAt(at + 1)];
        if (plain !== undefined) {
          result += plain;
          at += 2;
          continue;
        }
        const hex = text.slice(at + 2, at + 6);
        if (text.charCodeAt(at + 1) !== 0x75 || !/^[0-9a-fA-F]{4}$/.test(hex)) {
          throw new JsonMistake('a backslash is not followed by an escape of JSON', at);
        }
        result += String.fromCharCode(Number.parseInt(hex, 16));
        at += 6;
        continue;
      }
      this.at = at;
      if (!(code >= 0x20)) throw this.unexpected('a character of the text or its closing quote');
      result += text[at];
      at++;
    }
  }

  enter(): void {
    if (++this.depth > MAX_DEPTH) {
      throw new JsonMistake(`values are nested more than ${MAX_DEPTH} deep`, this.at, true);
    }
    this.at++;
    this.space();
  }

  object(): Mapping {
    this.enter();
    const mapping = emptyMapping();
    const opening = this.at;
    if (this.text.charCodeAt(this.at) === 0x7d) {
      this.at++;
      this.depth--;
      return mapping;
    }
    for (;;) {
      if (this.text.charCodeAt(this.at) !== 0x22) throw this.unexpected('a key in double quotes');
      const keyStart = this.at;
      const key = this.string();
      if (key in mapping) this.repeated(key, opening, { start: keyStart, end: this.at });
      this.space();
      if (this.text.charCodeAt(this.at) !== 0x3a) throw this.unexpected("':'");
      this.at++;
      this.space();
      mapping[key] = this.value();
      this.space();
      const code = this.text.charCodeAt(this.at);
      this.at++;
      if (code === 0x2c) {
        this.space();
        continue;
      }
      if (code === 0x7d) {
        this.depth--;
        return mapping;
      }
      this.at--;
      throw this.unexpected("',' or '}'");
    }
  }

  repeated(key: string, opening: number, second: Span): void {
    const first = memberOf(this.text, opening, key)?.key ?? second;
    this.#onRepeat?.({ key, depth: this.depth, first, second });
  }

  array(): unknown[] {
    this.enter();
    const items: unknown[] = [];
    if (this.text.charCodeAt(this.at) === 0x5d) {
      this.at++;
      this.depth--;
      return items;
    }
    for (;;) {
      items.push(this.value());
      this.space();
      const code = this.text.charCodeAt(this.at);
      this.at++;
      if (code === 0x2c) {
        this.space();
        continue;
      }
      if (code === 0x5d) {
        this.depth--;
        return items;
      }
      this.at--;
      throw this.unexpected("',' or ']'");
    }
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const ESCAPES: Readonly<Record<string, string>> = Object.assign(Object.create(null), {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
});

/** The value of a JSON text; mappings have no prototype. The last of repeated keys counts. Throws JsonMistake. */
export function parseJson(text: string, onRepeat?: (repeat: RepeatedKey) => void): unknown {
  return new JsonParser(text, onRepeat).whole();
}

interface Member {
  readonly key: Span;
  readonly value: Span;
}

/** Every member of the object whose first member begins at `opening`, in a text that is known to be JSON so far. */
function* members(text: string, opening: number): Generator<Member & { readonly name: string }> {
  const parser = new JsonParser(text, undefined);
  parser.at = opening;
  for (;;) {
    parser.space();
    if (text.charCodeAt(parser.at) !== 0x22) return;
    const keyStart = parser.at;
    const name = parser.string();
    const key = { start: keyStart, end: parser.at };
    parser.space();
    parser.at++;
    parser.space();
    const start = parser.at;
    parser.value();
    yield { name, key, value: { start, end: parser.at } };
    parser.space();
    if (text.charCodeAt(parser.at) !== 0x2c) return;
    parser.at++;
  }
}

function memberOf(text: string, opening: number, name: string): Member | undefined {
  for (const member of members(text, opening)) if (member.name === name) return member;
  return undefined;
}

function itemOf(text: string, opening: number, wanted: number): Span | undefined {
  const parser = new JsonParser(text, undefined);
  parser.at = opening;
  for (let index = 0; ; index++) {
    parser.space();
    if (text.charCodeAt(parser.at) === 0x5d) return undefined;
    const start = parser.at;
    parser.value();
    if (index === wanted) return { start, end: parser.at };
    parser.space();
    if (text.charCodeAt(parser.at) !== 0x2c) return undefined;
    parser.at++;
  }
}

/** Finds values of one JSON text; keeps where the members of the mappings on the way are. */
export class JsonLocator {
  readonly #text: string;
  readonly #known = new Map<number, Map<string, Member>>();

  constructor(text: string) {
    this.#text = text;
  }

  /**
   * The span of the value at a path, or of the key at its end; of the last value on the way that exists otherwise.
   * @param whole of the outermost value, where more of it than its beginning is meant
   */
  locate(path: Path, key: boolean, whole?: Span): Span {
    const parser = new JsonParser(this.#text, undefined);
    parser.space();
    let span: Span = whole ?? { start: parser.at, end: parser.at + 1 };
    let atKey = span;
    for (const step of path) {
      const opening = this.#text.charCodeAt(span.start);
      if (typeof step === 'number') {
        const item = opening === 0x5b ? itemOf(this.#text, span.start + 1, step) : undefined;
        if (item === undefined) return span;
        span = item;
        atKey = item;
        continue;
      }
      const member = opening === 0x7b ? this.#members(span.start + 1).get(step) : undefined;
      if (member === undefined) return span;
      span = member.value;
      atKey = member.key;
    }
    return key ? atKey : span;
  }

  #members(opening: number): Map<string, Member> {
    let known = this.#known.get(opening);
    if (known === undefined) {
      known = new Map();
      for (const member of members(this.#text, opening)) {
        if (!known.has(member.name)) known.set(member.name, member);
      }
      this.#known.set(opening, known);
    }
    return known;
  }
}
