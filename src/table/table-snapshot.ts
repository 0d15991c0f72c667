/** A table as arrays and a little JSON, and back: what a restart begins with when its sources did not change. */

import { CompactTable, type Origin } from './compact-table.ts';
import type { TableFile } from './document.ts';
import type { TableAddress, TableNetwork, TableNode } from './model.ts';
import { PortStore, type StoreDump, type StoreRest } from './port-store.ts';

/** A file of the table, without the means to read it again. */
export type FileName = Pick<TableFile, 'name' | 'source' | 'rank'>;

/** What is no array; JSON keeps it. */
export interface TableRest {
  readonly store: StoreRest;
  readonly revision: number;
  readonly nodes: readonly TableNode[];
  readonly networks: readonly TableNetwork[];
  readonly addresses: readonly TableAddress[];
  readonly nodeOrigins: readonly (readonly [string, Origin])[];
  readonly networkOrigins: readonly (readonly [string, Origin])[];
  readonly addressOrigins: readonly (readonly [string, Origin])[];
  /** By number. */
  readonly files: readonly (FileName | null)[];
}

export interface TableDump {
  readonly arrays: StoreDump['arrays'];
  readonly rest: TableRest;
}

/** Of the newest version of a table only. The arrays are those of the store: valid until it is edited. */
export function dumpTable(table: CompactTable): TableDump {
  const { parts } = table;
  const { arrays, rest } = parts.store.dump();
  return {
    arrays,
    rest: {
      store: rest,
      revision: table.revision,
      nodes: [...table.nodes.values()],
      networks: [...table.networks.values()],
      addresses: [...table.addresses.values()],
      nodeOrigins: [...parts.nodeOrigins],
      networkOrigins: [...parts.networkOrigins],
      addressOrigins: [...parts.addressOrigins],
      files: parts.files.byNumber.map((file) =>
        file === undefined ? null : { name: file.name, source: file.source, rank: file.rank },
      ),
    },
  };
}

/** @param fileOf makes a file that can be read again of its name */
export function restoreTable({ arrays, rest }: TableDump, fileOf: (name: FileName) => TableFile): CompactTable {
  const byId = <T extends { readonly id: string }>(list: readonly T[]): Map<string, T> =>
    new Map(list.map((one) => [one.id, Object.freeze(one)]));
  return new CompactTable({
    revision: rest.revision,
    nodes: byId(rest.nodes),
    networks: byId(rest.networks),
    addresses: byId(rest.addresses),
    nodeOrigins: new Map(rest.nodeOrigins),
    networkOrigins: new Map(rest.networkOrigins),
    addressOrigins: new Map(rest.addressOrigins),
    store: PortStore.restore({ arrays, rest: rest.store }),
    files: { byNumber: rest.files.map((file) => (file === null ? undefined : fileOf(file))) },
  });
}
