import type { Codec } from '../bintools/codec.ts';
import { u32 } from '../bintools/codec.ts';
import { ENTRY_CODECS, type PlanMap, WRITE_ORDER } from '../compiler/index.ts';
import {
  type DevmapVal,
  devmapVal,
  type Link,
  type Local,
  link as linkCodec,
  local as localCodec,
} from '../generated/layout.ts';

/** Maps that follow from the devices of this host. */
export interface RuntimeTypes {
  link: [number, Link];
  local: [number, Local];
  dev: [number, DevmapVal];
}

export type RuntimeMap = keyof RuntimeTypes;

/** Maps whose content this side decides. */
export type EntryMap = PlanMap | RuntimeMap;

export const RUNTIME_MAPS: readonly RuntimeMap[] = ['dev', 'local', 'link'];

/** Maps that the programs write. They outlive generations where their layouts agree. */
export const COUNTER_MAPS = ['drops', 'traffic', 'limit'] as const;

/** Made anew for each generation. */
export const OWN_MAPS = ['meta', 'live', 'front', 'verdict', 'scratch', 'events'] as const;

/**
 * Make-before-break over all maps: a device is known before addresses lead to it, and frames from a device are let in
 * last. Removed in the opposite order.
 */
export const ENTRY_ORDER: readonly EntryMap[] = (() => {
  const order: EntryMap[] = [...WRITE_ORDER];
  order.splice(order.indexOf('source_mac'), 0, 'dev', 'local');
  order.push('link');
  return order;
})();

const RUNTIME_CODECS: {
  readonly [M in RuntimeMap]: { key: Codec<RuntimeTypes[M][0]>; value: Codec<RuntimeTypes[M][1]> };
} = {
  link: { key: u32, value: linkCodec },
  local: { key: u32, value: localCodec },
  dev: { key: u32, value: devmapVal },
};

export function runtimeCodec<M extends RuntimeMap>(map: M): (typeof RUNTIME_CODECS)[M] {
  return RUNTIME_CODECS[map];
}

export function isPlanMap(map: EntryMap): map is PlanMap {
  return map in ENTRY_CODECS;
}

/** An entry as the kernel sees it. A flood list is its elements, one after the other. */
export interface RawEntry {
  readonly map: EntryMap;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** `mw5_source_mac` → `source_mac`; undefined for a name that is not of this kind. */
export function shortName(name: string): string | undefined {
  return /^mw\d+_(\w+)$/.exec(name)?.[1];
}

/** `mw5_source_mac` → 5. */
export function layoutOfName(name: string): number | undefined {
  const digits = /^mw(\d+)_/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Smallest room of a map. */
export const LEAST_CAPACITY = 4096;

/** Room for a number of entries: twice as many. */
export function capacityFor(entries: number): number {
  return Math.max(LEAST_CAPACITY, 2 * entries);
}

/** Is a map with this room too small (80 %) for so many entries? */
export function isTight(entries: number, capacity: number): boolean {
  return entries > 0.8 * capacity;
}
