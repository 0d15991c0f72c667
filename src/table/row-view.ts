/** The ports of one version of a table by row, for code that goes through all of them and wants no objects. */

import type { IpNumber } from './address.ts';
import { type CompactTable, type Overrides, overridden } from './compact-table.ts';
import type { PortColumns, PortStore, StoredRow } from './port-store.ts';

/**
 * Looks at a version as it is now: valid until the table is edited. Whoever pauses makes another one.
 *
 * A row is *plain* when it is a network, a MAC, at most one address of each family and one locator with no more than a node and an
 * interface; all of it lies in columns then. What is not plain, or was changed by a later version, is an object.
 */
export class RowView {
  readonly limit: number;
  readonly #store: PortStore;
  readonly #columns: PortColumns;
  readonly #overrides: Overrides;

  constructor(table: CompactTable) {
    this.limit = table.rowLimit;
    this.#store = table.parts.store;
    this.#columns = this.#store.columns();
    this.#overrides = table.overrides();
  }

  /** Does the row lie in columns? Otherwise `stored` says what is there. */
  isPlain(row: number): boolean {
    if (!this.#store.isPlain(row)) return false;
    for (const rows of this.#overrides) if (rows.has(row)) return false;
    return true;
  }

  /** What is in a row; undefined when it is free. */
  stored(row: number): StoredRow | undefined {
    const was = overridden(this.#overrides, row);
    if (was !== undefined) return was ?? undefined;
    return this.#store.isLive(row) ? this.#store.stored(row) : undefined;
  }

  // Numbers of names are those of the store; only rows that are plain have them.

  /** The number of a network's name; undefined when no plain row has it. */
  networkNumber(name: string): number | undefined {
    return this.#store.networks.find(name);
  }

  networkName(number: number): string {
    return this.#store.networks.name(number);
  }

  nodeNumber(name: string): number | undefined {
    return this.#store.nodes.find(name);
  }

  nodeName(number: number): string {
    return this.#store.nodes.name(number);
  }

  // of plain rows

  id(row: number): string {
    return this.#store.id(row);
  }

  network(row: number): number {
    return this.#columns.network.get(row);
  }

  node(row: number): number {
    return this.#columns.node[row]!;
  }

  mac(row: number): number {
    return this.#store.mac(row);
  }

  /** The six bytes of the MAC. */
  macBytes(row: number, into: Uint8Array): void {
    const high = this.#columns.macHigh.get(row);
    const low = this.#columns.macLow[row]!;
    into[0] = high >>> 8;
    into[1] = high;
    into[2] = low >>> 24;
    into[3] = low >>> 16;
    into[4] = low >>> 8;
    into[5] = low;
  }

  hasIp4(row: number): boolean {
    return this.#store.hasIp4(row);
  }

  /** Only where `hasIp4`. */
  ip4(row: number): number {
    return this.#columns.ip4[row]!;
  }

  hasIp6(row: number): boolean {
    return this.#store.hasIp6(row);
  }

  /** The sixteen bytes of the IPv6 address; only where `hasIp6`. */
  ip6Bytes(row: number, into: Uint8Array): void {
    const words = this.#columns.ip6!;
    for (let i = 0; i < 4; i++) {
      const word = words[row * 4 + i]!;
      into[i * 4] = word >>> 24;
      into[i * 4 + 1] = word >>> 16;
      into[i * 4 + 2] = word >>> 8;
      into[i * 4 + 3] = word;
    }
  }

  ips(row: number): readonly IpNumber[] {
    return this.#store.ips(row);
  }
}
