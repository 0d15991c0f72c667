/** UTF-8, strictly: what is not well-formed is found and told, never replaced. */

import { isUtf8 } from 'node:buffer';

/** Why bytes are not the text of a table, and where. */
export interface EncodingMistake {
  readonly message: string;
  readonly hint: string;
  readonly offset: number;
}

/** Length of the well-formed sequence at a place, or 0 (RFC 3629 section 4). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const second = bytes[at + 1] ?? 0;
  const tail = (index: number) => ((bytes[at + index] ?? 0) & 0xc0) === 0x80;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first === 0xe0 && second < 0xa0) return 0;
    if (first === 0xed && second > 0x9f) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first === 0xf0 && second < 0x90) return 0;
    if (first === 0xf4 && second > 0x8f) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

/** The first byte that is not part of well-formed UTF-8, or -1. */
export function firstBadByte(bytes: Uint8Array): number {
  if (isUtf8(bytes)) return -1;
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    if (length === 0) return at;
    at += length;
  }
  return -1;
}

/** A byte order mark at the start of a file, which is refused. */
export function byteOrderMark(bytes: Uint8Array): EncodingMistake | undefined {
  const [a, b, c] = bytes;
  if (a === 0xef && b === 0xbb && c === 0xbf) {
    return { message: 'the file begins with a byte order mark', hint: 'save it as UTF-8 without one', offset: 0 };
  }
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff)) {
    return { message: 'the file is UTF-16, not UTF-8', hint: 'save it as UTF-8', offset: 0 };
  }
  return undefined;
}

export function badByte(bytes: Uint8Array, offset: number): EncodingMistake {
  const byte = bytes[offset]!.toString(16).padStart(2, '0');
  return { message: `the byte 0x${byte} is not UTF-8 text`, hint: 'save the file as UTF-8', offset };
}
