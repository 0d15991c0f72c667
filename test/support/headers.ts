/** Just enough reading of captured frames to count them: Ethernet, tag, ARP, neighbour discovery, outer addresses. */

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

export const macOf = (bytes: Uint8Array) => hex(bytes).match(/../g)!.join(':');

export interface Link {
  readonly destination: string;
  readonly source: string;
  /** Of the first tag; undefined: untagged. */
  readonly vlan: number | undefined;
  /** EtherType behind the tags. */
  readonly type: number;
  readonly payload: Buffer;
}

export function linkOf(frame: Buffer): Link {
  let at = 12;
  let vlan: number | undefined;
  while (frame.readUInt16BE(at) === 0x8100 || frame.readUInt16BE(at) === 0x88a8) {
    vlan ??= frame.readUInt16BE(at + 2) & 0xfff;
    at += 4;
  }
  return {
    destination: macOf(frame.subarray(0, 6)),
    source: macOf(frame.subarray(6, 12)),
    vlan,
    type: frame.readUInt16BE(at),
    payload: frame.subarray(at + 2),
  };
}

export interface Packet {
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
  /** IPv6: of the fixed header. */
  readonly protocol: number;
  readonly trafficClass: number;
  readonly hopLimit: number;
  readonly payload: Buffer;
}

function ip6Text(bytes: Buffer): string {
  return new URL(`http://[${hex(bytes).match(/.{4}/g)!.join(':')}]`).hostname.slice(1, -1);
}

/** The IP packet of a frame; undefined where there is none. */
export function packetOf(frame: Buffer): Packet | undefined {
  const { type, payload: p } = linkOf(frame);
  if (type === 0x0800) {
    return {
      family: 4,
      source: p.subarray(12, 16).join('.'),
      destination: p.subarray(16, 20).join('.'),
      protocol: p[9]!,
      trafficClass: p[1]!,
      hopLimit: p[8]!,
      payload: p.subarray((p[0]! & 15) * 4, p.readUInt16BE(2)),
    };
  }
  if (type !== 0x86dd) return undefined;
  return {
    family: 6,
    source: ip6Text(p.subarray(8, 24)),
    destination: ip6Text(p.subarray(24, 40)),
    protocol: p[6]!,
    trafficClass: (p.readUInt16BE(0) >> 4) & 0xff,
    hopLimit: p[7]!,
    payload: p.subarray(40, 40 + p.readUInt16BE(4)),
  };
}

/** Whether a frame asks everybody for a neighbour: an ARP request to all, a solicitation to a group. */
export function asksEverybody(frame: Buffer): boolean {
  if ((frame[0]! & 1) === 0) return false;
  const { type, payload } = linkOf(frame);
  if (type === 0x0806) return payload.readUInt16BE(6) === 1;
  const packet = packetOf(frame);
  return packet?.family === 6 && packet.protocol === 58 && packet.payload[0] === 135;
}

/** A frame of EtherType 0x88b5 (IEEE 802, local experiments) with a text, padded to the least length. */
export function experimental(destination: string, source: string, text: string): Buffer {
  const bytes = (mac: string) => Buffer.from(mac.replaceAll(':', ''), 'hex');
  const body = Buffer.from(text);
  const padding = Buffer.alloc(Math.max(0, 46 - body.length));
  return Buffer.concat([bytes(destination), bytes(source), Buffer.from([0x88, 0xb5]), body, padding]);
}
