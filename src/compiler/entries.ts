import type { Codec } from '../bintools/codec.ts';
import { u32 } from '../bintools/codec.ts';
import {
  type Allow4Key,
  type Allow6Key,
  type AllowValue,
  allow4Key,
  allow6Key,
  allowValue,
  BalanceFlags,
  type BalanceHead,
  type BalanceLevel,
  balanceHead,
  balanceLevel,
  type FloodTarget,
  floodTarget,
  type Ip4Key,
  type Ip4Value,
  type Ip6Key,
  type Ip6Value,
  ip4Key,
  ip4Value,
  ip6Key,
  ip6Value,
  type MacKey,
  type MacValue,
  type Move,
  macKey,
  macValue,
  move,
  type Network,
  type Node,
  network,
  node,
  type Port,
  port,
  type SegmentKey,
  type SegmentValue,
  type SourceMacValue,
  segmentKey,
  segmentValue,
  sourceMacValue,
  type VtepKey,
  type VtepValue,
  vtepKey,
  vtepValue,
} from '../generated/layout.ts';

/** What several ports share an address by: one value, an array of 8-byte elements in the kernel. */
export interface BalanceTable {
  readonly head: BalanceHead;
  /** Each with the roll of its members behind it; and two more, of the members on this node, with `BalanceFlags.HERE`. */
  readonly levels: readonly BalanceLevel[];
  /** First and second port of every slot, level by level. Of a plan: worked out each time that it is asked for. */
  readonly slots: Uint32Array;
}

/** Key and value of each map that follows from the table alone, by the map's short name. */
export interface EntryTypes {
  ip4: [Ip4Key, Ip4Value];
  ip6: [Ip6Key, Ip6Value];
  mac: [MacKey, MacValue];
  source_mac: [MacKey, SourceMacValue];
  allow4: [Allow4Key, AllowValue];
  allow6: [Allow6Key, AllowValue];
  /** `former` and `formerUntil` are always 0 here: they are history, which the data plane adds. */
  port: [number, Port];
  /** `heard` is always 0 here: the programs write it. */
  move: [number, Move];
  network: [number, Network];
  segment: [SegmentKey, SegmentValue];
  vtep: [VtepKey, VtepValue];
  /** Next hops are always empty here: the data plane finds them. */
  node: [number, Node];
  /** The value is the whole list, its count first. */
  flood: [number, readonly FloodTarget[]];
  balance: [number, BalanceTable];
}

export type PlanMap = keyof EntryTypes;

/** One map entry of the plan. */
export type Entry<M extends PlanMap = PlanMap> = {
  [N in M]: { readonly map: N; readonly key: EntryTypes[N][0]; readonly value: EntryTypes[N][1] };
}[M];

export type EntryChange =
  /** `before` is what the plan had under this key; undefined: nothing. */
  | { readonly op: 'put'; readonly entry: Entry; readonly before: Entry | undefined }
  /** `entry` is what has to go. */
  | { readonly op: 'delete'; readonly entry: Entry };

type Encoder<T> = Pick<Codec<T>, 'encode' | 'decode'>;

/** A list of any length of one struct. */
function listCodec<T>(element: Codec<T>): Encoder<readonly T[]> {
  return {
    encode(values) {
      const bytes = new Uint8Array(values.length * element.size);
      const view = new DataView(bytes.buffer);
      values.forEach((value, i) => {
        element.write(view, i * element.size, value);
      });
      return bytes;
    },
    decode(bytes) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const values: T[] = [];
      for (let at = 0; at + element.size <= bytes.byteLength; at += element.size) values.push(element.read(view, at));
      return values;
    },
  };
}

const balanceTable: Encoder<BalanceTable> = {
  encode({ head, levels, slots }) {
    const at = balanceHead.size + levels.length * balanceLevel.size;
    const bytes = new Uint8Array(at + slots.length * 4);
    const view = new DataView(bytes.buffer);
    balanceHead.write(view, 0, head);
    levels.forEach((level, i) => {
      balanceLevel.write(view, balanceHead.size + i * balanceLevel.size, level);
    });
    for (let i = 0; i < slots.length; i++) view.setUint32(at + 4 * i, slots[i] as number, true);
    return bytes;
  },
  decode(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const head = balanceHead.read(view, 0);
    const count = head.levels + ((head.flags & BalanceFlags.HERE) !== 0 ? 2 : 0);
    const levels = Array.from({ length: count }, (_, i) =>
      balanceLevel.read(view, balanceHead.size + i * balanceLevel.size),
    );
    const at = balanceHead.size + count * balanceLevel.size;
    const slots = new Uint32Array((bytes.length - at) / 4);
    for (let i = 0; i < slots.length; i++) slots[i] = view.getUint32(at + 4 * i, true);
    return { head, levels, slots };
  },
};

/** How keys and values of each map become bytes. */
export const ENTRY_CODECS: {
  readonly [M in PlanMap]: { readonly key: Codec<EntryTypes[M][0]>; readonly value: Encoder<EntryTypes[M][1]> };
} = {
  ip4: { key: ip4Key, value: ip4Value },
  ip6: { key: ip6Key, value: ip6Value },
  mac: { key: macKey, value: macValue },
  source_mac: { key: macKey, value: sourceMacValue },
  allow4: { key: allow4Key, value: allowValue },
  allow6: { key: allow6Key, value: allowValue },
  port: { key: u32, value: port },
  move: { key: u32, value: move },
  network: { key: u32, value: network },
  segment: { key: segmentKey, value: segmentValue },
  vtep: { key: vtepKey, value: vtepValue },
  node: { key: u32, value: node },
  flood: { key: u32, value: listCodec(floodTarget) },
  balance: { key: u32, value: balanceTable },
};

/**
 * Make-before-break: what is referred to is written before what refers to it, and removed after it. Ports refer to nodes
 * and networks, addresses and flood lists to ports, addresses also to the tables of slots, segments open a network to the underlay.
 */
export const WRITE_ORDER: readonly PlanMap[] = [
  'node',
  'vtep',
  'network',
  'move',
  'port',
  'balance',
  'allow4',
  'allow6',
  'source_mac',
  'mac',
  'ip4',
  'ip6',
  'flood',
  'segment',
];

const RANK = new Map(WRITE_ORDER.map((map, rank) => [map, rank]));

export function keyBytes(entry: Entry): Uint8Array {
  return (ENTRY_CODECS[entry.map].key as Codec<unknown>).encode(entry.key);
}

export function valueBytes(entry: Entry): Uint8Array {
  return (ENTRY_CODECS[entry.map].value as Encoder<unknown>).encode(entry.value);
}

/** The reverse of `keyBytes` and `valueBytes`. */
export function decodeEntry(map: PlanMap, key: Uint8Array, value: Uint8Array): Entry {
  const codec = ENTRY_CODECS[map] as { key: Codec<unknown>; value: Encoder<unknown> };
  return { map, key: codec.key.decode(key), value: codec.value.decode(value) } as Entry;
}

/** Bytes as a string of the same length, for use as a key of a Map. */
export function bytesText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

export function keyText(entry: Entry): string {
  return `${entry.map}:${bytesText(keyBytes(entry))}`;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Do two entries with one key have different values? Tables of slots that stay the same are one object, and not filled. */
export function differs(before: Entry, after: Entry): boolean {
  return before.value !== after.value && !equalBytes(valueBytes(before), valueBytes(after));
}

/** Sorts by make-before-break: puts in the order of `WRITE_ORDER`, then deletes in the opposite order. */
export function sortChanges(changes: Iterable<EntryChange>): EntryChange[] {
  const ranked: EntryChange[][] = [];
  for (const change of changes) {
    const position = RANK.get(change.entry.map) as number;
    const rank = change.op === 'put' ? position : 2 * WRITE_ORDER.length - position;
    ranked[rank] ??= [];
    ranked[rank].push(change);
  }
  return ranked.flat();
}
