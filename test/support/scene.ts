/** Where a packet fixture happens: a table, one of its nodes, and that node's devices. */

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
  /** VLAN id of the underlay; absent: untagged. */
  readonly underlayVlan?: number;
  readonly probeHops?: number;
  /** Device by which flat frames and copies for multicast groups leave; default: the first underlay device. */
  readonly uplink?: string;
}

/** What a fixture changes in its scene. */
export interface SceneChange {
  readonly guard?: Guard;
  readonly unknownSegment?: 'drop' | 'stack';
  readonly ports?: Partial<Environment['ports']>;
  readonly ttl?: number;
  readonly dscp?: number | 'uniform';
  readonly down?: readonly string[];
  readonly drained?: readonly string[];
  readonly former?: Readonly<Record<string, Former>>;
  /** Ports that move, and whose guests were heard at their new places. */
  readonly heard?: readonly string[];
  readonly tooBigSpent?: boolean;
  readonly floodSpent?: boolean;
  /** Node -> largest outer packet that gets there, as a router told. */
  readonly nodeMtu?: Readonly<Record<string, number>>;
  readonly segmenter?: boolean;
  /** `none`: flat frames and copies for groups have no way out. */
  readonly uplink?: 'none';
  readonly faults?: readonly Fault[];
}

/** As IANA assigned them. */
export const TUNNEL_PORTS: Environment['ports'] = { vxlan: 4789, 'vxlan-gpe': 4790, geneve: 6081, lisp: 4341 };

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
  const uplink = change.uplink === 'none' ? undefined : (scene.uplink ?? [...underlay][0]);
  return {
    node: scene.node,
    devices,
    interfaces,
    underlay,
    nextHops,
    underlayVlan: scene.underlayVlan ?? 0,
    // FNV-1a of 'a', this node's id in every scene
    discriminator: 0xe40c292c,
    probeHops: scene.probeHops ?? 1,
    uplink: uplink === undefined ? undefined : { device: uplink, source: scene.devices[uplink]!.mac },
    states: new Map([
      ...(change.down ?? []).map((node) => [node, 'down'] as const),
      ...(change.drained ?? []).map((node) => [node, 'drain'] as const),
    ]),
    former: new Map(Object.entries(change.former ?? {})),
    heard: new Set(change.heard ?? []),
    guard: change.guard ?? 'full',
    unknownSegment: change.unknownSegment ?? 'drop',
    ports: { ...TUNNEL_PORTS, ...change.ports },
    ttl: change.ttl ?? 64,
    dscp: change.dscp ?? 0,
    tooBigSpent: change.tooBigSpent ?? false,
    floodSpent: change.floodSpent ?? false,
    nodeMtu: new Map(Object.entries(change.nodeMtu ?? {})),
    segmenter: change.segmenter ?? false,
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
