/**
 * A table in YAML 1.2 (core schema). The text becomes plain values by a walk of our own over the parsed nodes: anchors,
 * aliases, tags and keys that are no text are refused there, so that nothing is ever expanded.
 */

import { isAlias, isMap, isScalar, isSeq, type Pair, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml';
import { quote } from './diagnostics.ts';
import { type Document, type RecordSink, SECTION_OF } from './document.ts';
import { emptyMapping, MAX_DEPTH } from './json.ts';
import { readTree } from './read-tree.ts';
import { describe, isMapping, type Path } from './row.ts';
import { type Position, type Span, TextPositions } from './text-position.ts';

const WHOLE: Span = { start: 0, end: 1 };

function spanOf(node: unknown): Span | undefined {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range ? { start: range[0]!, end: Math.max(range[1]!, range[0]! + 1) } : undefined;
}

class YamlDocument implements Document {
  readonly positions: TextPositions;
  readonly #text: string;
  readonly #root: unknown;
  readonly #pairs = new Map<YAMLMap, Map<string, Pair>>();
  value: unknown;

  constructor(text: string, root: unknown) {
    this.positions = new TextPositions(text);
    this.#text = text;
    this.#root = root;
  }

  at(span: Span | undefined): Position {
    return this.positions.position(span ?? WHOLE);
  }

  /** The anchor or tag, which begins with `mark`, that stands before a node. */
  propertyOf(node: unknown, mark: string): Span | undefined {
    const span = spanOf(node);
    if (span === undefined) return undefined;
    const before = this.#text.slice(Math.max(0, span.start - 1000), span.start);
    const properties = [...before.matchAll(/[&!]\S*/g)].filter((match) => match[0].startsWith(mark));
    const last = properties.at(-1);
    if (last === undefined) return span;
    const start = span.start - before.length + last.index;
    return { start, end: start + last[0].length };
  }

  #pairsOf(map: YAMLMap): Map<string, Pair> {
    let pairs = this.#pairs.get(map);
    if (pairs === undefined) {
      pairs = new Map();
      for (const pair of map.items) {
        if (isScalar(pair.key) && typeof pair.key.value === 'string' && !pairs.has(pair.key.value)) {
          pairs.set(pair.key.value, pair);
        }
      }
      this.#pairs.set(map, pairs);
    }
    return pairs;
  }

  locate(path: Path, key: boolean): Position {
    return this.at(this.#span(path, key));
  }

  /** The line of a key. */
  line(path: Path): number {
    return this.positions.line((this.#span(path, true) ?? WHOLE).start);
  }

  #span(path: Path, key: boolean): Span | undefined {
    let span = spanOf(this.#root);
    let atKey = span;
    let node = this.#root;
    for (const step of path) {
      if (typeof step === 'number') {
        node = isSeq(node) ? node.items[step] : undefined;
        if (node === undefined) break;
        span = spanOf(node) ?? span;
        atKey = span;
        continue;
      }
      const pair = isMap(node) ? this.#pairsOf(node).get(step) : undefined;
      if (pair === undefined) break;
      node = pair.value;
      atKey = spanOf(pair.key) ?? span;
      // A value that is not written has a place of its own, far from what one looks for.
      span = isScalar(node) && node.type === 'PLAIN' && node.source === '' ? atKey : (spanOf(node) ?? atKey);
    }
    return key ? atKey : span;
  }

  recordPath(kind: keyof typeof SECTION_OF, id: string): Path {
    return [SECTION_OF[kind], id];
  }

  recordValue(kind: keyof typeof SECTION_OF, id: string): unknown {
    const section = isMapping(this.value) ? this.value[SECTION_OF[kind]] : undefined;
    return isMapping(section) ? section[id] : undefined;
  }
}

/** Plain values from parsed nodes; mistakes go to the sink. */
class Converter {
  readonly #document: YamlDocument;
  readonly #sink: RecordSink;

  constructor(document: YamlDocument, sink: RecordSink) {
    this.#document = document;
    this.#sink = sink;
  }

  /** Something was refused: what is left says too little to be judged. */
  refused = false;

  #refuse(span: Span | undefined, what: string, hint: string): undefined {
    this.#sink.mistakeAt('MW175', this.#document.at(span), `${what} are not used in tables`, { hint });
    this.refused = true;
  }

  value(node: unknown, depth: number): unknown {
    if (node === null || node === undefined) return null;
    if (isAlias(node)) return this.#refuse(spanOf(node), 'aliases', 'write the value out');
    const { anchor, tag } = node as { anchor?: string; tag?: string };
    if (anchor !== undefined) {
      this.#refuse(this.#document.propertyOf(node, '&'), 'anchors', `remove '&${anchor.slice(0, 40)}'`);
    }
    if (tag !== undefined) this.#refuse(this.#document.propertyOf(node, '!'), 'tags', 'remove the tag');
    if (isScalar(node)) return node.value;
    if (depth >= MAX_DEPTH) {
      const position = this.#document.at(spanOf(node));
      this.#sink.mistakeAt('MW176', position, `values are nested more than ${MAX_DEPTH} deep`);
      this.refused = true;
      return undefined;
    }
    if (isSeq(node)) return this.#list(node, depth);
    if (isMap(node)) return this.#mapping(node, depth);
    return undefined;
  }

  #list(node: YAMLSeq, depth: number): unknown[] {
    return node.items.map((item) => this.value(item, depth + 1));
  }

  #mapping(node: YAMLMap, depth: number): unknown {
    const mapping = emptyMapping();
    const first = new Map<string, Span | undefined>();
    for (const pair of node.items) {
      const key = this.value(pair.key, depth + 1);
      if (typeof key !== 'string') {
        if (key === undefined) continue;
        const written = typeof key === 'object' ? `not ${describe(key)}` : `not ${describe(key)}; write it in quotes`;
        this.#sink.mistakeAt('MW103', this.#document.at(spanOf(pair.key)), `a key must be text, ${written}`);
        this.#sink.incomplete();
        continue;
      }
      if (first.has(key)) {
        const position = this.#document.at(spanOf(pair.key));
        const before = this.#document.at(first.get(key));
        const code = depth === 1 ? 'MW106' : 'MW107';
        const what = depth === 1 ? `${quote(key)} is defined twice` : `the key ${quote(key)} stands twice`;
        this.#sink.mistakeAt(code, position, what, { first: before, firstMessage: 'first here' });
        continue;
      }
      first.set(key, spanOf(pair.key));
      mapping[key] = this.value(pair.value, depth + 1);
    }
    return mapping;
  }
}

/** The first line of a parser's message, as part of a sentence. */
function firstLine(message: string): string {
  const line = message.split('\n')[0]!.replace(/:$/, '');
  const short = line.length > 200 ? `${line.slice(0, 199)}…` : line;
  return quote(short).slice(1, -1);
}

const HINTS: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  BAD_INDENT: 'lines of one mapping begin at the same column',
  MULTIPLE_DOCS: "a table is one document: remove the '---'",
};

/** Reads the text into the sink, which must show mistakes by the document that `begin` gets. */
export function readYaml(text: string, sink: RecordSink, begin: (document: Document) => void): void {
  let parsed: ReturnType<typeof parseDocument>;
  try {
    parsed = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      merge: false,
      uniqueKeys: false,
      prettyErrors: false,
      // 'silent' would also be silent about a second document.
      logLevel: 'error',
    });
  } catch (error) {
    // The parser walks nested values by recursion.
    if (!(error instanceof RangeError)) throw error;
    sink.mistakeAt('MW176', undefined, 'values are nested too deep');
    sink.incomplete();
    return;
  }
  const document = new YamlDocument(text, parsed.contents);
  begin(document);
  let told = -1;
  for (const error of parsed.errors) {
    // The parser often has a second opinion on the same place.
    if (error.pos[0] === told) continue;
    told = error.pos[0];
    const position = document.at({ start: error.pos[0], end: Math.max(error.pos[1], error.pos[0] + 1) });
    const code = error.code === 'MULTIPLE_DOCS' ? 'MW175' : 'MW172';
    const message = error.code === 'MULTIPLE_DOCS' ? 'a second document begins' : firstLine(error.message);
    sink.mistakeAt(code, position, message, { hint: HINTS[error.code] });
  }
  if (parsed.directives?.yaml.explicit && parsed.directives.yaml.version !== '1.2') {
    sink.mistakeAt('MW175', document.at(WHOLE), `YAML ${parsed.directives.yaml.version} is not YAML 1.2`, {
      hint: "remove the '%YAML' line",
    });
  }
  if (parsed.errors.length > 0) {
    sink.incomplete();
    return;
  }
  const converter = new Converter(document, sink);
  document.value = converter.value(parsed.contents, 0);
  if (converter.refused) {
    sink.incomplete();
    return;
  }
  readTree(document.value, sink, (kind, id) => document.line([SECTION_OF[kind], id]));
}
