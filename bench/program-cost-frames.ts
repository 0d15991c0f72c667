/** Addresses and frames of the measurement of program-cost.ts. */

export const NODES = {
  a: { ip: '192.0.2.1', mac: '02:fe:00:00:00:01' },
  b: { ip: '192.0.2.2', mac: '02:fe:00:00:00:02' },
};
export const SEGMENT = 5001;
export const LOCAL_MAC = '02:00:00:00:00:01';
export const LOCAL_IP = '172.16.0.1';

/** The endpoint's number is the last three bytes of its MAC and of its IPv4 address. */
export function remoteMac(i: number): string {
  const hex = i.toString(16).padStart(6, '0');
  return `02:01:00:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`;
}

export function remoteIp(i: number): string {
  return `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
}

/** A frame, and where in it the number of the remote endpoint stands. */
export interface CostFrame {
  readonly bytes: Uint8Array;
  readonly macAt: number;
  readonly ipAt: number;
}

/** From the local port to a remote one, 64 bytes without the checksum of the wire. */
export function outward(): CostFrame {
  return { bytes: frame(remoteMac(0), LOCAL_MAC, remoteIp(0), LOCAL_IP, 64 - 14 - 28), macAt: 3, ipAt: 14 + 16 + 1 };
}

/** From a remote port to the local one, as VXLAN from node b. */
export function inward(): CostFrame {
  const inner = frame(LOCAL_MAC, remoteMac(0), LOCAL_IP, remoteIp(0), 64 - 14 - 28);
  const vxlan = Buffer.alloc(8);
  vxlan[0] = 0x08;
  vxlan.writeUInt32BE(SEGMENT << 8, 4);
  const payload = Buffer.concat([vxlan, inner]);
  const bytes = wrap(NODES.a.mac, NODES.b.mac, NODES.a.ip, NODES.b.ip, 50000, 4789, payload);
  return { bytes, macAt: 50 + 6 + 3, ipAt: 50 + 14 + 12 + 1 };
}

function frame(dmac: string, smac: string, dst: string, src: string, size: number): Buffer {
  return wrap(dmac, smac, dst, src, 1000, 2000, Buffer.alloc(size));
}

function wrap(
  dmac: string,
  smac: string,
  dst: string,
  src: string,
  from: number,
  to: number,
  payload: Uint8Array,
): Buffer {
  const head = Buffer.alloc(42);
  head.set(mac(dmac), 0);
  head.set(mac(smac), 6);
  head.writeUInt16BE(0x0800, 12);
  head[14] = 0x45;
  head.writeUInt16BE(28 + payload.length, 16);
  head.writeUInt16BE(0x4000, 20);
  head[22] = 64;
  head[23] = 17;
  head.set(src.split('.').map(Number), 26);
  head.set(dst.split('.').map(Number), 30);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += head.readUInt16BE(at);
  sum = (sum & 0xffff) + (sum >> 16);
  head.writeUInt16BE(~(sum + (sum >> 16)) & 0xffff, 24);
  head.writeUInt16BE(from, 34);
  head.writeUInt16BE(to, 36);
  head.writeUInt16BE(8 + payload.length, 38);
  return Buffer.concat([head, payload]);
}

function mac(text: string): number[] {
  return text.split(':').map((byte) => Number.parseInt(byte, 16));
}
