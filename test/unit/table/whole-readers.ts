/**
 * The readers of YAML and JSON as one would write them without a thought of time: the whole text is parsed in one go, and kept.
 * They are what the readers in steps are compared with.
 */
import { isAlias, isMap, isScalar, isSeq, type Pair, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml';
import { quote } from '../../../src/table/diagnostics.ts';
import {
  type Document,
  RECORD_KINDS,
  type RecordKind,
  type RecordSink,
  SECTION_OF,
} from '../../../src/table/document.ts';
import { emptyMapping, JsonLocator, JsonMistake, MAX_DEPTH, parseJson } from '../../../src/table/json.ts';
import { checkVersion } from '../../../src/table/read-tree.ts';
import { describe, idMistake, isMapping, type Path } from '../../../src/table/row.ts';
import { nearest } from '../../../src/table/suggest.ts';
import { type Position, positionInLine, type Span } from '../../../src/table/text-position.ts';

class TextPositions {
  readonly #text: string;
  readonly #starts: number[] = [0];

  constructor(text: string) {
    this.#text = text;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1);
  }

  /** Line of an offset, from 1. */
  line(offset: number): number {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  position(span: Span): Position {
    const line = this.line(span.start);
    const start = this.#starts[line - 1]!;
    const next = this.#starts[line];
    let text = this.#text.slice(start, next === undefined ? undefined : next - 1);
    if (text.endsWith('\r')) text = text.slice(0, -1);
    return positionInLine(text, line, { start: span.start - start, end: span.end - start });
  }
}

// records

const TOP_KEYS = ['mapwire', ...Object.values(SECTION_OF)];

/** The sections of a table; `line` gives the line of a record. */
function readTree(root: unknown, sink: RecordSink, line: (kind: RecordKind, id: string) => number): void {
  if (!isMapping(root)) {
    if (root === null || root === undefined) {
      sink.mistake('MW173', [], 'the table is empty', { hint: "a table begins with 'mapwire: 1'" });
    } else {
      sink.mistake('MW103', [], `a table must be a mapping, not ${describe(root)}`);
    }
    sink.incomplete();
    return;
  }
  if (!checkVersion(root.mapwire, sink, ['mapwire']) && root.mapwire !== undefined) {
    // Another version may mean something else by the same words.
    sink.incomplete();
    return;
  }
  for (const key in root) {
    if (TOP_KEYS.includes(key)) continue;
    const meant = nearest(key, TOP_KEYS);
    sink.mistake('MW101', [key], `the table has the unknown key ${quote(key)}`, {
      key: true,
      hint: meant === undefined ? `the keys are ${TOP_KEYS.join(', ')}` : `did you mean '${meant}'?`,
    });
    sink.incomplete();
  }
  for (const kind of RECORD_KINDS) readSection(kind, root[SECTION_OF[kind]], sink, line);
}

function readSection(
  kind: RecordKind,
  value: unknown,
  sink: RecordSink,
  line: (kind: RecordKind, id: string) => number,
): void {
  if (value === undefined || value === null) return;
  const section = SECTION_OF[kind];
  if (!isMapping(value)) {
    sink.mistake('MW103', [section], `'${section}' must be a mapping of ids, not ${describe(value)}`, {
      hint: Array.isArray(value) ? `write '${section}:' and below it 'ID: { … }'` : undefined,
    });
    sink.incomplete();
    return;
  }
  for (const id in value) {
    const mistake = idMistake(id);
    if (mistake !== undefined) {
      sink.mistake('MW108', [section, id], `the ${kind} id ${quote(id)} ${mistake}`, { key: true });
      continue;
    }
    sink.record(kind, id, value[id], line(kind, id));
  }
}

// YAML

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
export function readWholeYaml(text: string, sink: RecordSink, begin: (document: Document) => void): void {
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

// JSON

class JsonDocument implements Document {
  readonly #locator: JsonLocator;
  readonly positions: TextPositions;
  root: unknown;

  constructor(text: string) {
    this.#locator = new JsonLocator(text);
    this.positions = new TextPositions(text);
  }

  locate(path: Path, key: boolean): Position {
    return this.positions.position(this.#locator.locate(path, key));
  }

  /** The line of a key. */
  line(path: Path): number {
    return this.positions.line(this.#locator.locate(path, true).start);
  }

  recordPath(kind: keyof typeof SECTION_OF, id: string) {
    return [SECTION_OF[kind], id];
  }

  recordValue(kind: keyof typeof SECTION_OF, id: string): unknown {
    const section = isMapping(this.root) ? this.root[SECTION_OF[kind]] : undefined;
    return isMapping(section) ? section[id] : undefined;
  }
}

/** Reads the text into the sink, which must show mistakes by the document that `begin` gets. */
export function readWholeJson(text: string, sink: RecordSink, begin: (document: Document) => void): void {
  const document = new JsonDocument(text);
  begin(document);
  try {
    document.root = parseJson(text, ({ key, depth, first, second }) => {
      // In the second mapping from outside, a section, keys are ids.
      const code = depth === 2 ? 'MW106' : 'MW107';
      const what = depth === 2 ? `${quote(key)} is defined twice` : `the key ${quote(key)} stands twice`;
      sink.mistakeAt(code, document.positions.position(second), what, {
        first: document.positions.position(first),
        firstMessage: 'first here',
      });
    });
  } catch (error) {
    if (!(error instanceof JsonMistake)) throw error;
    const position = document.positions.position({ start: error.offset, end: error.offset + 1 });
    sink.mistakeAt(error.tooDeep ? 'MW176' : 'MW172', position, error.message);
    sink.incomplete();
    return;
  }
  readTree(document.root, sink, (kind, id) => document.line([SECTION_OF[kind], id]));
}
