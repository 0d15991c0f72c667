/**
 * GRE with an Ethernet frame and a key (RFC 2784, RFC 2890): `C R K S`, reserved bits, version, protocol; then 4 bytes each
 * for checksum, key and sequence number, where their flags are set.
 */
import { read16, read32, write16, write32 } from './bytes.ts';
import { problem, type TunnelHeader } from './encapsulation.ts';

const FIXED = 4;
const FIELD = 4;
const FLAG_CHECKSUM = 0x8000;
const FLAG_KEY = 0x2000;
const FLAG_SEQUENCE = 0x1000;
/** Bits 1, 4 and 5, which a receiver of RFC 2784 must not see; bits 6 to 12 it ignores (section 2.3). */
const FLAGS_REFUSED = 0x4c00;
const VERSION = 0x0007;
const PROTOCOL_ETHERNET = 0x6558;

/** A frame with a key: what rule 3.1 takes for ours. The fixed 4 bytes are known to be there. */
export function isKeyedEthernet(bytes: Uint8Array, at: number): boolean {
  const flags = read16(bytes, at);
  return (flags & VERSION) === 0 && (flags & FLAG_KEY) !== 0 && read16(bytes, at + 2) === PROTOCOL_ETHERNET;
}

export const gre: TunnelHeader = {
  encap: 'gre',
  carrier: 47,
  ipOnly: false,
  write(segment) {
    const header = new Uint8Array(FIXED + FIELD);
    write16(header, 0, FLAG_KEY);
    write16(header, 2, PROTOCOL_ETHERNET);
    write32(header, 4, segment);
    return header;
  },
  read({ bytes, at, end, buffered }) {
    const flags = read16(bytes, at);
    const key = at + FIXED + ((flags & FLAG_CHECKSUM) === 0 ? 0 : FIELD);
    const length = key + FIELD + ((flags & FLAG_SEQUENCE) === 0 ? 0 : FIELD) - at;
    if (at + length > end) return problem('outer-malformed', 'no room for what its flags announce');
    if ((flags & FLAGS_REFUSED) !== 0) return problem('tunnel-header', 'flags');
    if (at + length > buffered) return { kind: 'not-in-first-buffer' };
    return { kind: 'header', segment: read32(bytes, key), length };
  },
};
