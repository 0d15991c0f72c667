/** A table in one JSON text. */

import { quote } from './diagnostics.ts';
import { type Document, type RecordSink, SECTION_OF } from './document.ts';
import { JsonLocator, JsonMistake } from './json.ts';
import { jsonTreeSteps } from './json-tree.ts';
import { readTreeSteps } from './read-tree.ts';
import type { Path } from './row.ts';
import type { Steps } from './steps.ts';
import { EntryList, TableTree } from './table-tree.ts';
import type { TextPieces } from './text-pieces.ts';
import type { Position, Span } from './text-position.ts';

class JsonDocument implements Document {
  readonly text: TextPieces;
  root: unknown;

  constructor(text: TextPieces) {
    this.text = text;
  }

  locate(path: Path, key: boolean): Position {
    return this.text.position(this.#span(path, key));
  }

  #span(path: Path, key: boolean): Span {
    const { root } = this;
    if (!(root instanceof TableTree)) return { start: this.text.begin, end: this.text.begin + 1 };
    const [section, id, ...rest] = path;
    const entry = typeof section === 'string' ? root.placed(section) : undefined;
    if (entry === undefined) return root.span;
    if (id === undefined) return key ? entry.key : entry.value;
    if (!(entry.content instanceof EntryList)) return this.#inside(entry.value, [id, ...rest], key);
    const index = typeof id === 'string' ? entry.content.find(id) : -1;
    if (index < 0) return entry.value;
    const value = entry.content.value(index);
    if (rest.length === 0) return key ? entry.content.key(index) : value;
    return this.#inside(value, rest, key);
  }

  /** A place in a part of the text that is a value. */
  #inside({ start, end }: Span, path: Path, key: boolean): Span {
    const span = new JsonLocator(this.text.slice(start, end)).locate(path, key, { start: 0, end: end - start });
    return { start: start + span.start, end: start + span.end };
  }

  recordPath(kind: keyof typeof SECTION_OF, id: string) {
    return [SECTION_OF[kind], id];
  }

  recordValue(kind: keyof typeof SECTION_OF, id: string): unknown {
    return this.root instanceof TableTree ? this.root.valueOf(SECTION_OF[kind], id) : undefined;
  }
}

/** Reads the text into the sink, which must show mistakes by the document that `begin` gets. */
export function* jsonSteps(text: TextPieces, sink: RecordSink, begin: (document: Document) => void): Steps<void> {
  const document = new JsonDocument(text);
  begin(document);
  try {
    document.root = yield* jsonTreeSteps(text, ({ key, depth, first, second }) => {
      // In the second mapping from outside, a section, keys are ids.
      const code = depth === 2 ? 'MW106' : 'MW107';
      const what = depth === 2 ? `${quote(key)} is defined twice` : `the key ${quote(key)} stands twice`;
      sink.mistakeAt(code, text.position(second), what, {
        first: text.position(first),
        firstMessage: 'first here',
      });
    });
  } catch (error) {
    if (!(error instanceof JsonMistake)) throw error;
    const position = text.position({ start: error.offset, end: error.offset + 1 });
    sink.mistakeAt(error.tooDeep ? 'MW176' : 'MW172', position, error.message);
    sink.incomplete();
    return;
  }
  yield* readTreeSteps(document.root, sink);
}
