/** Reads a table for a command that needs a good one. */
import { type CompactTable, hasErrors, readTable, renderDiagnostics, tableError } from '../table/index.ts';

/**
 * Diagnostics go to stderr, as a compiler prints them.
 *
 * @throws ERR_MW_TABLE when there are errors (they are in its message)
 */
export function readTableOrThrow(path: string): CompactTable {
  const { table, diagnostics } = readTable(path);
  if (table === undefined || hasErrors(diagnostics)) throw tableError(diagnostics);
  if (diagnostics.length > 0) process.stderr.write(`${renderDiagnostics(diagnostics)}\n`);
  return table;
}
