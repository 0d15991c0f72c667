/**
 * A table, or deltas to one, with one JSON record a line. Lines are read one by one; a line beyond the limit is passed
 * over without being kept.
 */

import { isUtf8 } from 'node:buffer';
import type { ByteSource } from './byte-source.ts';
import { quote } from './diagnostics.ts';
import { type Document, LEAST_EXPECTED, RECORD_KINDS, type RecordKind, type RecordSink } from './document.ts';
import { JsonLocator, JsonMistake, parseJson } from './json.ts';
import { PlainLine } from './plain-line.ts';
import { checkVersion } from './read-tree.ts';
import { describe, idMistake, isMapping, isSequence, MAX_SEQUENCE, type Path } from './row.ts';
import { atOnce, type Steps } from './steps.ts';
import { type Position, positionInLine } from './text-position.ts';
import { badByte, byteOrderMark, type EncodingMistake, firstBadByte } from './utf8.ts';

/** No record needs more; a longer line is a mistake. */
export const MAX_LINE_BYTES = 1024 * 1024;
const CHUNK = 64 * 1024;
const LINES_A_MARK = 1024;
/** After so many lines it is guessed how many there are. */
const SAMPLE = 4096;
const NEWLINE = 0x0a;
const KINDS_TEXT = `${RECORD_KINDS.slice(0, -1).join(', ')} and ${RECORD_KINDS.at(-1)}`;

interface Line {
  readonly number: number;
  readonly offset: number;
  /** undefined: longer than the limit; `size` says how long. */
  readonly bytes: Buffer | undefined;
  readonly size: number;
}

/** Takes a line that begins at `start` and ends before `end`; false: it is to be given out. */
type Take = (bytes: Buffer, start: number, end: number, number: number, offset: number) => boolean;

/** The lines from a place on, but those that `take` takes; undefined where a pause may be. A line's bytes are valid until the next one is asked for. */
function* lines(source: ByteSource, from = { number: 1, offset: 0 }, take?: Take): Generator<Line | undefined> {
  const chunk = Buffer.allocUnsafe(CHUNK);
  let position = from.offset;
  let number = from.number;
  let offset = from.offset;
  let kept: Buffer[] = [];
  let size = 0;
  for (;;) {
    const got = source.read(chunk, CHUNK, position);
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0 && end < got; end = chunk.indexOf(NEWLINE, start)) {
      if (size === 0 && take?.(chunk, start, end, number, offset)) {
        offset += end - start + 1;
        number++;
        start = end + 1;
        continue;
      }
      size += end - start;
      yield { number, offset, bytes: lineBytes(kept, chunk.subarray(start, end), size), size };
      offset += size + 1;
      number++;
      kept = [];
      size = 0;
      start = end + 1;
    }
    const rest = got - start;
    if (got === 0) {
      if (size > 0) yield { number, offset, bytes: lineBytes(kept, chunk.subarray(0, 0), size), size };
      return;
    }
    size += rest;
    if (size <= MAX_LINE_BYTES) kept.push(Buffer.from(chunk.subarray(start, got)));
    else kept = [];
    position += got;
    yield undefined;
  }
}

function lineBytes(kept: Buffer[], last: Buffer, size: number): Buffer | undefined {
  if (size > MAX_LINE_BYTES) return undefined;
  return kept.length === 0 ? last : Buffer.concat([...kept, last], size);
}

export class NdjsonDocument implements Document {
  readonly #source: ByteSource;
  /** Where every 1024th line begins. */
  readonly #marks: number[] = [0];
  #text: { number: number; text: string } | undefined;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Told by the reader, so that the line at hand need not be read again. */
  now(number: number, offset: number, text: string): void {
    this.mark(number, offset);
    this.#text = { number, text };
  }

  /** Where a line begins. */
  mark(number: number, offset: number): void {
    if ((number - 1) % LINES_A_MARK === 0) this.#marks[(number - 1) / LINES_A_MARK] = offset;
  }

  text(number: number): string | undefined {
    if (this.#text?.number === number) return this.#text.text;
    let mark = Math.floor((number - 1) / LINES_A_MARK);
    while (this.#marks[mark] === undefined) mark--;
    const from = { number: mark * LINES_A_MARK + 1, offset: this.#marks[mark]! };
    for (const line of lines(this.#source, from)) {
      if (line === undefined) continue;
      this.mark(line.number, line.offset);
      if (line.number < number) continue;
      if (line.bytes === undefined) return undefined;
      this.now(number, line.offset, line.bytes.toString('utf8').replace(/\r$/, ''));
      return this.#text!.text;
    }
    return undefined;
  }

  /** The first step of the path is the line. */
  locate(path: Path, key: boolean): Position | undefined {
    const number = typeof path[0] === 'number' ? path[0] : 1;
    const text = this.text(number);
    if (text === undefined) return undefined;
    try {
      return positionInLine(text, number, new JsonLocator(text).locate(path.slice(1), key));
    } catch (error) {
      if (!(error instanceof JsonMistake)) throw error;
      return positionInLine(text, number, { start: 0, end: 1 });
    }
  }

  recordPath(_kind: RecordKind, _id: string, line: number): Path {
    return [line];
  }

  recordValue(_kind: RecordKind, _id: string, line: number): unknown {
    const text = this.text(line);
    if (text === undefined) return undefined;
    try {
      return parseJson(text);
    } catch (error) {
      if (!(error instanceof JsonMistake)) throw error;
      return undefined;
    }
  }
}

export interface NdjsonOptions {
  /** Deltas need no first line and may remove; the lines of a table may not. */
  readonly deltas?: boolean;
}

/** Reads lines into the sink, which must show mistakes by the document that `begin` gets. */
export function readNdjson(
  source: ByteSource,
  sink: RecordSink,
  begin: (document: Document) => void,
  options: NdjsonOptions = {},
): void {
  atOnce(ndjsonSteps(source, sink, begin, options));
}

/** `readNdjson` with pauses. */
export function* ndjsonSteps(
  source: ByteSource,
  sink: RecordSink,
  begin: (document: Document) => void,
  options: NdjsonOptions = {},
): Steps<void> {
  const document = new NdjsonDocument(source);
  begin(document);
  const deltas = options.deltas ?? false;
  let records = 0;
  /** Ports in the usual form, and where the first of them is. */
  let ports = 0;
  let first = 0;
  const plain = new PlainLine();
  const take: Take = (bytes, start, end, number, offset) => {
    // The first record is the version, or a mistake.
    if (records === 0 && !deltas) return false;
    if (!plain.parse(bytes, start, end) || !sink.plainPort(plain, number)) return false;
    document.mark(number, offset);
    records++;
    if (++ports === 1) first = offset;
    if (ports === SAMPLE && source.size !== undefined) {
      const expected = Math.ceil(((source.size - first) / (offset - first)) * SAMPLE * 1.005);
      if (expected > LEAST_EXPECTED) sink.expect(expected);
    }
    return true;
  };
  for (const line of lines(source, undefined, take)) {
    if (line === undefined) {
      yield;
      continue;
    }
    const text = lineText(line, records === 0, sink);
    if (text === undefined) {
      sink.incomplete();
      if (records === 0 && line.number === 1) records++;
      continue;
    }
    if (/^[ \t\r]*$/.test(text)) continue;
    document.now(line.number, line.offset, text);
    const value = recordOf(text, line.number, sink);
    records++;
    if (value === undefined) {
      sink.incomplete();
      continue;
    }
    if ('mapwire' in value) {
      if (!header(value, line.number, records, sink)) return;
      continue;
    }
    if (records === 1 && !deltas) {
      sink.mistake('MW174', [line.number], 'the first record must be {"mapwire": 1}, the version of the format', {
        hint: 'put {"mapwire": 1} on a line before it',
      });
    }
    emit(value, line.number, deltas, sink);
  }
  if (records === 0 && !deltas) {
    sink.mistakeAt('MW173', undefined, 'the table is empty', { hint: 'a table begins with {"mapwire": 1}' });
    sink.incomplete();
  }
}

function lineText(line: Line, first: boolean, sink: RecordSink): string | undefined {
  const { bytes, number } = line;
  if (bytes === undefined) {
    const position = { line: number, column: 1, length: 1, excerpt: { text: '…', column: 1 } };
    sink.mistakeAt('MW176', position, `the line has ${line.size} bytes; at most ${MAX_LINE_BYTES} are possible`, {
      hint: 'one record a line, each ended by a newline',
    });
    return undefined;
  }
  const mark = first && number === 1 ? byteOrderMark(bytes) : undefined;
  if (mark !== undefined) return badEncoding(bytes, number, mark, sink);
  if (!isUtf8(bytes)) return badEncoding(bytes, number, badByte(bytes, firstBadByte(bytes)), sink);
  const end = bytes.length > 0 && bytes[bytes.length - 1] === 0x0d ? bytes.length - 1 : bytes.length;
  return bytes.toString('utf8', 0, end);
}

function badEncoding(bytes: Buffer, number: number, mistake: EncodingMistake, sink: RecordSink): undefined {
  const before = bytes.toString('utf8', 0, mistake.offset).length;
  const position = positionInLine(bytes.toString('utf8'), number, { start: before, end: before + 1 });
  sink.mistakeAt('MW171', position, mistake.message, { hint: mistake.hint });
  return undefined;
}

function recordOf(text: string, line: number, sink: RecordSink): Record<string, unknown> | undefined {
  let value: unknown;
  let repeated = false;
  try {
    value = parseJson(text, ({ key, first, second }) => {
      repeated = true;
      sink.mistakeAt('MW107', positionInLine(text, line, second), `the key ${quote(key)} stands twice`, {
        first: positionInLine(text, line, first),
        firstMessage: 'first here',
      });
    });
  } catch (error) {
    if (!(error instanceof JsonMistake)) throw error;
    const position = positionInLine(text, line, { start: error.offset, end: error.offset + 1 });
    sink.mistakeAt(error.tooDeep ? 'MW176' : 'MW172', position, error.message);
    return undefined;
  }
  if (isMapping(value)) return repeated ? undefined : value;
  sink.mistake('MW177', [line], `a record must be a mapping, not ${describe(value)}`);
  return undefined;
}

/** False when the rest must not be read. */
function header(value: Record<string, unknown>, line: number, records: number, sink: RecordSink): boolean {
  if (records > 1) {
    sink.mistake('MW177', [line, 'mapwire'], 'the version may stand in the first record only', { key: true });
    return true;
  }
  for (const key in value) {
    if (key !== 'mapwire') {
      sink.mistake('MW101', [line, key], `the first record has the unknown key ${quote(key)}`, {
        key: true,
        hint: 'the first record is {"mapwire": 1}; others follow on lines of their own',
      });
    }
  }
  if (checkVersion(value.mapwire, sink, [line, 'mapwire'])) return true;
  sink.incomplete();
  return false;
}

function emit(value: Record<string, unknown>, line: number, deltas: boolean, sink: RecordSink): void {
  if (deltas && typeof value.delete === 'string') {
    removal(value, value.delete, value.id, line, ['delete', 'id'], sink);
    return;
  }
  const kinds = RECORD_KINDS.filter((kind) => kind in value);
  const kind = kinds[0];
  if (kind === undefined || kinds.length > 1) {
    // A port and an address name their network by 'network' and never have a 'node': the record's own key decides.
    const own = kinds.length === 2 && kinds[0] === 'network' ? kinds[1] : undefined;
    if (own === 'port' || own === 'address') {
      record(own, value, line, deltas, sink);
      return;
    }
    const found = kinds.length === 0 ? 'none of them' : kinds.join(' and ');
    sink.mistake('MW177', [line], `a record has one of the keys ${KINDS_TEXT}; this one has ${found}`);
    sink.incomplete();
    return;
  }
  record(kind, value, line, deltas, sink);
}

function record(
  kind: RecordKind,
  value: Record<string, unknown>,
  line: number,
  deltas: boolean,
  sink: RecordSink,
): void {
  const id = value[kind];
  if (deltas && value.delete === true) {
    removal(value, kind, id, line, ['delete', kind], sink);
    return;
  }
  if (!goodId(kind, id, [line, kind], sink)) return;
  delete value[kind];
  sink.record(kind, id, value, line);
}

function removal(
  value: Record<string, unknown>,
  kind: string,
  id: unknown,
  line: number,
  known: readonly string[],
  sink: RecordSink,
): void {
  if (!RECORD_KINDS.includes(kind as RecordKind)) {
    sink.mistake('MW109', [line, 'delete'], `'delete' must be one of ${RECORD_KINDS.join(', ')}, not ${quote(kind)}`);
    return;
  }
  const { sequence } = value;
  for (const key in value) {
    if (!known.includes(key) && !(kind === 'port' && key === 'sequence')) {
      sink.mistake('MW101', [line, key], `a removal has the unknown key ${quote(key)}`, {
        key: true,
        hint: `the keys are ${known.join(', ')}`,
      });
      return;
    }
  }
  if (id === undefined) {
    sink.mistake('MW102', [line], "a removal needs the 'id' of what goes");
    return;
  }
  const path = [line, known[1]!];
  if (!goodId(kind as RecordKind, id, path, sink)) return;
  if (sequence !== undefined && !isSequence(sequence)) {
    sink.mistake('MW110', [line, 'sequence'], `the sequence of a removal must be a whole number, 1–${MAX_SEQUENCE}`);
    return;
  }
  sink.remove(kind as RecordKind, id, line, sequence as number | undefined);
}

function goodId(kind: RecordKind, id: unknown, path: Path, sink: RecordSink): id is string {
  if (typeof id !== 'string') {
    sink.mistake('MW103', path, `the ${kind} id must be text, not ${describe(id)}`);
    sink.incomplete();
    return false;
  }
  const mistake = idMistake(id);
  if (mistake === undefined) return true;
  sink.mistake('MW108', path, `the ${kind} id ${quote(id)} ${mistake}`);
  return false;
}
