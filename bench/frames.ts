/** The frames that are sent, and where the generator writes the endpoint's number into them. */
import { frame } from '../test/support/packet.ts';
import { FIRST_NODE, HOST, LOCAL, nodeAddress, nodesOf, SEGMENT, WIRE_MAC } from './addressing.ts';

export type Direction = 'encap' | 'decap';

export const ENCAPS = ['vxlan', 'vxlan-gpe', 'geneve', 'gre', 'lisp', 'flat'] as const;
export type Encap = (typeof ENCAPS)[number];

const ETHERNET = 14;
const UDP = 8;
const IP4 = 20;
const TUNNEL = 8;
const LAYER: Readonly<Record<Exclude<Encap, 'flat'>, string>> = {
  vxlan: `udp 50000>4789 sum=0 | vxlan ${SEGMENT}`,
  'vxlan-gpe': `udp 50000>4790 sum=0 | gpe ${SEGMENT}`,
  geneve: `udp 50000>6081 sum=0 | geneve ${SEGMENT}`,
  gre: `gre ${SEGMENT}`,
  lisp: `udp 50000>4341 sum=0 | lisp ${SEGMENT}`,
};

/** What the generator is loaded with: the constants of packets.bpf.c. */
export type Draw = Readonly<Record<string, number>>;

export interface Traffic {
  readonly bytes: Uint8Array;
  readonly draw: Draw;
  /** Length of what must come out. */
  readonly expected: number;
}

function carriesIp(encap: Encap): boolean {
  return encap === 'vxlan-gpe' || encap === 'lisp';
}

/** Bytes in front of the inner layer 3, less an Ethernet header: docs/packet-rules.md, "Overhead". */
export function overhead(encap: Encap): number {
  if (encap === 'flat') return 0;
  const outer = ETHERNET + IP4 + (encap === 'gre' ? 0 : UDP) + TUNNEL;
  return carriesIp(encap) ? outer - ETHERNET : outer;
}

/** One's complement sum of an IPv4 header without its checksum. */
function headerSum(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, IP4);
  let sum = 0;
  for (let i = 0; i < IP4; i += 2) if (i !== 10) sum += view.getUint16(i);
  return sum;
}

/**
 * @param size of the frame with the inner Ethernet header, without the wire's checksum
 * @param endpoints among which the other end is drawn
 */
export function traffic(direction: Direction, encap: Encap, size: number, endpoints: number): Traffic {
  const data = `udp 1000>2000 sum=0 | data ${size - ETHERNET - IP4 - UDP}`;
  const restored = carriesIp(encap) ? 8 : 0;
  if (direction === 'encap') {
    const bytes = frame(`eth ${LOCAL.mac}>02:01:00:00:00:00 | ip4 ${LOCAL.address}>10.0.0.0 | ${data}`);
    const draw = {
      restored,
      endpoints,
      mac_at: 3,
      ip_at: ETHERNET + 17,
      sum_at: ETHERNET + 10,
      sum: headerSum(bytes, ETHERNET),
    };
    return { bytes, draw, expected: size + overhead(encap) };
  }
  const packet = `ip4 10.0.0.0>${LOCAL.address} | ${data}`;
  if (encap === 'flat') {
    const bytes = frame(`eth 02:01:00:00:00:00>${LOCAL.mac} | ${packet}`);
    const draw = { mac_at: 9, ip_at: ETHERNET + 13, sum_at: ETHERNET + 10, sum: headerSum(bytes, ETHERNET) };
    return { bytes, draw: { ...draw, endpoints }, expected: size };
  }
  const inner = carriesIp(encap) ? packet : `eth 02:01:00:00:00:00>${LOCAL.mac} | ${packet}`;
  const bytes = frame(
    `eth ${WIRE_MAC}>${HOST.mac} | ip4 ${nodeAddress(0)}>${HOST.address} id=0 df | ${LAYER[encap]} | ${inner}`,
  );
  const l3 = ETHERNET + overhead(encap);
  const draw = {
    restored,
    endpoints,
    nodes: nodesOf(endpoints),
    first_node: FIRST_NODE,
    node_at: ETHERNET + 15,
    node_sum_at: ETHERNET + 10,
    node_sum: headerSum(bytes, ETHERNET),
    mac_at: carriesIp(encap) ? 0 : l3 - ETHERNET + 9,
    ip_at: l3 + 13,
    sum_at: l3 + 10,
    sum: headerSum(bytes, l3),
  };
  return { bytes, draw, expected: size };
}

/** The frame to one endpoint: what packets.bpf.c makes of a number that it drew. */
export function drawn(bytes: Uint8Array, draw: Draw, number: number): Uint8Array {
  const out = bytes.slice();
  const view = new DataView(out.buffer);
  const put = (at = 0) => at > 0 && out.set([number >> 16, (number >> 8) & 255, number & 255], at);
  const putSum = (at = 0, total = 0) => {
    if (at === 0) return;
    const once = (total & 0xffff) + (total >> 16);
    view.setUint16(at, ~(once + (once >> 16)) & 0xffff);
  };
  put(draw.mac_at);
  put(draw.ip_at);
  putSum(draw.sum_at, (draw.sum ?? 0) + (number >> 16) + (number & 0xffff));
  if (draw.node_at) {
    const node = number % (draw.nodes ?? 1);
    out[draw.node_at] = (draw.first_node ?? 0) + node;
    putSum(draw.node_sum_at, (draw.node_sum ?? 0) + node);
  }
  return out;
}
