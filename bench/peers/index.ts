import { drop, redirect } from './bare.ts';
import { kernel } from './kernel.ts';
import { type MapwireVariant, mapwire } from './mapwire.ts';
import { openVSwitch } from './open-vswitch.ts';
import type { Peer } from './peer.ts';

/** All peers, in the order of their turns. */
export function peersOf(variants: readonly MapwireVariant[]): Peer[] {
  return [drop, redirect, ...variants.map(mapwire), kernel, openVSwitch];
}
