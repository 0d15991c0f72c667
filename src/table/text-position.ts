/** Lines and columns of offsets in a text. */

import { type Excerpt, excerptOf } from './diagnostics.ts';

/** A part of a text, in UTF-16 units. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Where a span is: lines and columns from 1, columns and length in characters. */
export interface Position {
  readonly line: number;
  readonly column: number;
  readonly length: number;
  readonly excerpt: Excerpt;
}

const CHARACTERS_COUNTED = 10_000;

/** Characters in a piece of text, not counting each half of a surrogate pair. Long pieces are counted in units. */
function characters(text: string): number {
  return text.length > CHARACTERS_COUNTED ? text.length : Array.from(text).length;
}

export class TextPositions {
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

/** The position of a span of one line; what is behind the line's end is cut off. */
export function positionInLine(text: string, line: number, span: Span): Position {
  const column = characters(text.slice(0, span.start)) + 1;
  const length = Math.max(1, characters(text.slice(span.start, Math.min(span.end, text.length))));
  // Only a window of a long line is looked at.
  const window = Math.max(0, span.start - 1000);
  const near = text.slice(window, span.start + 1000);
  const excerpt = excerptOf(near, characters(near.slice(0, span.start - window)) + 1);
  return { line, column, length, excerpt };
}
