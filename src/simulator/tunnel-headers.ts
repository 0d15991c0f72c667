/** The tunnel headers by name. */
import type { Encap } from '../table/model.ts';
import { geneve } from './encap-geneve.ts';
import { gre } from './encap-gre.ts';
import { lisp } from './encap-lisp.ts';
import { vxlan } from './encap-vxlan.ts';
import { vxlanGpe } from './encap-vxlan-gpe.ts';
import type { TunnelHeader } from './encapsulation.ts';
import type { TunnelPorts } from './types.ts';

const HEADERS: Readonly<Record<TunnelHeader['encap'], TunnelHeader>> = {
  vxlan,
  'vxlan-gpe': vxlanGpe,
  geneve,
  gre,
  lisp,
};

export function tunnelHeader(encap: Exclude<Encap, 'flat'>): TunnelHeader {
  return HEADERS[encap];
}

const OVER_UDP = ['vxlan', 'vxlan-gpe', 'geneve', 'lisp'] as const satisfies readonly (keyof TunnelPorts)[];

/** The encapsulation whose packets come to this UDP port, of those that `isUsed` knows. */
export function headerOfPort(
  ports: TunnelPorts,
  port: number,
  isUsed: (encap: Encap) => boolean,
): TunnelHeader | undefined {
  const encap = OVER_UDP.find((name) => ports[name] === port && isUsed(name));
  return encap && HEADERS[encap];
}

/** UDP port to send to; undefined: not over UDP. */
export function portOf(ports: TunnelPorts, encap: Encap): number | undefined {
  return OVER_UDP.some((name) => name === encap) ? ports[encap as keyof TunnelPorts] : undefined;
}
