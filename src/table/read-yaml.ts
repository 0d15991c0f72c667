/** A table in YAML: as plain text when it is, else by the library. */

import { isMap, isScalar, isSeq, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { quote } from './diagnostics.ts';
import { type Document, type RecordSink, SECTION_OF } from './document.ts';
import { plainYamlSteps } from './plain-yaml.ts';
import { readTreeSteps } from './read-tree.ts';
import type { Path } from './row.ts';
import type { Steps } from './steps.ts';
import { EntryList, TableTree } from './table-tree.ts';
import type { TextPieces } from './text-pieces.ts';
import type { Position, Span } from './text-position.ts';
import { type Cuts, YAML_OPTIONS } from './yaml-pieces.ts';
import { spanOf, spanOfValue, WHOLE, type YamlTree, yamlTreeSteps } from './yaml-tree.ts';

/** The place of a value in nodes, or of the key at the end of its path; of the nearest thing on the way that exists. */
function placeIn(root: unknown, path: Path, key: boolean): Span | undefined {
  let span = spanOf(root);
  let atKey = span;
  let node = root;
  for (const step of path) {
    if (typeof step === 'number') {
      node = isSeq(node) ? node.items[step] : undefined;
      if (node === undefined) break;
      span = spanOf(node) ?? span;
      atKey = span;
      continue;
    }
    const pair = isMap(node) ? pairOf(node, step) : undefined;
    if (pair === undefined) break;
    node = pair.value;
    atKey = spanOf(pair.key) ?? span;
    span = spanOfValue(node, atKey) ?? atKey;
  }
  return key ? atKey : span;
}

function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((pair) => isScalar(pair.key) && pair.key.value === key);
}

class YamlDocument implements Document {
  readonly text: TextPieces;
  root: unknown;
  /** Of the root, when that is no mapping. */
  span: Span | undefined;
  /** The record that was looked at last, as a document of its own. */
  #record: { readonly start: number; readonly root: unknown } | undefined;
  #whole: unknown;

  constructor(text: TextPieces) {
    this.text = text;
  }

  locate(path: Path, key: boolean): Position {
    return this.text.position(this.#span(path, key) ?? WHOLE);
  }

  #span(path: Path, key: boolean): Span | undefined {
    const { root } = this;
    const [section, id] = path;
    if (!(root instanceof TableTree)) return this.span;
    if (section === undefined) return root.span;
    const entry = typeof section === 'string' ? root.entries.get(section) : undefined;
    if (entry === undefined) return root.span;
    if (id === undefined) return key ? entry.key : entry.value;
    if (!(entry.content instanceof EntryList)) return this.#spanInWhole(path, key);
    const index = typeof id === 'string' ? entry.content.find(id) : -1;
    if (index < 0) return key ? entry.key : entry.value;
    const place = entry.content.key(index);
    if (path.length === 2 && key) return place;
    const value = entry.content.value(index);
    if (value.start === place.start) return place;
    const record = this.#recordAt({ start: place.start, end: value.end }, id as string);
    if (record === undefined) return this.#spanInWhole(path, key);
    const span = placeIn(record, path.slice(1), key);
    return span && { start: place.start + span.start, end: place.start + span.end };
  }

  /**
   * The nodes of a record from its text alone. What stands before its key in the first line is not there, so that the lines
   * below are deeper by comparison; that changes no nesting of what is well-formed. Undefined when it is not, alone.
   */
  #recordAt({ start, end }: Span, id: string): unknown {
    if (this.#record?.start === start) return this.#record.root;
    const { contents, errors } = parseDocument(this.text.slice(start, end), YAML_OPTIONS);
    const isRecord = errors.length === 0 && isMap(contents) && contents.items.length === 1;
    const root = isRecord && pairOf(contents, id) !== undefined ? contents : undefined;
    this.#record = { start, root };
    return root;
  }

  /** By all of the text, parsed in one go: of what has no place that was kept. */
  #spanInWhole(path: Path, key: boolean): Span | undefined {
    this.#whole ??= parseDocument(this.text.whole(), YAML_OPTIONS).contents;
    return placeIn(this.#whole, path, key);
  }

  recordPath(kind: keyof typeof SECTION_OF, id: string): Path {
    return [SECTION_OF[kind], id];
  }

  recordValue(kind: keyof typeof SECTION_OF, id: string): unknown {
    return this.root instanceof TableTree ? this.root.valueOf(SECTION_OF[kind], id) : undefined;
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
export function* yamlSteps(text: TextPieces, sink: RecordSink, begin: (document: Document) => void): Steps<void> {
  const plain = yield* plainYamlSteps(text);
  if (plain === undefined) {
    yield* libraryYamlSteps(text, sink, begin);
    return;
  }
  const document = new YamlDocument(text);
  begin(document);
  document.root = plain;
  yield* readTreeSteps(plain, sink);
}

/** `yamlSteps` of any text. */
export function* libraryYamlSteps(
  text: TextPieces,
  sink: RecordSink,
  begin: (document: Document) => void,
  cuts?: Cuts,
): Steps<void> {
  const document = new YamlDocument(text);
  begin(document);
  let tree: YamlTree;
  try {
    tree = yield* yamlTreeSteps(text, sink, cuts);
  } catch (error) {
    // The parser walks nested values by recursion.
    if (!(error instanceof RangeError)) throw error;
    sink.mistakeAt('MW176', undefined, 'values are nested too deep');
    sink.incomplete();
    return;
  }
  const { errors, document: parsed } = tree.parsed;
  let told = -1;
  for (const { code, message, pos } of errors) {
    // The parser often has a second opinion on the same place.
    if (pos[0] === told) continue;
    told = pos[0];
    const position = text.position({ start: pos[0], end: Math.max(pos[1], pos[0] + 1) });
    sink.mistakeAt(code === 'MULTIPLE_DOCS' ? 'MW175' : 'MW172', position, firstLine(message), { hint: HINTS[code] });
  }
  if (parsed.directives?.yaml.explicit && parsed.directives.yaml.version !== '1.2') {
    sink.mistakeAt('MW175', text.position(WHOLE), `YAML ${parsed.directives.yaml.version} is not YAML 1.2`, {
      hint: "remove the '%YAML' line",
    });
  }
  if (errors.length > 0) {
    sink.incomplete();
    return;
  }
  tree.tell();
  if (tree.refused) {
    sink.incomplete();
    return;
  }
  document.root = tree.root;
  document.span = spanOf(parsed.contents);
  yield* readTreeSteps(tree.root, sink);
}
