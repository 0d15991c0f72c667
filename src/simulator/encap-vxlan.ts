/** VXLAN (RFC 7348 section 5): `R R R R I R R R`, 24 reserved bits, VNI, 8 reserved bits. */
import { read24, write24 } from './bytes.ts';
import { problem, type TunnelHeader } from './encapsulation.ts';

const LENGTH = 8;
const FLAG_SEGMENT = 0x08;

export const vxlan: TunnelHeader = {
  encap: 'vxlan',
  carrier: 17,
  ipOnly: false,
  write(segment) {
    const header = new Uint8Array(LENGTH);
    header[0] = FLAG_SEGMENT;
    write24(header, 4, segment);
    return header;
  },
  read({ bytes, at, buffered }) {
    if (at + LENGTH > buffered) return { kind: 'not-in-first-buffer' };
    if ((bytes[at]! & FLAG_SEGMENT) === 0) return problem('tunnel-header', 'the I flag is not set');
    return { kind: 'header', segment: read24(bytes, at + 4), length: LENGTH };
  },
};
