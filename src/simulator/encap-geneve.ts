/**
 * Geneve (RFC 8926 section 3.4): version and length of the options, `O C` and 6 reserved bits, protocol, VNI, 8 reserved
 * bits, options. Sent without options; of those received none is known.
 */
import { read16, read24, write16, write24 } from './bytes.ts';
import { problem, type TunnelHeader } from './encapsulation.ts';

const LENGTH = 8;
const OPTION_HEADER = 4;
const FLAG_CONTROL = 0x80;
const OPTION_CRITICAL = 0x80;
/** Trans Ether Bridging: an Ethernet frame. */
const PROTOCOL_ETHERNET = 0x6558;

export const geneve: TunnelHeader = {
  encap: 'geneve',
  carrier: 17,
  ipOnly: false,
  write(segment) {
    const header = new Uint8Array(LENGTH);
    write16(header, 2, PROTOCOL_ETHERNET);
    write24(header, 4, segment);
    return header;
  },
  read({ bytes, at, end, buffered }) {
    if (at + LENGTH > buffered) return { kind: 'not-in-first-buffer' };
    if (bytes[at]! >>> 6 !== 0) return problem('tunnel-header', 'version');
    if ((bytes[at + 1]! & FLAG_CONTROL) !== 0) return problem('tunnel-header', 'the O flag is set');
    if (read16(bytes, at + 2) !== PROTOCOL_ETHERNET) return problem('tunnel-header', 'protocol');
    const length = LENGTH + (bytes[at]! & 0x3f) * 4;
    if (at + length > end) return problem('tunnel-header', 'options longer than the packet');
    if (at + length > buffered) return { kind: 'not-in-first-buffer' };
    let critical = false;
    for (let option = at + LENGTH; option < at + length; ) {
      const optionLength = OPTION_HEADER + (bytes[option + 3]! & 0x1f) * 4;
      if (option + optionLength > at + length) return problem('tunnel-header', 'an option is cut off');
      critical ||= (bytes[option + 2]! & OPTION_CRITICAL) !== 0;
      option += optionLength;
    }
    if (critical) return problem('tunnel-option', 'a critical option');
    return { kind: 'header', segment: read24(bytes, at + 4), length };
  },
};
