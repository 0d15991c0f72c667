/**
 * Frames from a line of text, for fixtures. Layers are separated by `|`, words by spaces; `key=value` words override
 * what would be right (numbers in decimal or 0x…), so that wrong frames are as easy as right ones:
 *
 *     eth 02:00:00:00:00:01>02:00:00:00:00:02 | ip4 10.1.0.1>10.1.0.2 ttl=9 | udp 1000>2000 | data 18
 *
 * | layer | words |
 * |---|---|
 * | `eth S>D` | `type=` (`type=len`: an 802.3 length) |
 * | `vlan ID` | anywhere; `tpid=` of this tag, `type=` of what follows; ID may be all 16 bits (with priority) |
 * | `arp request\|reply MAC IP > MAC IP` | `op= hw= proto= hlen= plen=` |
 * | `ip4 S>D` | `tos= id= df mf off=`(in 8-byte units) `ttl= proto= len= ihl= version= opts=HEX sum=bad` |
 * | `ip6 S>D` | `tc= flow= hop= next= len= version=` |
 * | `hbh`, `rh`, `dstopt` | `next= units=`(8-byte units after the first) |
 * | `ah` | `next= units=`(the length field) |
 * | `frag` | `next= off= m id=` |
 * | `udp S>D` | `len= sum=bad\|partial\|0` |
 * | `tcp S>D` | `flags= off=` (data offset; options are zero bytes) `sum=bad\|partial` |
 * | `icmp`, `icmp6` | `type= code= word=` (the second four bytes) `sum=bad` |
 * | `rs`, `ra`, `ns TARGET`, `na TARGET`, `redirect TARGET DESTINATION` | `code= flags=` |
 * | `opt TYPE MAC` | an ND option; `units=` (0–255) |
 * | `vxlan`, `gpe`, `geneve`, `gre`, `lisp` | tunnels: packet-tunnels.ts |
 * | `data N` | N bytes of a fixed pattern |
 * | `hex BYTES` | as they are |
 * | `pad N` | N zero bytes outside the IP packet (Ethernet padding); of the inner frame, in a tunnel |
 * | `tail N` | N zero bytes behind everything |
 * | `cut N` | only the first N bytes of the whole frame are kept |
 *
 * Independent of src/simulator on purpose: both are held against each other.
 */
import { ipBytes, macBytes } from '../../src/table/address.ts';
import {
  be16,
  concat,
  count,
  fromHex,
  integer,
  internetChecksum,
  type Layer,
  number,
  parseLayer,
  put16,
} from './packet-layer.ts';
import { encodeTunnel, isTunnel } from './packet-tunnels.ts';

export { concat, fromHex, internetChecksum, toHex } from './packet-layer.ts';

/** What the layers inside have become. */
interface Payload {
  /** What belongs to the packet. */
  readonly bytes: Uint8Array;
  /** Padding behind it. */
  readonly padding: Uint8Array;
  /** What the layer around it writes as EtherType and as protocol. */
  readonly etherType: number;
  readonly protocol: number;
  /** Neighbour discovery, which needs hop limit 255. */
  readonly neighbour: boolean;
}

/** What an inner layer has to know of the IP header around it. */
interface Around {
  /** Addresses of the pseudo-header, source and destination; empty outside IP. */
  readonly addresses: Uint8Array;
}

const ETHERTYPES: Readonly<Record<string, number>> = { ip4: 0x0800, ip6: 0x86dd, arp: 0x0806 };
/** For local experiments (IEEE 802): what carries an unknown payload. */
const ETHERTYPE_UNKNOWN = 0x88b5;
const NO_NEXT_HEADER = 59;
const PROTOCOLS: Readonly<Record<string, number>> = {
  hbh: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  rh: 43,
  frag: 44,
  gre: 47,
  ah: 51,
  icmp6: 58,
  rs: 58,
  ra: 58,
  ns: 58,
  na: 58,
  redirect: 58,
  dstopt: 60,
};
const EXTENSIONS: Readonly<Record<string, true>> = { hbh: true, rh: true, dstopt: true, ah: true, frag: true };
const NEIGHBOUR_TYPES: Readonly<Record<string, number>> = { rs: 133, ra: 134, ns: 135, na: 136, redirect: 137 };

/** Builds the frame that the text describes. Throws on text that it does not understand. */
export function frame(text: string): Uint8Array {
  let layers = text.split('|').map(parseLayer);
  const cut = layers.at(-1)?.name === 'cut' ? count(layers.at(-1)!) : undefined;
  if (cut !== undefined) layers = layers.slice(0, -1);
  const tail = layers.at(-1)?.name === 'tail' ? count(layers.at(-1)!) : 0;
  if (tail > 0) layers = layers.slice(0, -1);
  return concat(build(layers), new Uint8Array(tail)).slice(0, cut);
}

function build(layers: readonly Layer[]): Uint8Array {
  const { bytes, padding } = encode(layers, 0, { addresses: new Uint8Array() });
  return concat(bytes, padding);
}

function encode(layers: readonly Layer[], index: number, around: Around): Payload {
  const nothing = new Uint8Array();
  const layer = layers[index];
  if (layer === undefined) {
    return {
      bytes: nothing,
      padding: nothing,
      etherType: ETHERTYPE_UNKNOWN,
      protocol: NO_NEXT_HEADER,
      neighbour: false,
    };
  }
  const inner = encode(layers, index + 1, innerAround(layer, around));
  if (layer.name === 'pad') return { ...inner, padding: concat(new Uint8Array(count(layer)), inner.padding) };
  // a tunnel carries the whole inner frame, with its padding
  const [bytes, padding] = isTunnel(layer.name)
    ? [encodeTunnel(layer, concat(inner.bytes, inner.padding), layers[index + 1]?.name ?? ''), nothing]
    : [encodeLayer(layer, inner, around), inner.padding];
  return {
    bytes,
    padding,
    etherType: layer.name === 'vlan' ? number(layer, 'tpid', 0x8100) : (ETHERTYPES[layer.name] ?? ETHERTYPE_UNKNOWN),
    protocol: PROTOCOLS[layer.name] ?? NO_NEXT_HEADER,
    neighbour: layer.name in NEIGHBOUR_TYPES || (layer.name in EXTENSIONS && inner.neighbour),
  };
}

function innerAround(layer: Layer, around: Around): Around {
  if (layer.name !== 'ip4' && layer.name !== 'ip6') return around;
  const [source, destination] = pair(layer);
  return { addresses: concat(ipBytes(source), ipBytes(destination)) };
}

function encodeLayer(layer: Layer, inner: Payload, around: Around): Uint8Array {
  switch (layer.name) {
    case 'eth':
      return ethernet(layer, inner);
    case 'vlan':
      return vlan(layer, inner);
    case 'arp':
      return concat(arp(layer), inner.bytes);
    case 'ip4':
      return ipv4(layer, inner);
    case 'ip6':
      return ipv6(layer, inner);
    case 'hbh':
    case 'rh':
    case 'dstopt':
      return extension(layer, inner);
    case 'ah':
      return authentication(layer, inner);
    case 'frag':
      return fragment(layer, inner);
    case 'udp':
      return udp(layer, inner, around);
    case 'tcp':
      return tcp(layer, inner, around);
    case 'icmp':
    case 'icmp6':
      return icmp(layer, inner, around);
    case 'rs':
    case 'ra':
    case 'ns':
    case 'na':
    case 'redirect':
      return neighbour(layer, inner, around);
    case 'opt':
      return concat(option(layer), inner.bytes);
    case 'data':
      return concat(pattern(count(layer)), inner.bytes);
    case 'hex':
      return concat(fromHex(layer.words.join('')), inner.bytes);
    default:
      throw new Error(`a frame has no layer '${layer.name}'`);
  }
}

function ethernet(layer: Layer, inner: Payload): Uint8Array {
  const [source, destination] = pair(layer);
  const llc = layer.fields.get('type') === 'len';
  const etherType = llc ? inner.bytes.length : number(layer, 'type', inner.etherType);
  return concat(macBytes(destination), macBytes(source), be16(etherType), inner.bytes);
}

function vlan(layer: Layer, inner: Payload): Uint8Array {
  return concat(be16(count(layer)), be16(number(layer, 'type', inner.etherType)), inner.bytes);
}

function arp(layer: Layer): Uint8Array {
  const [kind, senderMac, senderIp, , targetMac, targetIp] = layer.words;
  const operation = number(layer, 'op', kind === 'reply' ? 2 : 1);
  return concat(
    be16(number(layer, 'hw', 1)),
    be16(number(layer, 'proto', 0x0800)),
    Uint8Array.of(number(layer, 'hlen', 6), number(layer, 'plen', 4)),
    be16(operation),
    macBytes(senderMac!),
    ipBytes(senderIp!),
    macBytes(targetMac!),
    ipBytes(targetIp!),
  );
}

function ipv4(layer: Layer, inner: Payload): Uint8Array {
  const [source, destination] = pair(layer);
  const options = fromHex(layer.fields.get('opts') ?? '');
  const header = new Uint8Array(20 + options.length);
  const flag = (name: string, bit: number) => (layer.words.includes(name) ? bit : 0);
  header[0] = (number(layer, 'version', 4) << 4) | number(layer, 'ihl', header.length / 4);
  header[1] = number(layer, 'tos', 0);
  put16(header, 2, number(layer, 'len', header.length + inner.bytes.length));
  put16(header, 4, number(layer, 'id', 0));
  put16(header, 6, flag('df', 0x4000) | flag('mf', 0x2000) | number(layer, 'off', 0));
  header[8] = number(layer, 'ttl', 64);
  header[9] = number(layer, 'proto', inner.protocol);
  header.set(ipBytes(source), 12);
  header.set(ipBytes(destination), 16);
  header.set(options, 20);
  const wish = layer.fields.get('sum');
  const right = internetChecksum(header);
  put16(header, 10, wish === undefined ? right : wish === 'bad' ? right ^ 0x5555 : integer(wish));
  return concat(header, inner.bytes);
}

function ipv6(layer: Layer, inner: Payload): Uint8Array {
  const [source, destination] = pair(layer);
  const header = new Uint8Array(40);
  const trafficClass = number(layer, 'tc', 0);
  const flow = number(layer, 'flow', 0);
  header[0] = (number(layer, 'version', 6) << 4) | (trafficClass >>> 4);
  header[1] = ((trafficClass & 0xf) << 4) | (flow >>> 16);
  put16(header, 2, flow & 0xffff);
  put16(header, 4, number(layer, 'len', inner.bytes.length));
  header[6] = number(layer, 'next', inner.protocol);
  header[7] = number(layer, 'hop', inner.neighbour ? 255 : 64);
  header.set(ipBytes(source), 8);
  header.set(ipBytes(destination), 24);
  return concat(header, inner.bytes);
}

function extension(layer: Layer, inner: Payload): Uint8Array {
  const units = number(layer, 'units', 0);
  const held = layer.fields.has('held') ? number(layer, 'held', 0) : (units + 1) * 8;
  const header = new Uint8Array(held);
  header[0] = number(layer, 'next', inner.protocol);
  if (held > 1) header[1] = units;
  // one PadN option over the rest
  if (layer.name !== 'rh' && held >= 8) {
    header[2] = 1;
    header[3] = held - 4;
  }
  return concat(header, inner.bytes);
}

function authentication(layer: Layer, inner: Payload): Uint8Array {
  const units = number(layer, 'units', 4);
  const header = new Uint8Array((units + 2) * 4);
  header[0] = number(layer, 'next', inner.protocol);
  header[1] = units;
  return concat(header, inner.bytes);
}

function fragment(layer: Layer, inner: Payload): Uint8Array {
  const header = new Uint8Array(8);
  header[0] = number(layer, 'next', inner.protocol);
  put16(header, 2, (number(layer, 'off', 0) << 3) | (layer.words.includes('m') ? 1 : 0));
  put16(header, 6, number(layer, 'id', 7));
  return concat(header, inner.bytes);
}

function udp(layer: Layer, inner: Payload, around: Around): Uint8Array {
  const [source, destination] = pair(layer);
  const length = number(layer, 'len', 8 + inner.bytes.length);
  const bytes = concat(be16(port(source)), be16(port(destination)), be16(length), be16(0), inner.bytes);
  put16(bytes, 6, transportChecksum(layer, bytes, around, 17));
  return bytes;
}

function tcp(layer: Layer, inner: Payload, around: Around): Uint8Array {
  const [source, destination] = pair(layer);
  const offset = number(layer, 'off', 5);
  const header = new Uint8Array(Math.max(20, offset * 4));
  put16(header, 0, port(source));
  put16(header, 2, port(destination));
  put16(header, 6, 1);
  header[12] = offset << 4;
  header[13] = number(layer, 'flags', 0x10);
  put16(header, 14, 0xffff);
  const bytes = concat(header, inner.bytes);
  put16(bytes, 16, transportChecksum(layer, bytes, around, 6));
  return bytes;
}

function icmp(layer: Layer, inner: Payload, around: Around): Uint8Array {
  const v6 = layer.name === 'icmp6';
  const header = Uint8Array.of(number(layer, 'type', v6 ? 128 : 8), number(layer, 'code', 0), 0, 0, 0, 0, 0, 0);
  const word = number(layer, 'word', 0x00010001);
  put16(header, 4, word >>> 16);
  put16(header, 6, word & 0xffff);
  const bytes = concat(header, inner.bytes);
  if (v6) put16(bytes, 2, transportChecksum(layer, bytes, around, 58));
  else put16(bytes, 2, internetChecksum(bytes) ^ (layer.fields.get('sum') === 'bad' ? 0x5555 : 0));
  return bytes;
}

function neighbour(layer: Layer, inner: Payload, around: Around): Uint8Array {
  const fixed = layer.name === 'ra' ? 16 : 8;
  const header = new Uint8Array(fixed);
  header[0] = NEIGHBOUR_TYPES[layer.name]!;
  header[1] = number(layer, 'code', 0);
  header[4] = number(layer, 'flags', 0);
  const bytes = concat(header, ...layer.words.map(ipBytes), inner.bytes);
  put16(bytes, 2, transportChecksum(layer, bytes, around, 58));
  return bytes;
}

function option(layer: Layer): Uint8Array {
  const [type, mac] = layer.words;
  const units = number(layer, 'units', 1);
  const bytes = new Uint8Array(Math.max(8, units * 8));
  bytes[0] = Number(type);
  bytes[1] = units;
  bytes.set(macBytes(mac!), 2);
  return bytes;
}

/** `sum=partial` is what a stack leaves for the device: the folded sum of the pseudo-header, not inverted. */
function transportChecksum(layer: Layer, bytes: Uint8Array, around: Around, protocol: number): number {
  const pseudo = concat(around.addresses, be16(0), be16(bytes.length), be16(protocol));
  const wish = layer.fields.get('sum');
  if (wish === 'partial') return ~internetChecksum(pseudo) & 0xffff;
  if (wish !== undefined && wish !== 'bad') return Number(wish);
  const right = internetChecksum(concat(pseudo, bytes));
  const sent = right === 0 && protocol === 17 ? 0xffff : right;
  return wish === 'bad' ? sent ^ 0x5555 : sent;
}

/** The fixed pattern of `data N`. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + 3) & 0xff);
}

/** `S>D`, as one word or with spaces around the `>`. */
function pair(layer: Layer): [string, string] {
  const [source, destination] = layer.words
    .filter((word) => !/^(df|mf|m)$/.test(word))
    .join('')
    .split('>');
  if (!source || !destination) throw new Error(`'${layer.name}' needs SOURCE>DESTINATION`);
  return [source, destination];
}

function port(text: string): number {
  return integer(text);
}
