/** Where the values are that the checks speak of, and how they tell of them. */

import { equalIp, formatIp, formatPrefix, type IpNumber, parseIp, parseMac, parsePrefix } from './address.ts';
import type { Origin } from './compact-table.ts';
import type { DiagnosticCode } from './diagnostics.ts';
import type { TableEdit } from './edit.ts';
import { isMapping, type Path } from './row.ts';

// paths of values inside a record, found again in what was written

export function pathOfIp(value: unknown, ip: IpNumber): Path {
  return itemPath(value, 'ips', (item) => {
    const own = typeof item === 'string' ? parseIp(item) : undefined;
    return own !== undefined && equalIp(own, ip);
  });
}

export function pathOfUnderlay(value: unknown, address: string): Path {
  return itemPath(value, 'underlay', (item) => {
    const own = typeof item === 'string' ? parseIp(item) : undefined;
    return own !== undefined && formatIp(own) === address;
  });
}

/** The port of a member of a balanced address. */
export function pathOfMember(value: unknown, port: string): Path {
  return [...itemPath(value, 'members', (item) => isMapping(item) && item.port === port), 'port'];
}

/** @param prefix canonical text */
export function pathOfPrefix(value: unknown, prefix: string): Path {
  return itemPath(value, 'allow', (item) => {
    const own = typeof item === 'string' ? parsePrefix(item) : undefined;
    return own !== undefined && formatPrefix(own) === prefix;
  });
}

export function pathOfSharedMac(value: unknown, mac: number): Path {
  return itemPath(value, 'macs', (item) => typeof item === 'string' && parseMac(item) === mac);
}

export function pathOfLocator(
  value: unknown,
  matches: (locator: Record<string, unknown>) => boolean,
  key: string,
): Path {
  const move = isMapping(value) ? value.move : undefined;
  const pending = isMapping(move) ? move.to : undefined;
  if (isMapping(pending) && matches(pending)) return ['move', 'to', key];
  const path = itemPath(value, 'at', (item) => isMapping(item) && matches(item));
  return [...path, key];
}

/** Of an address: it says how many slots it has, or who wants them. */
export function pathOfSlots(value: unknown): Path {
  return isMapping(value) && value.slots !== undefined ? ['slots'] : ['members'];
}

function itemPath(value: unknown, key: string, matches: (item: unknown) => boolean): Path {
  const list = isMapping(value) ? value[key] : undefined;
  if (!Array.isArray(list)) return [key];
  const index = list.findIndex(matches);
  return index < 0 ? [key] : [key, index];
}

export function originOfRow(edit: TableEdit, row: number): Origin {
  return { file: edit.store.file(row), line: edit.store.line(row) };
}

/** Rows in the order in which they are written. */
export function inOrder(edit: TableEdit, rows: readonly number[]): number[] {
  return rows.toSorted((a, b) => edit.compareOrigins(originOfRow(edit, a), originOfRow(edit, b)) || a - b);
}

export function related(edit: TableEdit, row: number, find: (value: unknown) => Path, message: string) {
  const id = edit.store.id(row);
  return () => [{ ...edit.place(originOfRow(edit, row), 'port', id, find), message }];
}

// ports

/** Rows of a check between two pauses. */
export const STEP_ROWS = 4_096;

export function* allRows(edit: TableEdit): Generator<number> {
  for (let row = 0; row < edit.store.limit; row++) yield row;
}

export function reportPort(
  edit: TableEdit,
  code: DiagnosticCode,
  row: number,
  find: (value: unknown) => Path,
  message: string,
  hint?: () => string | undefined,
): void {
  edit.report(code, originOfRow(edit, row), 'port', edit.store.id(row), find, message, { hint });
}

// nodes

/** Numbers of nodes on which a network has come, or is another than before, or has a segment more. */
export function nodesToCheck(edit: TableEdit): Set<number> {
  const { store } = edit;
  const nodes = new Set(store.dirtyNodes);
  if (edit.networks.changed.size === 0) return nodes;
  const networks = [...edit.networks.changed].map((id) => store.networks.find(id)).filter((n) => n !== undefined);
  for (const [node, present] of store.presence) {
    if (networks.some((network) => present.has(network))) nodes.add(node);
  }
  return nodes;
}
