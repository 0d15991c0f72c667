import { u32 } from '../bintools/codec.ts';
import type { Shape } from '../bintools/shape.ts';
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
import { ipFromMappedBytes, macFromBytes, macNumberFromBytes } from '../table/address.ts';
import type { Generation } from './generation.ts';
import { readMap } from './map-writer.ts';
import { pacer } from './pace.ts';

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
  await adoptPorts(generation, ids);
  for (const { key } of (await readMap(generation, 'balance')).values())
    ids.addresses.adopt(u32.decode(key), undefined);
}

/** Ids of ports, by the million: what is read of each entry is read at its place. */
async function adoptPorts(generation: Generation, ids: IdBook): Promise<void> {
  const pause = pacer();
  const [network, mac] = [fieldAt(portCodec, 'network'), fieldAt(portCodec, 'mac')];
  const ports = await generation.entries('port').dump();
  const values = new DataView(ports.values.buffer, ports.values.byteOffset, ports.values.byteLength);
  const keys = new DataView(ports.keys.buffer, ports.keys.byteOffset, ports.keys.byteLength);
  ids.ports.reserve(ports.count);
  let last = 0;
  for (let i = 0; i < ports.count; i++) {
    const at = i * portCodec.size;
    const of = values.getUint32(at + network, true);
    ids.ports.adopt(keys.getUint32(i * u32.size, true), of, macNumberFromBytes(ports.values, at + mac));
    if (of !== last) ids.networks.adopt(of, undefined);
    last = of;
    if ((i & 0xfff) === 0) await pause();
  }
  const macs = await generation.entries('mac').dump();
  const [owner, flags] = [fieldAt(macValue, 'port'), fieldAt(macValue, 'flags')];
  const macValues = new DataView(macs.values.buffer, macs.values.byteOffset, macs.values.byteLength);
  const macKeys = new DataView(macs.keys.buffer, macs.keys.byteOffset, macs.keys.byteLength);
  const [keyNetwork, keyMac] = [fieldAt(macKey, 'network'), fieldAt(macKey, 'mac')];
  last = 0;
  for (let i = 0; i < macs.count; i++) {
    const at = i * macValue.size;
    const id = macValues.getUint32(at + owner, true);
    const of = macKeys.getUint32(i * macKey.size + keyNetwork, true);
    if ((macValues.getUint16(at + flags, true) & MacFlags.BALANCED) !== 0) {
      const address = macFromBytes(macs.keys, i * macKey.size + keyMac);
      ids.addresses.adopt(id, portNatural(of, address));
    } else {
      ids.ports.reserveId(id);
    }
    if (of !== last) ids.networks.adopt(of, undefined);
    last = of;
    if ((i & 0xfff) === 0) await pause();
  }
}

/** Where a field of a struct is, in bytes. */
function fieldAt(codec: { readonly shape: Shape }, name: string): number {
  const { shape } = codec;
  const field = shape.kind === 'struct' ? shape.fields.find((one) => one.name === name) : undefined;
  if (field === undefined) throw new RangeError(`no field ${name}`);
  return field.offset;
}
