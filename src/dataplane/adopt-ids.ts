import { u32 } from '../bintools/codec.ts';
import { groupNatural, type IdBook, networkNatural, nodeNatural, portNatural } from '../compiler/index.ts';
import {
  MacFlags,
  macKey,
  macValue,
  network as networkCodec,
  port as portCodec,
  VtepFlags,
  vtepKey,
  vtepValue,
} from '../generated/layout.ts';
import { ipFromMappedBytes, macFromBytes } from '../table/address.ts';
import type { Generation } from './generation.ts';
import { readMap } from './map-writer.ts';

/** Finds the ids that the kernel's maps use again, by natural keys; those whose owner they do not tell are reserved. */
export async function adoptIds(generation: Generation, ids: IdBook): Promise<void> {
  for (const { key, value } of (await readMap(generation, 'vtep')).values()) {
    const address = ipFromMappedBytes(vtepKey.decode(key).addr);
    const { node, flags } = vtepValue.decode(value);
    const isGroup = (flags & VtepFlags.GROUP) !== 0;
    ids.nodes.adopt(node, isGroup ? groupNatural(address) : nodeNatural(address));
  }
  // The wire is among them, which no IdBook hands out.
  for (const { key } of (await readMap(generation, 'node')).values()) ids.nodes.adopt(u32.decode(key), undefined);
  for (const { key, value } of (await readMap(generation, 'network')).values()) {
    const { encap, segment } = networkCodec.decode(value);
    ids.networks.adopt(u32.decode(key), networkNatural(encap, segment));
  }
  for (const { key, value } of (await readMap(generation, 'port')).values()) {
    const { network, mac } = portCodec.decode(value);
    ids.ports.adopt(u32.decode(key), portNatural(network, macFromBytes(mac)));
    ids.networks.adopt(network, undefined);
  }
  for (const { key, value } of (await readMap(generation, 'mac')).values()) {
    const { network, mac } = macKey.decode(key);
    const { port, flags } = macValue.decode(value);
    if ((flags & MacFlags.BALANCED) !== 0) ids.addresses.adopt(port, portNatural(network, macFromBytes(mac)));
    else ids.ports.adopt(port, undefined);
    ids.networks.adopt(network, undefined);
  }
  for (const { key } of (await readMap(generation, 'balance')).values())
    ids.addresses.adopt(u32.decode(key), undefined);
}
