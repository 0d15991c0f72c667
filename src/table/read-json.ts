/** A table in one JSON text. */

import { quote } from './diagnostics.ts';
import { type Document, type RecordSink, SECTION_OF } from './document.ts';
import { JsonLocator, JsonMistake, parseJson } from './json.ts';
import { readTree } from './read-tree.ts';
import { isMapping, type Path } from './row.ts';
import { type Position, TextPositions } from './text-position.ts';

export class JsonDocument implements Document {
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
export function readJson(text: string, sink: RecordSink, begin: (document: Document) => void): void {
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
