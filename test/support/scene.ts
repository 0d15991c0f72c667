/** Where a packet fixture happens: a table, one of its nodes, and that node's devices. */

import { ASSIGNED_PORTS } from '../../src/simulator/default-environment.ts';
import type { Device, Environment, Fault, Former, Guard, NextHop, Program } from '../../src/simulator/types.ts';
import type { Table } from '../../src/table/model.ts';

/** A device of the scene with what it is attached to. */
export interface SceneDevice {
  readonly mac: string;
  readonly mtu?: number;
  /** Id of the port it is the interface of; `underlay`; or nothing of ours. */
  readonly is?: string;
  readonly xdpRedirect?: boolean;
  readonly xdpFrags?: boolean;
  readonly partialChecksum?: boolean;
}

export interface Scene {
  readonly name: string;
  readonly table: Table;
  readonly node: string;
  readonly devices: Readonly<Record<string, SceneDevice>>;
  /** Node -> `destination MAC > source MAC @ device`, or `unresolved`. */
  readonly nextHops: Readonly<Record<string, readonly string[]>>;
}

/** What a fixture changes in its scene. */
export interface SceneChange {
  readonly guard?: Guard;
  readonly unknownSegment?: 'drop' | 'stack';
  readonly vxlanPort?: number;
  readonly down?: readonly string[];
  readonly former?: Readonly<Record<string, Former>>;
  readonly tooBigSpent?: boolean;
  readonly faults?: readonly Fault[];
}

export function environmentOf(scene: Scene, change: SceneChange = {}): Environment {
  const devices = new Map<string, Device>();
  const interfaces = new Map<string, string>();
  const underlay = new Set<string>();
  for (const [name, device] of Object.entries(scene.devices)) {
    devices.set(name, {
      name,
      mac: device.mac,
      mtu: device.mtu ?? 1500,
      xdpRedirect: device.xdpRedirect ?? true,
      xdpFrags: device.xdpFrags ?? true,
      partialChecksum: device.partialChecksum ?? false,
    });
    if (device.is === 'underlay') underlay.add(name);
    else if (device.is !== undefined) interfaces.set(device.is, name);
  }
  const nextHops = new Map(Object.entries(scene.nextHops).map(([node, hops]) => [node, hops.map(nextHopOf)]));
  return {
    node: scene.node,
    devices,
    interfaces,
    underlay,
    nextHops,
    down: new Set(change.down),
    former: new Map(Object.entries(change.former ?? {})),
    guard: change.guard ?? 'full',
    unknownSegment: change.unknownSegment ?? 'drop',
    ports: { ...ASSIGNED_PORTS, ...(change.vxlanPort !== undefined && { vxlan: change.vxlanPort }) },
    ttl: 64,
    dscp: 0,
    uplink: undefined,
    underlayVlan: 0,
    nodeMtu: new Map(),
    segmenter: false,
    floodSpent: false,
    tooBigSpent: change.tooBigSpent ?? false,
    faults: change.faults ?? [],
  };
}

function nextHopOf(text: string): NextHop {
  if (text === 'unresolved')
    return { device: undefined, destination: '00:00:00:00:00:00', source: '00:00:00:00:00:00' };
  const [, destination, source, device] = /^(\S+)>(\S+)@(\S+)$/.exec(text) ?? [];
  if (!destination || !source || !device) throw new Error(`no next hop: ${text}`);
  return { device, destination, source };
}

/** Which of the two programs sits on the device. */
export function programOf(scene: Scene, device: string): Program {
  return scene.devices[device]?.is === 'underlay' ? 'underlay' : 'port';
}
