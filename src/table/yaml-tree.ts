/**
 * A table in YAML 1.2 (core schema), by the library. Its nodes become plain values by a walk of our own: anchors, aliases, tags
 * and keys that are no text are refused there, so that nothing is ever expanded.
 */

import { isAlias, isMap, isScalar, isSeq, type Pair, type YAMLMap } from 'yaml';
import { quote } from './diagnostics.ts';
import type { RecordSink } from './document.ts';
import { emptyMapping, MAX_DEPTH } from './json.ts';
import { describe } from './row.ts';
import type { Steps } from './steps.ts';
import { EntryList, type RootEntry, TableTree } from './table-tree.ts';
import type { TextPieces } from './text-pieces.ts';
import type { Position, Span } from './text-position.ts';
import { type Cuts, type ParsedYaml, type YamlPieces, yamlPieces } from './yaml-pieces.ts';

/** The place of what has none: the beginning. */
export const WHOLE: Span = { start: 0, end: 1 };

export function spanOf(node: unknown): Span | undefined {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range ? { start: range[0]!, end: Math.max(range[1]!, range[0]! + 1) } : undefined;
}

/** The place of a value. One that is not written has none of its own, but that of its key. */
export function spanOfValue(node: unknown, key: Span | undefined): Span | undefined {
  if (isScalar(node) && node.type === 'PLAIN' && node.source === '') return key;
  return spanOf(node) ?? key;
}

/** What a text holds, and what is to be told of it. */
export interface YamlTree {
  readonly root: unknown;
  readonly parsed: ParsedYaml;
  /** Mistakes beyond those of the parser; they count only if that found none. */
  readonly tell: () => void;
  /** Something was refused: what is left says too little to be judged. */
  readonly refused: boolean;
}

/** Makes a tree of nodes, as they come. */
class TreeBuilder implements YamlPieces {
  readonly #text: TextPieces;
  readonly #sink: RecordSink;
  readonly #mistakes: (() => void)[] = [];
  /** The line of the place that was counted last. */
  #line = 1;
  #counted = 0;
  /** The section that goes on in `more`: undefined if its key stood before. */
  #open: { readonly key: string; readonly list: EntryList } | undefined;
  root: unknown;
  refused = false;

  constructor(text: TextPieces, sink: RecordSink) {
    this.#text = text;
    this.#sink = sink;
  }

  tell(): void {
    for (const mistake of this.#mistakes) mistake();
  }

  pairs(items: readonly Pair[], open: boolean): void {
    this.#open = undefined;
    const tree = this.#tree();
    for (const [index, pair] of items.entries()) {
      const key = this.#key(pair, 1, (name) => tree.entries.get(name)?.key);
      if (key === undefined) continue;
      const keySpan = spanOf(pair.key) ?? WHOLE;
      const content = this.#content(pair.value);
      const value = spanOfValue(pair.value, keySpan) ?? keySpan;
      tree.entries.set(key, { key: keySpan, value, line: 0, content });
      if (open && index === items.length - 1 && content instanceof EntryList) this.#open = { key, list: content };
    }
  }

  more(items: readonly Pair[], end: number): void {
    if (this.#open === undefined) return;
    const { key, list } = this.#open;
    this.#entries(items, list);
    const { entries } = this.#tree();
    const entry = entries.get(key) as RootEntry;
    entries.set(key, { ...entry, value: { start: entry.value.start, end } });
  }

  #tree(): TableTree {
    if (!(this.root instanceof TableTree)) this.root = new TableTree(WHOLE);
    return this.root as TableTree;
  }

  /** The document, or the rest of it. */
  end({ document, begin }: ParsedYaml): void {
    const { contents } = document;
    if (begin === undefined) this.root = isMap(contents) ? this.#document(contents) : this.#value(contents, 0);
    else {
      this.pairs(isMap(contents) ? contents.items : [], false);
      this.#tree().span = { start: begin, end: Math.max(contents?.range?.[1] ?? 0, begin + 1) };
    }
  }

  #document(map: YAMLMap): unknown {
    this.#refuseProperties(map);
    this.root = new TableTree(spanOf(map) ?? WHOLE);
    this.pairs(map.items as Pair[], false);
    return this.root;
  }

  /** The value of a key of the document. */
  #content(node: unknown): unknown {
    if (!isMap(node)) return this.#value(node, 1);
    this.#refuseProperties(node);
    const list = new EntryList();
    this.#entries(node.items as Pair[], list);
    return list;
  }

  #entries(items: readonly Pair[], list: EntryList): void {
    for (const pair of items) {
      const id = this.#key(pair, 2, (name) => {
        const index = list.find(name);
        return index < 0 ? undefined : list.key(index);
      });
      if (id === undefined) continue;
      const key = spanOf(pair.key) ?? WHOLE;
      const value = spanOfValue(pair.value, key) ?? key;
      list.add(id, this.#value(pair.value, 2), { key, value, line: this.#lineOf(key.start) });
    }
  }

  #lineOf(offset: number): number {
    if (offset < this.#counted) return this.#text.line(offset);
    this.#line += this.#text.lineEnds(this.#counted, offset);
    this.#counted = offset;
    return this.#line;
  }

  /** The text of a key; undefined when it is none, or stands there already. */
  #key(pair: Pair, depth: number, known: (key: string) => Span | undefined): string | undefined {
    const key = this.#value(pair.key, depth);
    if (typeof key !== 'string') {
      if (key === undefined) return undefined;
      const written = typeof key === 'object' ? `not ${describe(key)}` : `not ${describe(key)}; write it in quotes`;
      this.#mistakes.push(() => {
        this.#sink.mistakeAt('MW103', this.#at(spanOf(pair.key)), `a key must be text, ${written}`);
        this.#sink.incomplete();
      });
      return undefined;
    }
    const first = known(key);
    if (first === undefined) return key;
    const code = depth === 2 ? 'MW106' : 'MW107';
    const what = depth === 2 ? `${quote(key)} is defined twice` : `the key ${quote(key)} stands twice`;
    this.#mistakes.push(() => {
      const extra = { first: this.#at(first), firstMessage: 'first here' };
      this.#sink.mistakeAt(code, this.#at(spanOf(pair.key)), what, extra);
    });
    return undefined;
  }

  #at(span: Span | undefined): Position {
    return this.#text.position(span ?? WHOLE);
  }

  #refuse(span: Span | undefined, what: string, hint: string): undefined {
    this.#mistakes.push(() =>
      this.#sink.mistakeAt('MW175', this.#at(span), `${what} are not used in tables`, { hint }),
    );
    this.refused = true;
  }

  #refuseProperties(node: object): void {
    const { anchor, tag } = node as { anchor?: string; tag?: string };
    if (anchor !== undefined) {
      this.#refuse(this.#propertyOf(node, '&'), 'anchors', `remove '&${anchor.slice(0, 40)}'`);
    }
    if (tag !== undefined) this.#refuse(this.#propertyOf(node, '!'), 'tags', 'remove the tag');
  }

  /** The anchor or tag, which begins with `mark`, that stands before a node. */
  #propertyOf(node: unknown, mark: string): Span | undefined {
    const span = spanOf(node);
    if (span === undefined) return undefined;
    const before = this.#text.slice(Math.max(0, span.start - 1000), span.start);
    const properties = [...before.matchAll(/[&!]\S*/g)].filter((match) => match[0].startsWith(mark));
    const last = properties.at(-1);
    if (last === undefined) return span;
    const start = span.start - before.length + last.index;
    return { start, end: start + last[0].length };
  }

  #value(node: unknown, depth: number): unknown {
    if (node === null || node === undefined) return null;
    if (isAlias(node)) return this.#refuse(spanOf(node), 'aliases', 'write the value out');
    this.#refuseProperties(node);
    if (isScalar(node)) return node.value;
    if (depth >= MAX_DEPTH) {
      this.#mistakes.push(() =>
        this.#sink.mistakeAt('MW176', this.#at(spanOf(node)), `values are nested more than ${MAX_DEPTH} deep`),
      );
      this.refused = true;
      return undefined;
    }
    if (isSeq(node)) return node.items.map((item) => this.#value(item, depth + 1));
    if (!isMap(node)) return undefined;
    const mapping = emptyMapping();
    const first = new Map<string, Span>();
    for (const pair of node.items as Pair[]) {
      const key = this.#key(pair, depth + 1, (name) => first.get(name));
      if (key === undefined) continue;
      first.set(key, spanOf(pair.key) ?? WHOLE);
      mapping[key] = this.#value(pair.value, depth + 1);
    }
    return mapping;
  }
}

/** Reads a text; mistakes are for the sink. Throws RangeError when it is nested too deep. */
export function* yamlTreeSteps(text: TextPieces, sink: RecordSink, cuts?: Cuts): Steps<YamlTree> {
  const builder = new TreeBuilder(text, sink);
  const parsed = yield* yamlPieces(text.whole(), builder, cuts);
  builder.end(parsed);
  const { root, refused } = builder;
  return { root, refused, parsed, tell: () => builder.tell() };
}
