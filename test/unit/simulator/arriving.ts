/** Tunnel packets as others send them to node `a`, byte by byte; every field can be another than it should be. */
import { ipBytes, macBytes } from '../../../src/table/address.ts';
import { concat, internetChecksum } from '../../support/packet.ts';
import { hex, UNDERLAY_MAC } from './hosts.ts';

export interface Arriving {
  /** Outer addresses; default those of `b` (IPv4) and of this node. */
  readonly source?: string;
  readonly destination?: string;
  /** MAC; default this node's. */
  readonly to?: string;
  /** Between the MACs and the EtherType, as hex. */
  readonly tags?: string;
  readonly tos?: number;
  /** Identification and fragment field, as hex. */
  readonly fragment?: string;
  /** IPv4 options, as hex. */
  readonly options?: string;
  readonly protocol?: number;
  /** Instead of the right one. */
  readonly checksum?: number;
  /** Added to the length that the IP header says, and to UDP's. */
  readonly ipLengthBy?: number;
  readonly udpLengthBy?: number;
  /** Destination port; undefined: no UDP header. */
  readonly port?: number;
  /** The tunnel header, as hex. */
  readonly header: string;
  readonly payload: Uint8Array;
  /** Behind all, outside the IP packet. */
  readonly padding?: number;
}

function word(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}

export function arriving(fields: Arriving): Uint8Array {
  const { source = '192.0.2.2', port } = fields;
  const v6 = source.includes(':');
  const destination = fields.destination ?? (v6 ? '2001:db8::1' : '192.0.2.1');
  const inside = concat(hex(fields.header), fields.payload);
  const udpLength = 8 + inside.length + (fields.udpLengthBy ?? 0);
  const carried = port === undefined ? inside : concat(word(50000), word(port), word(udpLength), word(0), inside);
  const protocol = fields.protocol ?? (port === undefined ? 47 : 17);
  const ip = v6
    ? ipv6(fields, source, destination, protocol, carried)
    : ipv4(fields, source, destination, protocol, carried);
  const ethernet = concat(macBytes(fields.to ?? UNDERLAY_MAC.a), macBytes(UNDERLAY_MAC.b), hex(fields.tags ?? ''));
  return concat(ethernet, hex(v6 ? '86dd' : '0800'), ip, carried, new Uint8Array(fields.padding ?? 0));
}

function ipv4(
  fields: Arriving,
  source: string,
  destination: string,
  protocol: number,
  carried: Uint8Array,
): Uint8Array {
  const options = hex(fields.options ?? '');
  const length = 20 + options.length + carried.length + (fields.ipLengthBy ?? 0);
  const header = concat(
    Uint8Array.of(0x45 + options.length / 4, fields.tos ?? 0),
    word(length),
    hex(fields.fragment ?? '0000 4000'),
    Uint8Array.of(61, protocol, 0, 0),
    ipBytes(source),
    ipBytes(destination),
    options,
  );
  header.set(word(fields.checksum ?? internetChecksum(header)), 10);
  return header;
}

function ipv6(
  fields: Arriving,
  source: string,
  destination: string,
  protocol: number,
  carried: Uint8Array,
): Uint8Array {
  return concat(
    word(0x6000 | ((fields.tos ?? 0) << 4)),
    word(0),
    word(carried.length + (fields.ipLengthBy ?? 0)),
    Uint8Array.of(protocol, 61),
    ipBytes(source),
    ipBytes(destination),
  );
}
