/**
 * VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe section 3): `R R Ver Ver I P B O`, 16 reserved bits, next protocol, VNI, 8 reserved
 * bits.
 */
import { read24, write24 } from './bytes.ts';
import { problem, type TunnelHeader } from './encapsulation.ts';

const LENGTH = 8;
const VERSION = 0x30;
const FLAG_SEGMENT = 0x08;
const FLAG_NEXT_PROTOCOL = 0x04;
const FLAG_OAM = 0x01;
const NEXT_PROTOCOL = { 4: 1, 6: 2 } as const;

export const vxlanGpe: TunnelHeader = {
  encap: 'vxlan-gpe',
  carrier: 17,
  ipOnly: true,
  write(segment, version) {
    const header = new Uint8Array(LENGTH);
    header[0] = FLAG_SEGMENT | FLAG_NEXT_PROTOCOL;
    header[3] = NEXT_PROTOCOL[version!];
    write24(header, 4, segment);
    return header;
  },
  read({ bytes, at, buffered }) {
    if (at + LENGTH > buffered) return { kind: 'not-in-first-buffer' };
    const flags = bytes[at]!;
    const next = bytes[at + 3]!;
    if ((flags & FLAG_SEGMENT) === 0) return problem('tunnel-header', 'the I flag is not set');
    if ((flags & FLAG_NEXT_PROTOCOL) === 0) return problem('tunnel-header', 'the P flag is not set');
    if ((flags & VERSION) !== 0) return problem('tunnel-header', 'version');
    if ((flags & FLAG_OAM) !== 0) return problem('tunnel-header', 'the O flag is set');
    if (next !== NEXT_PROTOCOL[4] && next !== NEXT_PROTOCOL[6]) return problem('tunnel-header', `protocol ${next}`);
    return { kind: 'header', segment: read24(bytes, at + 4), length: LENGTH };
  },
};
