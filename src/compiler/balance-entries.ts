import { AllowFlags, BalanceFlags, type BalanceLevel, balanceHead, IpFlags, MacFlags } from '../generated/layout.ts';
import { macBytes } from '../table/address.ts';
import { balanceOf, type BalanceLevel as Level, levelKey, slotsOfLevel } from '../table/balance.ts';
import type { Slots } from '../table/maglev.ts';
import type { Table, TableAddress, TablePort } from '../table/model.ts';
import type { BalanceTable, Entry } from './entries.ts';
import { addressEntry, allowEntry, isLocal } from './port-entries.ts';

/** Tables of slots that were filled before, by `levelKey`. */
export type SlotCache = Map<string, Slots>;

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

/** All entries that belong to one address. `cache` is left with the slots that are in use. */
export function balanceEntries(address: TableAddress, context: BalanceContext, cache: SlotCache): Entry[] {
  const { id, network, table, node } = context;
  const mac = macBytes(address.mac);
  const entries: Entry[] = [
    { map: 'balance', key: id, value: balanceTable(address, context, cache) },
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

function balanceTable(address: TableAddress, context: BalanceContext, cache: SlotCache): BalanceTable {
  const { levels, here } = balanceOf(address, context.table, context.node);
  const all = here === undefined ? levels : [...levels, here];
  const known = new Map(cache);
  cache.clear();
  const parts = new Map<string, { readonly level: Level; readonly slots: Slots; readonly start: number }>();
  let end = HEAD_ELEMENTS + all.length;
  const places: BalanceLevel[] = all.map((level) => {
    const key = levelKey(level);
    let part = parts.get(key);
    if (part === undefined) {
      const slots = known.get(key) ?? slotsOfLevel(level);
      cache.set(key, slots);
      part = { level, slots, start: end };
      parts.set(key, part);
      end += level.size;
    }
    return { start: part.start, slots: level.size };
  });
  const slots = new Uint32Array(2 * (end - HEAD_ELEMENTS - all.length));
  let at = 0;
  for (const { level, slots: filled } of parts.values()) {
    const ids = level.members.map(({ port }) => context.portId(port));
    for (let slot = 0; slot < level.size; slot++) {
      slots[at++] = ids[filled.first[slot] as number] ?? 0;
      slots[at++] = ids[filled.second[slot] as number] ?? 0;
    }
  }
  const flags = (address.affinity === 'source' ? BalanceFlags.SOURCE : 0) | (here ? BalanceFlags.HERE : 0);
  const head = {
    address: context.id,
    network: context.network,
    mac: macBytes(address.mac),
    flags,
    levels: levels.length,
  };
  return { head, levels: places, slots };
}
