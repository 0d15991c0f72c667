/**
 * The text of a table, held as its bytes. Only pieces of it become strings: one string of 64 MB is made in one go, and
 * nothing else runs meanwhile.
 */

import { isUtf8 } from 'node:buffer';
import type { Steps } from './steps.ts';
import { type LineText, type Position, positionInLine, type Span } from './text-position.ts';
import { badByte, byteOrderMark, type EncodingMistake, firstBadByte } from './utf8.ts';

const NEWLINE = 0x0a;
/** Bytes of a piece; those of the last line that ends in it, where one does. */
const PIECE = 128 * 1024;

/** Where a piece begins. */
interface Piece {
  readonly byte: number;
  /** In UTF-16 units. */
  readonly offset: number;
  /** Its number, from 1. */
  readonly line: number;
  /** Where that line begins: at the piece, or before it. */
  readonly lineStart: number;
}

/** Why bytes are no text, and where: the position is of what is left when they are decoded all the same. */
export interface Undecodable {
  readonly mistake: EncodingMistake;
  readonly position: Position;
}

export class TextPieces {
  readonly #bytes: Buffer;
  readonly #pieces: readonly Piece[];
  #text: { readonly piece: number; readonly text: string } | undefined;
  #line: { readonly number: number; readonly start: number; readonly end: number } | undefined;
  /** In UTF-16 units. */
  readonly length: number;

  constructor(bytes: Buffer, pieces: readonly Piece[], length: number) {
    this.#bytes = bytes;
    this.#pieces = pieces;
    this.length = length;
  }

  get count(): number {
    return this.#pieces.length;
  }

  /** Where a piece begins. */
  start(index: number): number {
    return this.#pieces[index]!.offset;
  }

  /** The text of a piece. All but the last end with a line, if they have the end of one. */
  piece(index: number): string {
    if (this.#text?.piece !== index) {
      const end = this.#pieces[index + 1]?.byte ?? this.#bytes.length;
      this.#text = { piece: index, text: this.#bytes.toString('utf8', this.#pieces[index]!.byte, end) };
    }
    return this.#text.text;
  }

  /** Where the first character is that is no white space; -1: there is none. */
  get begin(): number {
    for (let index = 0; index < this.count; index++) {
      const at = this.piece(index).search(/\S/);
      if (at >= 0) return this.#pieces[index]!.offset + at;
    }
    return -1;
  }

  /** All of it, in one go. */
  whole(): string {
    return this.#bytes.toString('utf8');
  }

  slice(start: number, end: number): string {
    const last = Math.min(end, this.length);
    if (start >= last) return '';
    let text = '';
    for (let index = this.#pieceOf(start); index < this.count; index++) {
      const { offset } = this.#pieces[index]!;
      if (offset >= last) break;
      text += this.piece(index).slice(Math.max(0, start - offset), last - offset);
    }
    return text;
  }

  /** The piece that has an offset. */
  #pieceOf(offset: number): number {
    const pieces = this.#pieces;
    let low = 0;
    let high = pieces.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (pieces[middle]!.offset <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The line of an offset, from 1. */
  line(offset: number): number {
    return this.#lineOf(offset).number;
  }

  /** How many lines end in a part of the text. */
  lineEnds(start: number, end: number): number {
    let count = 0;
    for (let index = this.#pieceOf(start); index < this.count; index++) {
      const { offset } = this.#pieces[index]!;
      if (offset >= end) break;
      const text = this.piece(index);
      let at = text.indexOf('\n', Math.max(0, start - offset));
      for (; at >= 0 && at < end - offset; at = text.indexOf('\n', at + 1)) count++;
    }
    return count;
  }

  position(span: Span): Position {
    const { number, start, end } = this.#lineOf(span.start);
    const line: LineText = {
      length: end - start,
      slice: (from, to) => this.slice(start + from, Math.min(start + to, end)),
    };
    return positionInLine(line, number, { start: span.start - start, end: span.end - start });
  }

  #lineOf(offset: number): { readonly number: number; readonly start: number; readonly end: number } {
    const index = this.#pieceOf(offset);
    const piece = this.#pieces[index]!;
    const text = this.piece(index);
    const within = offset - piece.offset;
    let number = piece.line;
    let start = piece.lineStart;
    for (let at = text.indexOf('\n'); at >= 0 && at < within; at = text.indexOf('\n', at + 1)) {
      number++;
      start = piece.offset + at + 1;
    }
    if (this.#line?.number !== number) this.#line = { number, start, end: this.#lineEnd(index, within) };
    return this.#line;
  }

  /** Where the line ends that a place of a piece is in, without what ends it. */
  #lineEnd(first: number, within: number): number {
    for (let index = first; index < this.count; index++) {
      const text = this.piece(index);
      const at = text.indexOf('\n', index === first ? within : 0);
      if (at < 0) continue;
      const end = this.#pieces[index]!.offset + at;
      return this.slice(end - 1, end) === '\r' ? end - 1 : end;
    }
    return this.slice(this.length - 1, this.length) === '\r' ? this.length - 1 : this.length;
  }
}

/** The text of bytes, or why there is none. @param most bytes of a piece */
export function* textSteps(bytes: Buffer, most = PIECE): Steps<TextPieces | Undecodable> {
  const mark = byteOrderMark(bytes);
  if (mark !== undefined) return { mistake: mark, position: placeOfByte(bytes, mark.offset, 1) };
  const pieces: Piece[] = [];
  let offset = 0;
  let line = 1;
  let lineStart = 0;
  for (let start = 0, end = 0; start < bytes.length || pieces.length === 0; start = end) {
    end = endOfPiece(bytes, start, start + most);
    const part = bytes.subarray(start, end);
    if (!isUtf8(part)) {
      const bad = start + firstBadByte(part);
      for (let at = part.indexOf(NEWLINE); at >= 0 && start + at < bad; at = part.indexOf(NEWLINE, at + 1)) line++;
      return { mistake: badByte(bytes, bad), position: placeOfByte(bytes, bad, line) };
    }
    pieces.push({ byte: start, offset, line, lineStart });
    const text = part.toString('utf8');
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
      line++;
      lineStart = offset + at + 1;
    }
    offset += text.length;
    yield;
  }
  return new TextPieces(bytes, pieces, offset);
}

/** Where a piece ends: behind a line; without one never inside of a character. */
function endOfPiece(bytes: Buffer, start: number, most: number): number {
  if (most >= bytes.length) return bytes.length;
  const newline = bytes.subarray(start, most).lastIndexOf(NEWLINE);
  if (newline >= 0) return start + newline + 1;
  let end = most;
  while (end > most - 3 && (bytes[end]! & 0xc0) === 0x80) end--;
  return end;
}

/** A byte's place in its line, as that looks when it is decoded. */
function placeOfByte(bytes: Buffer, offset: number, line: number): Position {
  const start = offset === 0 ? 0 : bytes.lastIndexOf(NEWLINE, offset - 1) + 1;
  const next = bytes.indexOf(NEWLINE, offset);
  const text = bytes.toString('utf8', start, next < 0 ? bytes.length : next).replace(/\r$/, '');
  const before = bytes.toString('utf8', start, offset).length;
  return positionInLine(text, line, { start: before, end: before + 1 });
}
