import { type Entry, isPortMap, keyBytes, type Plan, STATE_FLAGS, stateFlags, valueBytes } from '../compiler/index.ts';
import { type Nexthop, type Node, node as nodeCodec, port as portCodec } from '../generated/layout.ts';
import { pacer } from '../pace.ts';
import type { NodeState } from '../table/index.ts';
import { addHistory } from './former.ts';
import type { Generation } from './generation.ts';
import { isListMap } from './inner-lists.ts';
import { ENTRY_ORDER, type EntryMap, isPlanMap, type RawEntry } from './map-table.ts';
import { type Held, type MapWriter, readMap, textOf } from './map-writer.ts';
import { type Leftover, reconcilePorts } from './reconcile-ports.ts';

/** What the kernel should hold beside what follows from the table. */
export interface Surroundings {
  /** Next hops of a node, a group or the wire by its kernel id. */
  nexthops(node: number): readonly Nexthop[];
  /** What routers told of an underlay address (16 bytes); 0: nothing. */
  pathMtu(remote: Uint8Array): number;
  /** State of a node by its kernel id; undefined: as the table says. */
  state(node: number): NodeState | undefined;
  /** Entries of `dev`, `local` and `link`. */
  runtime(): Iterable<RawEntry>;
  /** CLOCK_MONOTONIC in nanoseconds. */
  now(): bigint;
  readonly graceNs: bigint;
}

/** Maps of which what is to be written depends on what is held. */
export const HISTORY: readonly EntryMap[] = ['port', 'move'];

/** A plan's entry as the kernel should hold it, given what it holds. */
export function finished(entry: Entry, held: Uint8Array | undefined, around: Surroundings): Uint8Array {
  if (entry.map === 'port') {
    const value = portCodec.encode(entry.value);
    if (held !== undefined) addHistory(viewOf(value), 0, viewOf(held), 0, around.now() + around.graceNs);
    return value;
  }
  if (entry.map === 'node') {
    const { key, value: planned } = entry;
    const value: Node = {
      ...planned,
      flags: withState(planned.flags, around.state(key)),
      mtu: around.pathMtu(planned.remote),
      nexthop: around.nexthops(key),
    };
    return nodeCodec.encode(value);
  }
  // What a program wrote there is its own.
  if (entry.map === 'move' && held !== undefined) return held;
  return valueBytes(entry);
}

/** The same bytes. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** Flags of a node's entry with another state, if one is given. */
export function withState(flags: number, state: NodeState | undefined): number {
  return state === undefined ? flags : (flags & ~STATE_FLAGS) | stateFlags(state);
}

/** By their maps. */
export function group<E extends { readonly map: EntryMap }>(entries: Iterable<E>): ReadonlyMap<EntryMap, E[]> {
  const groups = new Map<EntryMap, E[]>();
  for (const entry of entries) {
    const known = groups.get(entry.map);
    if (known === undefined) groups.set(entry.map, [entry]);
    else known.push(entry);
  }
  return groups;
}

/**
 * Makes the kernel hold the plan: reads every map, writes what differs, make-before-break.
 *
 * @param trusted the maps of ports hold the plan already: they are not looked at
 * @param history where ports' former places are read when `writer` fills new maps: the maps in force
 * @throws ERR_MW_MAP_FULL
 */
export async function reconcile(
  plan: Plan,
  around: Surroundings,
  writer: MapWriter,
  history: Generation | undefined,
  trusted = false,
): Promise<void> {
  const { generation } = writer;
  await generation.repair();
  const gone: (() => Promise<void>)[] = [];
  const runtime = group(around.runtime());
  const pause = pacer();
  for (const map of ENTRY_ORDER) {
    if (isPortMap(map) && trusted) continue;
    if (isPortMap(map)) {
      const left: Leftover = await reconcilePorts(map, plan, around, writer, history, pause);
      gone.push(() => writer.removePacked(map, left.keys, left.count));
      continue;
    }
    const held = await readMap(generation, map);
    const puts: RawEntry[] = [];
    const compare = (entry: RawEntry): void => {
      const text = textOf(entry.key);
      const had = held.get(text);
      held.delete(text);
      if (had === undefined || Buffer.compare(had.value, entry.value) !== 0) puts.push(entry);
    };
    if (isPlanMap(map)) {
      for (const entry of plan.sharedEntries(map)) {
        compare(rawEntry(entry, held, around));
        // a table of slots is filled here
        if (isListMap(map)) await pause();
      }
    } else for (const entry of runtime.get(map) ?? []) compare(entry);
    await writer.put(map, puts);
    const keys = [...held.values()].map(({ key }) => key);
    gone.push(() => writer.remove(map, keys));
  }
  for (const remove of gone.reverse()) await remove();
}

function rawEntry(entry: Entry, held: Held, around: Surroundings): RawEntry {
  const key = keyBytes(entry);
  return { map: entry.map, key, value: finished(entry, held.get(textOf(key))?.value, around) };
}
