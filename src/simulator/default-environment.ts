/** A node as it is when everything is well: for `mapwire simulate`, which asks no kernel. */
import { MapwireError } from '../errors.ts';
import { formatMac } from '../table/address.ts';
import type { Table } from '../table/model.ts';
import type { Device, Environment, NextHop, TunnelPorts } from './types.ts';

/** Name of the one underlay device of a node in this environment. */
export const UNDERLAY_DEVICE = 'underlay';

/** By IANA. */
export const ASSIGNED_PORTS: TunnelPorts = { vxlan: 4789, 'vxlan-gpe': 4790, geneve: 6081, lisp: 4341 };

/** Locally administered MACs for devices that only exist in the model. */
const UNDERLAY_MACS = 0x0200_5e10_0000;
const INTERFACE_MACS = 0x0200_5e20_0000;

/**
 * All interfaces of the node's ports present (named as in the table, else `port:<id>`), all next hops resolved over one
 * underlay device, nodes in the states that the table gives them, guard full. Devices take redirected frames and finish their checksums.
 *
 * @throws ERR_MW_INVALID_ARGUMENT the table has no such node
 */
export function defaultEnvironment(table: Table, node: string): Environment {
  const self = table.nodes.get(node);
  if (self === undefined) {
    throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `the table has no node '${node}'`, {
      hint: `its nodes are ${[...table.nodes.keys()].slice(0, 10).join(', ')}`,
    });
  }
  const macs = new Map([...table.nodes.keys()].map((id, index) => [id, formatMac(UNDERLAY_MACS + index)]));
  const devices = new Map<string, Device>();
  const addDevice = (name: string, mac: string, mtu: number) =>
    devices.set(name, { name, mac, mtu, xdpRedirect: true, xdpFrags: true, partialChecksum: false });
  addDevice(UNDERLAY_DEVICE, macs.get(node)!, self.mtu);
  const interfaces = new Map<string, string>();
  let index = 0;
  for (const port of table.ports()) {
    const here = port.at.find((at) => at.node === node);
    if (here === undefined) continue;
    const name = here.interface ?? `port:${port.id}`;
    addDevice(name, formatMac(INTERFACE_MACS + index++), self.mtu);
    interfaces.set(port.id, name);
  }
  const nextHops = new Map<string, readonly NextHop[]>();
  for (const id of table.nodes.keys()) {
    if (id === node) continue;
    nextHops.set(id, [{ device: UNDERLAY_DEVICE, destination: macs.get(id)!, source: macs.get(node)! }]);
  }
  return {
    node,
    devices,
    interfaces,
    underlay: new Set([UNDERLAY_DEVICE]),
    nextHops,
    states: new Map(),
    former: new Map(),
    heard: new Set(),
    guard: 'full',
    unknownSegment: 'drop',
    uplink: { device: UNDERLAY_DEVICE, source: macs.get(node)! },
    underlayVlan: 0,
    nodeMtu: new Map(),
    ports: ASSIGNED_PORTS,
    ttl: 64,
    dscp: 0,
    tooBigSpent: false,
    floodSpent: false,
    // `simulate` asks about packets from ports
    discriminator: 0,
    probeHops: 1,
    segmenter: true,
    faults: [],
  };
}
