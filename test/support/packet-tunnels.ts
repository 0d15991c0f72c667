/**
 * Tunnel headers of the packet builder (packet.ts), each in front of what it carries:
 *
 * | layer | words |
 * |---|---|
 * | `vxlan VNI` | `flags=` (8), `reserved=` (the first three bytes), `last=` (the byte behind the VNI) |
 * | `gpe VNI` | VXLAN-GPE: `flags=` (0x0c), `next=` (1 for IPv4, 2 for IPv6, 3 for Ethernet) |
 * | `geneve VNI` | `opts=HEX`, `optlen=` (4-byte units), `version=`, `flags=` (the second byte: O 0x80, C 0x40), `proto=` (0x6558) |
 * | `gre KEY` | `c`, `s`: with checksum, sequence number; `nokey`; `flags=` (all 16 bits), `proto=` (0x6558), `seq=`, `sum=bad` |
 * | `lisp IID` | `flags=` (8), `nonce=`, `bits=` (the byte behind the instance id) |
 */
import {
  be16,
  be24,
  be32,
  concat,
  fromHex,
  integer,
  internetChecksum,
  type Layer,
  number,
  put16,
} from './packet-layer.ts';

const TRANSPARENT_ETHERNET = 0x6558;
/** What VXLAN-GPE calls what it carries, by the name of the layer. */
const GPE_PROTOCOLS: Readonly<Record<string, number>> = { ip4: 1, ip6: 2, eth: 3 };
const GRE_CHECKSUM = 0x8000;
const GRE_KEY = 0x2000;
const GRE_SEQUENCE = 0x1000;

type Header = (layer: Layer, carried: Uint8Array, carriedName: string) => Uint8Array;

const HEADERS: Readonly<Record<string, Header>> = { vxlan, gpe, geneve, gre, lisp };

export function isTunnel(name: string): boolean {
  return Object.hasOwn(HEADERS, name);
}

/** The header and what it carries. */
export function encodeTunnel(layer: Layer, carried: Uint8Array, carriedName: string): Uint8Array {
  return concat(HEADERS[layer.name]!(layer, carried, carriedName), carried);
}

function segment(layer: Layer): number {
  return integer(layer.words.find((word) => /^\d/.test(word)) ?? '');
}

function vxlan(layer: Layer): Uint8Array {
  const flags = Uint8Array.of(number(layer, 'flags', 8));
  return concat(
    flags,
    be24(number(layer, 'reserved', 0)),
    be24(segment(layer)),
    Uint8Array.of(number(layer, 'last', 0)),
  );
}

function gpe(layer: Layer, _: Uint8Array, carriedName: string): Uint8Array {
  const next = number(layer, 'next', GPE_PROTOCOLS[carriedName] ?? 0);
  return concat(Uint8Array.of(number(layer, 'flags', 0x0c), 0, 0, next), be24(segment(layer)), Uint8Array.of(0));
}

function geneve(layer: Layer): Uint8Array {
  const options = fromHex(layer.fields.get('opts') ?? '');
  const length = number(layer, 'optlen', options.length / 4);
  return concat(
    Uint8Array.of((number(layer, 'version', 0) << 6) | length, number(layer, 'flags', 0)),
    be16(number(layer, 'proto', TRANSPARENT_ETHERNET)),
    be24(segment(layer)),
    Uint8Array.of(0),
    options,
  );
}

function gre(layer: Layer, carried: Uint8Array): Uint8Array {
  const has = (word: string) => layer.words.includes(word);
  const key = has('nokey') ? 0 : GRE_KEY;
  const flags = key | (has('c') ? GRE_CHECKSUM : 0) | (has('s') ? GRE_SEQUENCE : 0);
  const header = concat(
    be16(number(layer, 'flags', flags)),
    be16(number(layer, 'proto', TRANSPARENT_ETHERNET)),
    new Uint8Array(has('c') ? 4 : 0),
    key === 0 ? new Uint8Array() : be32(segment(layer)),
    has('s') ? be32(number(layer, 'seq', 0)) : new Uint8Array(),
  );
  if (has('c')) {
    const sum = internetChecksum(concat(header, carried));
    put16(header, 4, layer.fields.get('sum') === 'bad' ? sum ^ 0x5555 : sum);
  }
  return header;
}

function lisp(layer: Layer): Uint8Array {
  return concat(
    Uint8Array.of(number(layer, 'flags', 8)),
    be24(number(layer, 'nonce', 0)),
    be24(segment(layer)),
    Uint8Array.of(number(layer, 'bits', 0)),
  );
}
