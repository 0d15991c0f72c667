/**
 * The compiler: what one node has to hold of a table, and what an edit changes. Pure: no kernel, no files.
 *
 * ```ts
 * const ids = new IdBook();                            // a data plane brings its own, adopted from the kernel
 * let current = plan(table, 'host-a', ids);
 * for (const entry of current.entries()) …
 * const next = replan(current, edited, { nodes: [], networks: [], ports: ['web-1'] });
 * for (const change of next.changes.entries) …         // make-before-break
 * current = next.plan;
 * ```
 */
export { overhead, pairFamily, underlayAddress } from '../table/encapsulation.ts';
export { encapNumber } from './active-network.ts';
export { diff, diffEntries } from './diff.ts';
export {
  type BalanceTable,
  decodeEntry,
  ENTRY_CODECS,
  type Entry,
  type EntryChange,
  type EntryTypes,
  keyBytes,
  keyText,
  type PlanMap,
  sortChanges,
  valueBytes,
  WRITE_ORDER,
} from './entries.ts';
export { EntryBuffer } from './entry-buffer.ts';
export {
  groupNatural,
  groupOwner,
  ID_REST_MS,
  IdBook,
  type IdBookOptions,
  IdSpace,
  networkNatural,
  nodeNatural,
  portNatural,
  portOwner,
} from './ids.ts';
export { STATE_FLAGS, stateFlags } from './node-entries.ts';
export {
  type Features,
  type Group,
  LISTED_PORTS,
  type LocalPort,
  type Peer,
  type Plan,
  type PlanChanges,
  type PlannedNetwork,
  plan,
  planSteps,
  replan,
  replanSteps,
  type TableEdits,
} from './plan.ts';
export { isPortMap, PORT_MAPS, type PortMap, PRIORITY_NEVER } from './port-entries.ts';
export {
  formatPlan,
  formatRows,
  type Names,
  type RenderedFeatures,
  type RenderedPlan,
  type Row,
  type RowValue,
  renderEntry,
  renderPlan,
  unnamed,
} from './render.ts';
