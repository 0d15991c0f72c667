import { u32 } from '../bintools/codec.ts';
import {
  decodeEntry,
  type IdBook,
  type PlanMap,
  type Row,
  renderEntry,
  unnamed,
  WRITE_ORDER,
} from '../compiler/index.ts';
import { MapwireError } from '../errors.ts';
import {
  deviceFlagsNames,
  guardName,
  link as linkCodec,
  linkRoleName,
  local as localCodec,
} from '../generated/layout.ts';
import { macFromBytes } from '../table/address.ts';
import type { Generation } from './generation.ts';
import { type EntryMap, isPlanMap, RUNTIME_MAPS } from './map-table.ts';
import { readMap } from './map-writer.ts';
import type { MapDump } from './types.ts';

/** @throws ERR_MW_NOT_FOUND for a map that does not exist */
export async function dumpMaps(
  generation: Generation,
  ids: IdBook,
  deviceName: (ifindex: number) => string | undefined,
  only?: string,
): Promise<MapDump[]> {
  const all: readonly EntryMap[] = [...WRITE_ORDER, ...RUNTIME_MAPS];
  const maps = only === undefined ? all : all.filter((map) => map === only);
  if (maps.length === 0) {
    throw new MapwireError('ERR_MW_NOT_FOUND', `no map '${only}'`, { hint: `one of: ${all.join(', ')}` });
  }
  const device = (ifindex: number): string => deviceName(ifindex) ?? unnamed(ifindex);
  const dumps: MapDump[] = [];
  for (const map of maps) {
    const entries: Row[] = [];
    for (const { key, value } of (await readMap(generation, map)).values()) {
      entries.push(
        isPlanMap(map)
          ? renderEntry(decodeEntry(map as PlanMap, key, value), ids)
          : runtimeRow(map, key, value, ids, device),
      );
    }
    dumps.push({ map, entries });
  }
  return dumps;
}

function runtimeRow(
  map: EntryMap,
  key: Uint8Array,
  value: Uint8Array,
  ids: IdBook,
  device: (ifindex: number) => string,
): Row {
  const port = (id: number): string => ids.portName(id) ?? unnamed(id);
  const network = (id: number): string => ids.networkName(id) ?? unnamed(id);
  if (map === 'link') {
    const entry = linkCodec.decode(value);
    return {
      device: device(u32.decode(key)),
      role: linkRoleName(entry.role),
      ...(entry.port === 0 ? {} : { port: port(entry.port), network: network(entry.network) }),
      guard: guardName(entry.guard),
      mac: macFromBytes(entry.mac),
      slot: entry.slot,
      capabilities: deviceFlagsNames(entry.device),
    };
  }
  if (map === 'local') {
    const entry = localCodec.decode(value);
    return {
      port: port(u32.decode(key)),
      device: device(entry.ifindex),
      network: network(entry.network),
      mtu: entry.mtu,
      slot: entry.slot,
    };
  }
  return { device: device(u32.decode(key)) };
}
