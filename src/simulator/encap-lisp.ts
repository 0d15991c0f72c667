/** LISP data packets (RFC 9300 section 5): `N L E V I R K K`, nonce, instance id, locator status bits. */
import { read24, write24 } from './bytes.ts';
import { problem, type TunnelHeader } from './encapsulation.ts';

const LENGTH = 8;
const FLAG_INSTANCE = 0x08;

export const lisp: TunnelHeader = {
  encap: 'lisp',
  carrier: 17,
  ipOnly: true,
  write(segment) {
    const header = new Uint8Array(LENGTH);
    header[0] = FLAG_INSTANCE;
    write24(header, 4, segment);
    return header;
  },
  read({ bytes, at, buffered }) {
    if (at + LENGTH > buffered) return { kind: 'not-in-first-buffer' };
    if ((bytes[at]! & FLAG_INSTANCE) === 0) return problem('tunnel-header', 'the I flag is not set');
    return { kind: 'header', segment: read24(bytes, at + 4), length: LENGTH };
  },
};
