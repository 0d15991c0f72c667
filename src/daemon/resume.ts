/**
 * Where a daemon left off: the table in columns, which files it was read from, and which ids its ports have in which state of the kernel. With
 * it a restart reads only what changed since. It is worth something only as long as all of it fits; it is never needed.
 */
import { join } from 'node:path';
import type { KernelState } from '../dataplane/index.ts';
import { readSnapshot, writeSnapshot } from '../snapshot-file.ts';
import {
  type CompactTable,
  dumpTable,
  type FileStamp,
  reopener,
  restoreTable,
  type TableFile,
  type TableRest,
} from '../table/index.ts';
import { columnNamed, type NumberColumn, namedColumn } from '../table/number-column.ts';
import { version } from './version.ts';

/** Raised when the form of the file, or what a table is made of, changes. */
const FORMAT = 4;
/** Tables smaller than this are read as fast. */
export const LEAST_PORTS = 20_000;

interface FileMeta {
  readonly path: string;
  /** Of a `FileStamp`, in its order, decimal. */
  readonly stamp: readonly string[];
}

interface Meta {
  readonly format: number;
  readonly program: string;
  readonly node: string;
  /** Name of the source that files belong to. */
  readonly source: string;
  readonly kernel: KernelState;
  readonly nextPort: number;
  readonly files: readonly FileMeta[];
  readonly table: TableRest;
}

export interface ResumeFile {
  readonly path: string;
  readonly stamp: FileStamp;
  readonly file: TableFile;
}

export interface ResumePoint {
  readonly table: CompactTable;
  readonly files: readonly ResumeFile[];
  readonly kernel: KernelState;
  /** Kernel ids of ports, by row; and the first that nobody had. */
  readonly rowIds: NumberColumn;
  readonly nextPort: number;
}

export function resumePath(stateDir: string): string {
  return join(stateDir, 'table.snapshot');
}

/** Undefined when there is none, or it is not of this node, this table, and this version of the program. */
export function readResumePoint(path: string, node: string, source: string): ResumePoint | undefined {
  const snapshot = readSnapshot(path);
  const meta = snapshot?.meta as Meta | undefined;
  if (snapshot === undefined || meta?.format !== FORMAT || meta.program !== version()) return undefined;
  if (meta.node !== node || meta.source !== source) return undefined;
  const { arrays } = snapshot;
  const rowIds = columnNamed('rowIds', arrays);
  if (rowIds === undefined) return undefined;
  const files = new Map<string, ResumeFile>();
  for (const { path: file, stamp } of meta.files) {
    const [device, inode, size, modified, changed] = stamp.map(BigInt) as [bigint, bigint, bigint, bigint, bigint];
    const known: FileStamp = { device, inode, size, modified, changed };
    const reopen = reopener(file, known);
    files.set(file, { path: file, stamp: known, file: { name: file, source, rank: 0, reopen } });
  }
  const table = restoreTable({ arrays, rest: meta.table }, (name) => {
    const known = name.source === source ? files.get(name.name) : undefined;
    return known?.file ?? name;
  });
  return { table, files: [...files.values()], kernel: meta.kernel, rowIds, nextPort: meta.nextPort };
}

export interface Resumable {
  readonly node: string;
  readonly source: string;
  /** The newest version of its store. */
  readonly table: CompactTable;
  readonly files: readonly { readonly path: string; readonly stamp: FileStamp }[];
  readonly kernel: KernelState;
  readonly rowIds: NumberColumn;
  readonly nextPort: number;
}

/** Writes it in steps; gives up, and returns false, when `isStale` says that it is not so any more. */
export function writeResumePoint(path: string, point: Resumable, isStale: () => boolean): Promise<boolean> {
  const { arrays, rest } = dumpTable(point.table);
  const meta: Meta = {
    format: FORMAT,
    program: version(),
    node: point.node,
    source: point.source,
    kernel: point.kernel,
    nextPort: point.nextPort,
    files: point.files.map(({ path: file, stamp: { device, inode, size, modified, changed } }) => ({
      path: file,
      stamp: [device, inode, size, modified, changed].map(String),
    })),
    table: rest,
  };
  return writeSnapshot(path, meta, { ...arrays, ...namedColumn('rowIds', point.rowIds) }, isStale);
}
