/** Who serves a balanced address, in which order, as one node sees it (packet-rules.md, "Balanced addresses"). */

import { maglev, type Slots, slotsFor } from './maglev.ts';
import type { Table, TableAddress, TableMember, TableNode, TablePort } from './model.ts';
import { NEVER_USED } from './row.ts';
import { viewOf } from './view.ts';

/** Members that share the flows among themselves while one of them is live. */
export interface BalanceLevel {
  /** In the order of their ids. */
  readonly members: readonly TableMember[];
  /** Size of the table of slots. */
  readonly size: number;
}

export interface Balance {
  /** The first is asked first. */
  readonly levels: readonly BalanceLevel[];
  /** Members with a locator on this node, for what comes from the underlay; undefined: there is none. */
  readonly here: BalanceLevel | undefined;
}

/** What the order depends on beside the address. */
type Places = Pick<Table, 'nodes' | 'port'>;

/** Who looks. */
type Self = Pick<TableNode, 'id' | 'region'>;

export function balanceOf(address: TableAddress, table: Places, node: string): Balance {
  const self = table.nodes.get(node) ?? { id: node };
  const ranked = new Map<number, TableMember[]>();
  const here: TableMember[] = [];
  for (const member of address.members) {
    const port = table.port(member.port);
    if (port === undefined) continue;
    const rank = 2 * member.priority + (isFar(address, port, table, self) ? 1 : 0);
    const level = ranked.get(rank);
    if (level === undefined) ranked.set(rank, [member]);
    else level.push(member);
    if (port.at.some((at) => at.node === node)) here.push(member);
  }
  const levels = [...ranked].sort(([a], [b]) => a - b).flatMap(([, members]) => levelOf(address, members) ?? []);
  return { levels, here: levelOf(address, here) };
}

/** A member is where the first locator is that this node has, whatever lives. */
function isFar({ prefer }: TableAddress, port: TablePort, { nodes }: Places, self: Self): boolean {
  if (prefer === 'none') return false;
  const at = viewOf(port.at, self).find(({ priority }) => priority !== NEVER_USED);
  if (at === undefined) return true;
  if (at.node === self.id) return false;
  return prefer === 'local' || self.region === undefined || nodes.get(at.node)?.region !== self.region;
}

/**
 * Undefined: nobody of them is up. Who is alone has all flows in one slot: whoever comes beside it takes only what is its
 * part of the larger table.
 */
function levelOf(address: TableAddress, members: readonly TableMember[]): BalanceLevel | undefined {
  const up = members.filter(({ state }) => state === 'up');
  return up.length === 0 ? undefined : { members: up, size: up.length === 1 ? 1 : slotsFor(address.slots) };
}

function weighted(members: readonly TableMember[]) {
  return members.map(({ port, weight }) => ({ id: port, weight }));
}

/** Levels whose slots were worked out last: they are asked for more than once, for comparing and for writing. */
const remembered = new Map<string, Slots>();
const REMEMBERED = 4;

/** Which members, by index, have the slots of a level. Not to be changed. */
export function slotsOfLevel(level: BalanceLevel): Slots {
  const key = levelKey(level);
  let slots = remembered.get(key);
  if (slots === undefined) slots = maglev(weighted(level.members), level.size);
  else remembered.delete(key);
  remembered.set(key, slots);
  for (const oldest of remembered.keys()) {
    if (remembered.size <= REMEMBERED) break;
    remembered.delete(oldest);
  }
  return slots;
}

/** The same levels have the same slots. */
export function levelKey({ members, size }: BalanceLevel): string {
  return JSON.stringify([size, ...members.map(({ port, weight }) => [port, weight])]);
}
