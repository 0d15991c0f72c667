/** Tunnel headers, for packet-check.ts: which one it is, whether it is as it should be, and what it carries. */
import { internetChecksum } from './packet.ts';
import { type Check, checkEthernet, checkIpv4, checkIpv6 } from './packet-check.ts';

export interface TunnelPorts {
  readonly vxlan: number;
  readonly gpe: number;
  readonly geneve: number;
  readonly lisp: number;
}

export type Tunnel = keyof TunnelPorts | 'gre';

const USUAL: TunnelPorts = { vxlan: 4789, gpe: 4790, geneve: 6081, lisp: 4341 };
const UDP = 17;
const GRE = 47;

/** The tunnel that a layer 4 is the head of: by UDP port, or GRE that carries Ethernet. */
export function tunnelOf(protocol: number, body: Buffer, ports: Partial<TunnelPorts> | undefined): Tunnel | undefined {
  if (protocol === GRE) return body.length >= 4 && body.readUInt16BE(2) === 0x6558 ? 'gre' : undefined;
  if (protocol !== UDP || body.length < 8) return undefined;
  const port = body.readUInt16BE(2);
  const entries = Object.entries({ ...USUAL, ...ports }) as [keyof TunnelPorts, number][];
  return entries.find(([, number]) => number === port)?.[0];
}

export function checkTunnel(tunnel: Tunnel, body: Buffer, check: Check, where: string): void {
  const here = `${where}${tunnel}: `;
  const wrong = (what: string) => check.faults.push(`${here}${what}`);
  if (tunnel === 'gre') {
    checkGre(body, check, here);
    return;
  }
  const length = body.readUInt16BE(4);
  if (length < 16 || length > body.length) {
    wrong('header');
    return;
  }
  const header = body.subarray(8, 16);
  const carried = body.subarray(16, length);
  switch (tunnel) {
    case 'vxlan':
      if ((header[0]! & 8) === 0) wrong('flag I');
      checkEthernet(carried, check, here);
      break;
    case 'gpe':
      if ((header[0]! & 0x3d) !== 0x0c) wrong('flags');
      else if (header[3] === 1) checkIpv4(carried, check, here);
      else if (header[3] === 2) checkIpv6(carried, check, here);
      else wrong('next protocol');
      break;
    case 'geneve':
      checkGeneve(header, carried, check, here);
      break;
    case 'lisp':
      if ((header[0]! & 8) === 0) wrong('flag I');
      if (carried.length === 0) wrong('empty');
      else if (carried[0]! >> 4 === 6) checkIpv6(carried, check, here);
      else checkIpv4(carried, check, here);
      break;
  }
}

function checkGeneve(header: Buffer, carried: Buffer, check: Check, where: string): void {
  const options = (header[0]! & 0x3f) * 4;
  if (header[0]! >> 6 !== 0) check.faults.push(`${where}version`);
  if (header.readUInt16BE(2) !== 0x6558) check.faults.push(`${where}protocol`);
  if (options > carried.length) check.faults.push(`${where}options`);
  else checkEthernet(carried.subarray(options), check, where);
}

function checkGre(body: Buffer, check: Check, where: string): void {
  const flags = body.readUInt16BE(0);
  if ((flags & ~0xb000) !== 0) {
    check.faults.push(`${where}flags`);
    return;
  }
  const size = 4 + (flags & 0x8000 ? 4 : 0) + (flags & 0x2000 ? 4 : 0) + (flags & 0x1000 ? 4 : 0);
  if (body.length < size) {
    check.faults.push(`${where}cut off`);
    return;
  }
  if ((flags & 0x8000) !== 0 && check.options.allowPartial !== true && internetChecksum(body) !== 0)
    check.faults.push(`${where}checksum`);
  checkEthernet(body.subarray(size), check, where);
}
