/**
 * What the tests of the model are put to: node `a` is this node, `b` (IPv4), `v` (IPv6 alone) and `x` (IPv6, foreign) are
 * others. Each network `NAME` has the ports `NAME-1` and `NAME-2` here and `NAME-b`, `NAME-v`, `NAME-x` there, the third of
 * the networks with the addresses 10.N.0.1 …, so that a test names nothing but what it is about.
 */
import { defaultEnvironment, UNDERLAY_DEVICE } from '../../../src/simulator/default-environment.ts';
import { type SimulationInput, simulate } from '../../../src/simulator/simulate.ts';
import type { Environment, Simulation } from '../../../src/simulator/types.ts';
import { World } from '../../../src/simulator/world.ts';
import { tableFromObject } from '../../../src/table/index.ts';
import type { Table } from '../../../src/table/model.ts';

export const NODES = {
  a: { underlay: ['192.0.2.1', '2001:db8::1'] },
  b: { underlay: '192.0.2.2' },
  v: { underlay: '2001:db8::6' },
  x: { underlay: '2001:db8::f', kind: 'foreign' },
} as const;

/** MACs of next hops and of this node's underlay device, as the default environment gives them. */
export const UNDERLAY_MAC = {
  a: '02:00:5e:10:00:00',
  b: '02:00:5e:10:00:01',
  v: '02:00:5e:10:00:02',
  x: '02:00:5e:10:00:03',
} as const;

const PLACES = ['1', '2', 'b', 'v', 'x'] as const;
type Place = (typeof PLACES)[number];

/** MAC of a port: the network's number and the place. */
export function macOf(network: number, place: Place): string {
  return `02:00:00:00:0${network}:0${PLACES.indexOf(place) + 1}`;
}

export function ipOf(network: number, place: Place, family: 4 | 6 = 4): string {
  const host = PLACES.indexOf(place) + 1;
  return family === 4 ? `10.${network}.0.${host}` : `fd00:${network}::${host}`;
}

interface PortRow {
  network: string;
  mac: string;
  ips: string[];
  at: { node: string; interface?: string; segment?: number; priority?: number }[];
}

/** A table with these networks, numbered from 1 in their order. */
export function tableOf(
  networks: Readonly<Record<string, object>>,
  change: (ports: Record<string, PortRow>) => void = () => {},
  nodes: Readonly<Record<string, object>> = NODES,
): Table {
  const ports: Record<string, PortRow> = {};
  Object.keys(networks).forEach((network, i) => {
    for (const place of PLACES) {
      const at = place === '1' || place === '2' ? { node: 'a', interface: `${network}${place}` } : { node: place };
      const [number, mac] = [i + 1, macOf(i + 1, place)];
      ports[`${network}-${place}`] = { network, mac, ips: [ipOf(number, place), ipOf(number, place, 6)], at: [at] };
    }
  });
  change(ports);
  return tableFromObject({ mapwire: 1, nodes, networks, ports });
}

/** A network of each encapsulation: 1 vxlan to 6 flat. */
export const EVERY_ENCAP = {
  vxlan: { encap: 'vxlan', segment: 0x010203 },
  gpe: { encap: 'vxlan-gpe', segment: 0x010204 },
  geneve: { encap: 'geneve', segment: 0x010205 },
  gre: { encap: 'gre', segment: 0x01020306 },
  lisp: { encap: 'lisp', segment: 0x010207 },
  flat: { encap: 'flat', segment: 100 },
} as const;

export type Change = Partial<Environment>;

export interface Given extends Omit<SimulationInput, 'world' | 'hook' | 'program'> {
  readonly table: Table;
  readonly hook?: SimulationInput['hook'];
  readonly change?: Change;
}

/** One run on node `a`; the program is the one that sits on the device. */
export function run({ table, hook = 'tc', change = {}, ...input }: Given): Simulation {
  const world = new World(table, { ...defaultEnvironment(table, 'a'), ...change });
  return simulate({ ...input, world, hook, program: input.device === UNDERLAY_DEVICE ? 'underlay' : 'port' });
}

export { UNDERLAY_DEVICE };

/** Bytes written down as hex, with spaces and comments (`# …` to the end of the line) between them. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/#.*$/gm, '').replace(/\s+/g, '');
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new Error(`no hex: ${digits}`);
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

/** A MAC in hex. */
export function macHex(mac: string): string {
  return mac.replaceAll(':', '');
}

/** The same as `hex` would take it: 16 bytes a line. */
export function lines(bytes: Uint8Array): string {
  return (
    Buffer.from(bytes)
      .toString('hex')
      .match(/.{1,32}/g)
      ?.join('\n') ?? ''
  );
}
