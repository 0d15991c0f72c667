/**
 * YAML by the library, in steps. Its lexer and its parser of tokens give way after each lexeme; what is left, making nodes of
 * the tokens of a whole document, is done here piece by piece while the parser goes on: the pairs of the outermost mapping,
 * and those of the mapping that is the value of its last pair, are taken from the parser as soon as they are complete.
 *
 * Why the nodes, and the errors with their order and places, are those of `parseDocument`:
 * - The text is lexed and parsed as one; tokens have offsets in all of it. Only the list of a mapping's items is cut.
 * - The parser looks at the last item of a mapping and the one before it, never at others (`blockMap`, `pop` and
 *   `getPrevProps` of parse/parser.js): those stay, and one more.
 * - The composer goes through the items in their order, and keeps between two of them where the last one ended
 *   (`resolveBlockMap` of compose/resolve-block-map.js): that is passed on as the place where the next piece begins. It also
 *   keeps where comments ended of an item that is nothing else: a mapping is not cut behind such an item. Whether keys
 *   stand twice is not its business (`uniqueKeys: false`).
 * - What stands before a mapping, as tags and anchors, is looked at with its first piece; with either of them, or a directive,
 *   or an error outside of the document, nothing is cut.
 * - Flow collections and lists are not cut.
 */

import { Composer, type CST, type Document, isMap, Lexer, type Pair, Parser, type YAMLError } from 'yaml';
import type { Steps } from './steps.ts';

/** How tables are parsed. */
export const YAML_OPTIONS = {
  version: '1.2',
  schema: 'core',
  merge: false,
  uniqueKeys: false,
  prettyErrors: false,
  // 'silent' would also be silent about a second document.
  logLevel: 'error',
} as const;

/** How the work is cut. */
export interface Cuts {
  /** Lexemes between two pauses. */
  readonly step: number;
  /** Items that a mapping has when those that are complete are taken from it. */
  readonly items: number;
}

/** A small part of a millisecond each. */
const CUTS: Cuts = { step: 64, items: 24 };
/** Items that are never taken: those that the parser may look at, and one more. */
const STAY = 3;

/** What is told of a document while it is parsed. */
export interface YamlPieces {
  /** Pairs of the outermost mapping. @param open the value of the last one goes on in `more` */
  pairs(items: readonly Pair[], open: boolean): void;
  /** More pairs of the mapping that is the value of the last pair. @param end where that mapping ends, as far as it is known */
  more(items: readonly Pair[], end: number): void;
}

/** A mistake that the library found. */
export type YamlMistake = Pick<YAMLError, 'code' | 'message' | 'pos'>;

/** A document: all of it when nothing was told in pieces, else what came behind them. */
export interface ParsedYaml {
  readonly document: Document.Parsed;
  readonly errors: readonly YamlMistake[];
  /** Was it told in pieces? Then where its mapping begins. */
  readonly begin: number | undefined;
}

type Item = CST.BlockMap['items'][number];

/** Some pairs of a mapping: where the last one ends, and where comments do that follow it. */
interface Composed {
  readonly pairs: readonly Pair[];
  readonly end: number;
  readonly behind: number;
}

/** Does a node have an anchor or a tag? */
const isMarked = (tokens: readonly CST.SourceToken[]): boolean =>
  tokens.some(({ type }) => type === 'anchor' || type === 'tag');

const isColon = ({ type }: CST.SourceToken): boolean => type === 'map-value-ind';

/** Cuts a document that is being parsed. */
class Cutter {
  readonly #pieces: YamlPieces;
  readonly #enough: number;
  readonly errors: YAMLError[] = [];
  /** Where the outermost mapping begins; undefined: nothing was cut. */
  begin: number | undefined;
  /** Where its next piece begins. */
  #rootAt = 0;
  /** The item of the mapping that is cut, and where the next piece of that begins. */
  #open: Item | undefined;
  #openAt = 0;

  constructor(pieces: YamlPieces, enough: number) {
    this.#pieces = pieces;
    this.#enough = enough;
  }

  /** Looks at what the parser has, outermost first. */
  take([document, root, section]: readonly CST.Token[]): void {
    if (section?.type !== 'block-map' || section.items.length < this.#enough) return;
    if (document?.type !== 'document' || root?.type !== 'block-map') return;
    const open = root.items.at(-1);
    // What stands behind a key without a colon is no value, and not composed.
    if (open?.sep === undefined || open.value !== undefined || !open.sep.some(isColon)) return;
    if (isMarked(open.sep) || isMarked(document.start)) return;
    if (root.items.some(({ sep }) => sep === undefined)) return;
    const many = complete(section.items);
    if (many < 1) return;
    const items = section.items.splice(0, many);
    if (open !== this.#open) {
      const head: Item = { ...open, value: { ...section, items } };
      this.#root(document, root, [...this.#closed(root.items.splice(0, root.items.length - 1)), head], true);
      this.#open = open;
      this.#openAt = this.#rootAt;
    } else this.#openAt = this.#more(section, items).end;
  }

  /** The items of the outermost mapping that are left: what was cut is told to its end. */
  #closed(items: Item[]): Item[] {
    if (this.#open === undefined || items[0] !== this.#open) return items;
    const section = this.#open.value;
    if (section?.type === 'block-map') this.#rootAt = this.#more(section, section.items).behind;
    this.#open = undefined;
    return items.slice(1);
  }

  #root(document: CST.Document, root: CST.BlockMap, items: Item[], open: boolean): void {
    const first = this.begin === undefined;
    if (first) {
      this.begin = root.offset;
      this.#rootAt = root.offset;
    }
    const { pairs, end } = this.#compose(first ? document.start : [], { ...root, offset: this.#rootAt, items });
    this.#rootAt = end;
    this.#pieces.pairs(pairs, open);
  }

  #more(section: CST.BlockMap, items: Item[]): Composed {
    const composed = this.#compose([], { ...section, offset: this.#openAt, items });
    this.#pieces.more(composed.pairs, composed.end);
    return composed;
  }

  #compose(start: CST.SourceToken[], value: CST.BlockMap): Composed {
    const token: CST.Document = { type: 'document', offset: value.offset, start, value };
    const [document] = new Composer(YAML_OPTIONS).compose([token]);
    this.errors.push(...document!.errors);
    const { contents } = document!;
    const [, end, behind] = contents?.range ?? [0, value.offset, value.offset];
    return { pairs: isMap(contents) ? contents.items : [], end, behind };
  }

  /** What is left of a document when the parser has all of it. */
  rest(document: CST.Document): CST.Document {
    const { value } = document;
    if (this.begin === undefined || value?.type !== 'block-map') return document;
    const items = this.#closed(value.items);
    return { ...document, start: [], value: { ...value, offset: this.#rootAt, items } };
  }
}

/** How many of a mapping's items can be taken. */
function complete(items: readonly Item[]): number {
  const most = items.length - STAY;
  const bare = items.findIndex(({ sep }) => sep === undefined);
  return bare >= 0 && bare < most ? bare : most;
}

/** The documents of a text, up to the second; the first one without what was cut from it. */
function* documentSteps(text: string, cutter: Cutter, step: number): Steps<Document.Parsed[]> {
  const parser = new Parser();
  const composer = new Composer(YAML_OPTIONS);
  const documents: Document.Parsed[] = [];
  let isOutside = true;
  let mayCut = true;
  const take = (token: CST.Token): void => {
    const { type } = token;
    if (type === 'directive' || type === 'error' || type === 'doc-end') mayCut = false;
    const own = type === 'document' && isOutside ? cutter.rest(token) : token;
    if (type === 'document') isOutside = false;
    documents.push(...composer.next(own));
  };
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) take(token);
    if (documents.length > 1) return documents;
    if (++lexemes % step !== 0) continue;
    if (mayCut && isOutside) cutter.take(parser.stack);
    yield;
  }
  for (const token of parser.end()) take(token);
  documents.push(...composer.end(true, text.length));
  return documents;
}

/** Parses a text as `parseDocument` does. Throws RangeError when it is nested too deep. */
export function* yamlPieces(text: string, pieces: YamlPieces, cuts = CUTS): Steps<ParsedYaml> {
  const cutter = new Cutter(pieces, cuts.items);
  const [document, second] = yield* documentSteps(text, cutter, cuts.step);
  const errors: YamlMistake[] = [...cutter.errors, ...document!.errors];
  if (second !== undefined) {
    errors.push({
      code: 'MULTIPLE_DOCS',
      message: 'a second document begins',
      pos: [second.range[0], second.range[1]],
    });
  }
  return { document: document!, errors, begin: cutter.begin };
}
