/** Random worlds for the differential test and the fuzzer: a table, an environment. Everything follows from a seed. */

import type { Environment, Fault } from '../../src/simulator/types.ts';
import { formatMac } from '../../src/table/address.ts';
import type { Table, TablePort } from '../../src/table/model.ts';
import { LOAD_CLASSES, type LoadClass } from './packet-random-classes.ts';
import { macOf, randomTableObject } from './packet-random-table.ts';
import { Random } from './random.ts';
import { environmentOf, type Scene, type SceneDevice } from './scene.ts';
import { tableOf } from './table-object.ts';

/** What the frames of one table are run in. */
export interface RandomWorld {
  readonly scene: Scene;
  readonly table: Table;
  readonly environment: Environment;
  readonly loadClass: LoadClass;
}

export const DEVICES = 18;
const SELF_MAC = '02:00:00:00:aa:00';
const OTHER_MAC = '02:00:00:00:aa:01';

export function randomWorld(seed: string, index: number): RandomWorld {
  const random = new Random(`${seed} table ${index}`);
  const loadClass = LOAD_CLASSES[index % LOAD_CLASSES.length]!;
  const table = tableOf(randomTableObject(random, loadClass));
  const devices: Record<string, SceneDevice> = {
    u0: { ...randomDevice(random), mac: SELF_MAC, is: 'underlay', mtu: 9000 },
    u1: { ...randomDevice(random), mac: OTHER_MAC, is: 'underlay', mtu: 9000 },
    spare: { ...randomDevice(random), mac: macOf(0xcc00) },
  };
  for (const port of table.ports()) {
    if (!port.at.some(({ node }) => node === 'a') || !random.chance(0.88)) continue;
    if (Object.keys(devices).length === DEVICES) break;
    devices[`d${port.id}`] = { ...randomDevice(random), mac: macOf(0xcc10), is: port.id };
  }
  const others = [...table.nodes.keys()].filter((node) => node !== 'a');
  const scene: Scene = {
    name: `random ${index}`,
    table,
    node: 'a',
    devices,
    nextHops: Object.fromEntries(others.map((node) => [node, randomHops(random)])),
    // a constant of the load, as its TTL is
    probeHops: loadClass.ttl === 255 ? 3 : 1,
    underlayVlan: random.chance(0.3) ? random.pick([30, 4094]) : 0,
    uplink: random.pick(['u0', 'u1']),
  };
  const limited = loadClass.lean !== true;
  const environment = environmentOf(scene, {
    guard: loadClass.guardOff === true ? 'off' : random.chance(0.85) ? 'full' : 'mac',
    unknownSegment: loadClass.unknownSegment ?? 'drop',
    ports: loadClass.ports,
    ttl: loadClass.ttl,
    dscp: loadClass.dscp,
    segmenter: loadClass.segmenter,
    down: [...table.nodes.keys()].filter(() => random.chance(0.12)),
    drained: [...table.nodes.keys()].filter(() => random.chance(0.12)),
    former: randomFormers(random, table),
    heard: [...table.ports()].filter(() => random.chance(0.4)).map(({ id }) => id),
    nodeMtu: Object.fromEntries(
      others.flatMap((node) => (random.chance(0.2) ? [[node, random.pick([576, 1280, 1400, 1500, 9000])]] : [])),
    ),
    tooBigSpent: limited && random.chance(0.06),
    floodSpent: limited && random.chance(0.06),
    ...(random.chance(0.08) && { uplink: 'none' as const }),
    faults: random.chance(0.3) ? randomFaults(random, table, devices) : [],
  });
  return { scene, table, environment, loadClass };
}

function randomDevice(random: Random): Omit<SceneDevice, 'mac'> {
  return {
    mtu: random.pick([500, 1000, 1400, 1500, 1500, 9000]),
    xdpRedirect: random.chance(0.88),
    xdpFrags: random.chance(0.7),
    partialChecksum: random.chance(0.5),
  };
}

function randomHops(random: Random): string[] {
  const hop = (): string =>
    random.chance(0.12)
      ? 'unresolved'
      : `${macOf(0xbb00 + random.below(9))}>${formatMac(0x0200_0000_aa00)}@${random.pick(['u0', 'u1'])}`;
  return random.chance(0.35) ? [hop(), hop()] : [hop()];
}

function randomFormers(random: Random, table: Table): Record<string, { node: string; past: boolean }> {
  const formers: Record<string, { node: string; past: boolean }> = {};
  const others = [...table.nodes.keys()].filter((node) => node !== 'a');
  for (const port of table.ports()) {
    if (random.chance(0.15) && isKnown(table, port))
      formers[port.id] = { node: random.pick(others), past: random.chance(0.3) };
  }
  return formers;
}

/** Is the port in a network of which node a holds anything? */
function isKnown(table: Table, port: TablePort): boolean {
  for (const other of table.ports()) {
    if (other.network === port.network && other.at.some(({ node }) => node === 'a')) return true;
  }
  return false;
}

/** Faults of entries that are there. */
function randomFaults(random: Random, table: Table, devices: Readonly<Record<string, SceneDevice>>): Fault[] {
  const ports = [...table.ports()].filter((port) => isKnown(table, port));
  const faults: Fault[] = [];
  for (let i = random.between(1, 3); i > 0 && ports.length > 0; i--) {
    const port = random.pick(ports);
    const effect = random.pick(['missing', 'stale'] as const);
    const network = table.networks.get(port.network)!;
    const local = Object.entries(devices).find(([, device]) => device.is === port.id);
    const choices: Fault[] = [
      { target: 'port', key: port.id, effect: random.chance(0.3) ? 'foreign' : effect },
      { target: 'mac', key: `${port.network} ${port.mac}`, effect },
      { target: 'network', key: port.network, effect },
      { target: 'segment', key: `${network.encap} ${segmentHere(table, port)}`, effect },
      ...port.ips.map((ip): Fault => ({ target: 'ip', key: `${port.network} ${ip}`, effect })),
      ...port.macs.map((mac): Fault => ({ target: 'source-mac', key: `${port.network} ${mac}`, effect })),
      ...nodesWithEntry(table, ports).map((node): Fault => ({ target: 'node', key: node, effect })),
      ...[...table.nodes.values()].map(
        ({ underlay }): Fault => ({ target: 'vtep', key: random.pick(underlay), effect }),
      ),
    ];
    // the way to the port itself is what most frames for it need
    for (const { node } of port.at)
      if (nodesWithEntry(table, ports).includes(node)) choices.push({ target: 'node', key: node, effect: 'missing' });
    for (const { id, network: its, mac, ips, members } of table.addresses.values()) {
      if (its !== port.network) continue;
      choices.push({ target: 'balance', key: id, effect }, { target: 'mac', key: `${its} ${mac}`, effect });
      for (const ip of ips) {
        choices.push({ target: 'ip', key: `${its} ${ip}`, effect });
        const here = members.some((member) => member.port === port.id) && port.at.some(({ node }) => node === 'a');
        const prefix = `${ip}/${ip.includes(':') ? 128 : 32}`;
        if (here) choices.push({ target: 'allow', key: `${port.id} ${prefix}`, effect });
      }
    }
    if (network.encap === 'flat') choices.push({ target: 'node', key: 'the wire', effect });
    if (network.group !== undefined) {
      choices.push(
        { target: 'node', key: `group ${network.group}`, effect },
        { target: 'vtep', key: network.group, effect },
      );
    }
    if (local !== undefined) {
      choices.push({ target: 'local', key: port.id, effect: random.chance(0.3) ? 'foreign' : effect });
      choices.push({ target: 'link', key: local[0], effect });
      for (const prefix of port.allow) choices.push({ target: 'allow', key: `${port.id} ${prefix}`, effect });
    }
    const fault = random.pick(choices);
    if (!faults.some(({ target, key }) => target === fault.target && key === fault.key)) faults.push(fault);
  }
  return faults;
}

/** A segment that this node is addressed with in the port's network. */
export function segmentHere(table: Table, port: TablePort): number {
  const { segment } = table.networks.get(port.network)!;
  for (const other of table.ports()) {
    if (other.network !== port.network) continue;
    for (const at of other.at) if (at.node === 'a') return at.segment ?? segment;
  }
  return segment;
}

/** Nodes that this one has an entry of: they share a network with it, and a family. */
function nodesWithEntry(table: Table, known: readonly TablePort[]): string[] {
  const here = table.nodes.get('a')!.underlay.map((ip) => ip.includes(':'));
  const nodes = new Set(known.flatMap(({ at }) => at.map(({ node }) => node)).filter((node) => node !== 'a'));
  return [...nodes].filter((node) => table.nodes.get(node)!.underlay.some((ip) => here.includes(ip.includes(':'))));
}
