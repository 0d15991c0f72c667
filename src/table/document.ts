/** What the readers give to an edit: records with their places. */

import type { DiagnosticCode } from './diagnostics.ts';
import type { PlainPort } from './port-store.ts';
import type { MistakeExtra, Path } from './row.ts';
import type { Position } from './text-position.ts';

export type RecordKind = 'node' | 'network' | 'port' | 'address';

export const SECTION_OF = { node: 'nodes', network: 'networks', port: 'ports', address: 'addresses' } as const;

export const RECORD_KINDS = Object.keys(SECTION_OF) as readonly RecordKind[];

/** Room for ports is made at once if there are more than this. */
export const LEAST_EXPECTED = 20_000;

/** A text whose values can be found again. */
export interface Document {
  /** Where the value at the path is, or the key at its end; the nearest thing that exists. */
  locate(path: Path, key: boolean): Position | undefined;
  /** The path of a record that was read at a line. */
  recordPath(kind: RecordKind, id: string, line: number): Path;
  /** The value of a record as it was read; undefined when it is not there any more. */
  recordValue(kind: RecordKind, id: string, line: number): unknown;
}

/** A file of the table, or what stands for one: the API, a list of deltas. */
export interface TableFile {
  /** As diagnostics name it. */
  readonly name: string;
  /** Which source it belongs to; a record belongs to one source. */
  readonly source: string;
  /** Position among all files: of two definitions of the same thing the later one is the mistake. */
  readonly rank: number;
  /** Opens it once more, to show where a record is; undefined when it has changed since. */
  readonly reopen?: () => Document | undefined;
}

/** What a reader tells of. Paths begin at the document's root. */
export interface RecordSink {
  record(kind: RecordKind, id: string, value: unknown, line: number): void;
  /** A port in the form that most have. False: it was not taken, `record` is to be told of it. */
  plainPort(port: PlainPort, line: number): boolean;
  /** About so many ports are to come from this file. */
  expect(ports: number): void;
  /** @param sequence of a port: the move that the removal tells of */
  remove(kind: RecordKind, id: string, line: number, sequence?: number): void;
  mistake(code: DiagnosticCode, path: Path, message: string, extra?: MistakeExtra): void;
  /** A mistake whose place is known. Without one it is the file as a whole. */
  mistakeAt(
    code: DiagnosticCode,
    position: Position | undefined,
    message: string,
    extra?: { hint?: string | undefined; first?: Position; firstMessage?: string },
  ): void;
  /** Something of the file was not read: what seems to be missing may be there. */
  incomplete(): void;
}
