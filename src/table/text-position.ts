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

/** A line of text, of which only what is needed is taken. A string is one. */
export interface LineText {
  readonly length: number;
  slice(start: number, end: number): string;
}

const CHARACTERS_COUNTED = 10_000;

/** Characters in a piece of text, not counting each half of a surrogate pair. Long pieces are counted in units. */
function characters(text: LineText, start: number, end: number): number {
  const length = Math.max(0, Math.min(end, text.length) - start);
  return length > CHARACTERS_COUNTED ? length : Array.from(text.slice(start, start + length)).length;
}

/** The position of a span of one line; what is behind the line's end is cut off. */
export function positionInLine(text: LineText, line: number, span: Span): Position {
  const column = characters(text, 0, span.start) + 1;
  const length = Math.max(1, characters(text, span.start, span.end));
  // Only a window of a long line is looked at.
  const window = Math.max(0, span.start - 1000);
  const near = text.slice(window, span.start + 1000);
  const excerpt = excerptOf(near, characters(near, 0, span.start - window) + 1);
  return { line, column, length, excerpt };
}
