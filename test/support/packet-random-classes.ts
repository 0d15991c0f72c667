/**
 * Which constants the programs are loaded with, for random tables: few sets, because a load takes long. Everything that is a
 * constant of a load, every table of a class has alike; among it the encapsulations, for a packet can tell what a load has
 * (docs/packet-rules.md, rule 3.1).
 */
import type { Environment } from '../../src/simulator/types.ts';
import type { Encap } from '../../src/table/model.ts';
import { TUNNEL_PORTS } from './scene.ts';

export interface LoadClass {
  readonly name: string;
  /** Of this node. */
  readonly underlay: readonly string[];
  /** Each has a network with a port here, and no other has. */
  readonly encaps: readonly Encap[];
  /** The first network that can is `vlan: transparent`; others may be. */
  readonly transparent: boolean;
  /** The first network of a tunnel floods to a group of this family; others may. */
  readonly group?: 4 | 6;
  readonly guardOff?: boolean;
  readonly unknownSegment?: 'stack';
  readonly ports: Environment['ports'];
  readonly ttl: number;
  readonly dscp: number | 'uniform';
  readonly segmenter: boolean;
  /** Nothing that a switch could take out of the programs, and no switch on. */
  readonly lean?: boolean;
}

const DUAL = ['2001:db8::1', '192.0.2.1'] as const;
const usual = { transparent: false, ports: TUNNEL_PORTS, ttl: 64, dscp: 0, segmenter: false } as const;

export const LOAD_CLASSES: readonly LoadClass[] = [
  { ...usual, name: 'lean', underlay: ['192.0.2.1'], encaps: ['vxlan'], lean: true },
  { ...usual, name: 'full', underlay: DUAL, encaps: ['vxlan', 'geneve', 'gre'], transparent: true, group: 4 },
  {
    ...usual,
    name: 'open',
    underlay: [DUAL[1], DUAL[0]],
    encaps: ['geneve', 'vxlan', 'flat', 'lisp'],
    guardOff: true,
    unknownSegment: 'stack',
    ports: { vxlan: 8472, 'vxlan-gpe': 14790, geneve: 16081, lisp: 14341 },
    ttl: 255,
    dscp: 63,
  },
  { ...usual, name: 'ip', underlay: DUAL, encaps: ['vxlan-gpe', 'lisp', 'vxlan'], ttl: 9, dscp: 'uniform' },
  {
    ...usual,
    name: 'six',
    underlay: ['2001:db8::1'],
    encaps: ['gre', 'geneve', 'lisp'],
    group: 6,
    segmenter: true,
    dscp: 46,
  },
  {
    ...usual,
    name: 'all',
    underlay: DUAL,
    encaps: ['vxlan', 'vxlan-gpe', 'geneve', 'gre', 'lisp', 'flat'],
    transparent: true,
    group: 6,
  },
];
