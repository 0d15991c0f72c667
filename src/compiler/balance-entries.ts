import {
  AllowFlags,
  BalanceFlags,
  type BalanceHead,
  type BalanceLevel,
  balanceHead,
  IpFlags,
  MacFlags,
} from '../generated/layout.ts';
import { macBytes } from '../table/address.ts';
import { balanceOf, type BalanceLevel as Level, levelKey, slotsOfLevel } from '../table/balance.ts';
import type { Table, TableAddress, TablePort } from '../table/model.ts';
import type { BalanceTable, Entry } from './entries.ts';
import { addressEntry, allowEntry, isLocal } from './port-entries.ts';

/** What the entries of a balanced address need to know about the rest of the plan. */
export interface BalanceContext {
  /** Kernel ids of the address and of its network. */
  readonly id: number;
  readonly network: number;
  readonly table: Table;
  /** This node. */
  readonly node: string;
  /** Kernel id of a member. */
  portId(port: string): number;
}

const HEAD_ELEMENTS = balanceHead.size / 8;

/** All entries that belong to one address. `before`: those that it had; a table of slots that stays the same is taken from them. */
export function balanceEntries(address: TableAddress, context: BalanceContext, before: readonly Entry[] = []): Entry[] {
  const { id, network, table, node } = context;
  const mac = macBytes(address.mac);
  const entries: Entry[] = [
    { map: 'balance', key: id, value: balanceTable(address, context, before) },
    { map: 'mac', key: { network, mac }, value: { port: id, network, mac, flags: MacFlags.BALANCED } },
  ];
  for (const ip of address.ips) entries.push(addressEntry(ip, id, network, IpFlags.ANSWER | IpFlags.BALANCED));
  // Members may send from it: what reads that runs where they are.
  for (const { port } of address.members) {
    if (!isLocal(table.port(port) as TablePort, node)) continue;
    for (const ip of address.ips) {
      entries.push(allowEntry(`${ip}/${ip.includes(':') ? 128 : 32}`, context.portId(port), AllowFlags.BALANCED));
    }
  }
  return entries;
}

/** Slots that levels share: its members, with their kernel ids. */
interface Part {
  readonly level: Level;
  readonly ids: readonly number[];
}

/** A table of slots that is filled when it is written or compared: full ones are large, and there may be thousands of addresses. */
class PlannedTable implements BalanceTable {
  readonly head: BalanceHead;
  readonly levels: readonly BalanceLevel[];
  /** All that it follows from. */
  readonly key: string;
  readonly #parts: readonly Part[];

  constructor(head: BalanceHead, levels: readonly BalanceLevel[], parts: readonly Part[], key: string) {
    this.head = head;
    this.levels = levels;
    this.key = key;
    this.#parts = parts;
  }

  get slots(): Uint32Array {
    const slots = new Uint32Array(this.#parts.reduce((sum, { level, ids }) => sum + 2 * (level.size + ids.length), 0));
    let at = 0;
    for (const { level, ids } of this.#parts) {
      const { first, second } = slotsOfLevel(level);
      for (let slot = 0; slot < level.size; slot++) {
        slots[at++] = ids[first[slot] as number] ?? 0;
        slots[at++] = ids[second[slot] as number] ?? 0;
      }
      // the roll
      for (const id of ids) {
        slots[at] = id;
        at += 2;
      }
    }
    return slots;
  }
}

function balanceTable(address: TableAddress, context: BalanceContext, before: readonly Entry[]): BalanceTable {
  const { levels, here } = balanceOf(address, context.table, context.node);
  const all = here === undefined ? levels : [...levels, here];
  const parts = new Map<string, Part & { readonly start: number }>();
  let end = HEAD_ELEMENTS + 2 * all.length;
  const places: BalanceLevel[] = all.flatMap((level) => {
    const key = levelKey(level);
    let part = parts.get(key);
    if (part === undefined) {
      part = { level, ids: level.members.map(({ port }) => context.portId(port)), start: end };
      parts.set(key, part);
      end += level.size + level.members.length;
    }
    const roll = { start: part.start + level.size, slots: level.members.length };
    return [{ start: part.start, slots: level.size }, roll];
  });
  const flags = (address.affinity === 'source' ? BalanceFlags.SOURCE : 0) | (here ? BalanceFlags.HERE : 0);
  const { id, network } = context;
  const key = JSON.stringify([
    ...[id, network, address.mac, flags, levels.length, places],
    ...[...parts].map(([level, { ids }]) => [level, ids]),
  ]);
  const had = before.find(({ map }) => map === 'balance')?.value;
  if (had instanceof PlannedTable && had.key === key) return had;
  const head = { address: id, network, mac: macBytes(address.mac), flags, levels: 2 * levels.length };
  return new PlannedTable(head, places, [...parts.values()], key);
}
