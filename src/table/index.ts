/**
 * The mapping table: the format, its diagnostics, and the compact store behind it. Runs without root, without the addon,
 * on any operating system.
 */

export * from './address.ts';
export { type Balance, type BalanceLevel, balanceOf } from './balance.ts';
export type { FileStamp } from './byte-source.ts';
export { CompactTable, type TableChanges } from './compact-table.ts';
export {
  addressRecord,
  applyDelta,
  type DeltaOptions,
  type DeltaRecord,
  diffTableSteps,
  diffTables,
  equalTables,
  formatTable,
  networkRecord,
  nodeRecord,
  portRecord,
  readDeltas,
  tableToObject,
} from './delta.ts';
export {
  DIAGNOSTICS,
  type Diagnostic,
  type DiagnosticCode,
  formatPlace,
  hasErrors,
  type Place,
  type RelatedPlace,
  renderDiagnostic,
  renderDiagnostics,
  type Severity,
} from './diagnostics.ts';
export type { RecordKind, TableFile } from './document.ts';
export { type EditOptions, type EditResult, TableEdit } from './edit.ts';
export { type Family, overhead, pairFamily } from './encapsulation.ts';
export { DEFAULT_SLOTS, maglev, SLOT_SIZES, type Slots, slotsFor, slotsNeeded, type Weighted } from './maglev.ts';
export type {
  Encap,
  NodeState,
  PortState,
  Table,
  TableAddress,
  TableLocator,
  TableMember,
  TableNetwork,
  TableNode,
  TablePort,
} from './model.ts';
export { HOLD_FILE, reopener, type TableFormat } from './read-file.ts';
export {
  type ParseOptions,
  parseTable,
  type ReadTableOptions,
  readTable,
  type TableResult,
  tableError,
  tableFromObject,
} from './read-table.ts';
export {
  DEFAULT_NODE_MTU,
  DEFAULT_PRIORITY,
  DEFAULT_WEIGHT,
  MAX_LOCATORS,
  MAX_PROBE_MS,
  MIN_PROBE_MS,
  NEVER_USED,
} from './row.ts';
export { atOnce, inSteps, type Steps } from './steps.ts';
export { nearest } from './suggest.ts';
export { dumpTable, type FileName, restoreTable, type TableDump, type TableRest } from './table-snapshot.ts';
export { hasLocator, isViewed, viewOf } from './view.ts';
