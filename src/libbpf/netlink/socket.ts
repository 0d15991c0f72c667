import { MapwireError } from '../../errors.ts';
import { addon } from '../addon.ts';
import { LITTLE_ENDIAN } from '../byte-order.ts';
import { Fd } from '../fd.ts';
import { checked, Errno, systemError } from '../system-error.ts';
import { AttributeMap, align4, viewOf } from './attributes.ts';

/** One netlink message (struct nlmsghdr) without its header. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

export const Protocol = { ROUTE: 0, GENERIC: 16 } as const;
export type Protocol = (typeof Protocol)[keyof typeof Protocol];

const HEADER = 16;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

export const MessageFlag = {
  REQUEST: 0x1,
  ACK: 0x4,
  DUMP_INTR: 0x10,
  CAPPED: 0x100,
  ACK_TLVS: 0x200,
  /** for requests that get */
  DUMP: 0x300,
  /** for requests that make */
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
} as const;

const MOST_INTERRUPTED_DUMPS = 10;

/** The messages of a buffer; what does not add up ends the walk. */
export function* readMessages(bytes: Uint8Array): Generator<Message, void, undefined> {
  const view = viewOf(bytes);
  for (let at = 0; at + HEADER <= bytes.byteLength; ) {
    const length = view.getUint32(at, LITTLE_ENDIAN);
    if (length < HEADER || at + length > bytes.byteLength) return;
    yield {
      type: view.getUint16(at + 4, LITTLE_ENDIAN),
      flags: view.getUint16(at + 6, LITTLE_ENDIAN),
      sequence: view.getUint32(at + 8, LITTLE_ENDIAN),
      payload: bytes.subarray(at + HEADER, at + length),
    };
    at += align4(length);
  }
}

export function encodeMessage(type: number, flags: number, sequence: number, ...parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((size, part) => size + part.byteLength, HEADER);
  const out = new Uint8Array(align4(length));
  const view = new DataView(out.buffer);
  view.setUint32(0, length, LITTLE_ENDIAN);
  view.setUint16(4, type, LITTLE_ENDIAN);
  view.setUint16(6, flags, LITTLE_ENDIAN);
  view.setUint32(8, sequence, LITTLE_ENDIAN);
  let at = HEADER;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}

/** The kernel's own words in an error (extended acknowledgement), if it gave any. */
function extendedText(message: Message): string | undefined {
  if ((message.flags & MessageFlag.ACK_TLVS) === 0) return undefined;
  let at = 4;
  if (message.type === NLMSG_ERROR) {
    // The header of the request follows, and unless capped its payload.
    const request = viewOf(message.payload).getUint32(4, LITTLE_ENDIAN);
    at += (message.flags & MessageFlag.CAPPED) !== 0 ? HEADER : align4(request);
  }
  return at < message.payload.byteLength ? new AttributeMap(message.payload.subarray(at)).text(1) : undefined;
}

function netlinkError(errno: number, what: string, message?: Message): MapwireError {
  const text = message === undefined ? undefined : extendedText(message);
  const special = [Errno.ENOENT, Errno.ENODEV, Errno.EPERM, Errno.EACCES, Errno.EOPNOTSUPP] as number[];
  return systemError(errno, 'netlink', text === undefined ? what : `${what} (${text})`, {
    ...(special.includes(errno) ? {} : { code: 'ERR_MW_NETLINK' as const }),
    details: text === undefined ? {} : { kernel: text },
  });
}

/**
 * A netlink socket for requests. They are answered one after the other, each on a pool thread; dumps are strict and
 * repeated when the kernel says that they were interrupted.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: Fd;
  #sequence = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(protocol: Protocol) {
    const fd = checked(addon().netlinkOpen(protocol, {}), 'socket(AF_NETLINK)', 'open a netlink socket');
    this.#fd = new Fd(fd, 'netlink socket');
  }

  get closed(): boolean {
    return this.#fd.closed;
  }

  /**
   * Sends a request and gives the answer's messages, without the closing acknowledgement.
   *
   * @param what for error messages, e.g. `set MTU of eth0`
   * @throws ERR_MW_NETLINK, ERR_MW_NOT_FOUND, ERR_MW_PRIVILEGE, ERR_MW_UNSUPPORTED, with `details.errno` and, where the kernel
   * gave it, `details.kernel`
   */
  request(what: string, type: number, flags: number, ...parts: Uint8Array[]): Promise<Message[]> {
    return this.#enqueue(() => this.#transact(what, type, flags | MessageFlag.REQUEST | MessageFlag.ACK, parts));
  }

  /** A dump, repeated until it was not interrupted by a change. */
  dump(what: string, type: number, ...parts: Uint8Array[]): Promise<Message[]> {
    return this.#enqueue(async () => {
      for (let i = 0; i < MOST_INTERRUPTED_DUMPS; i++) {
        const messages = await this.#transact(what, type, MessageFlag.REQUEST | MessageFlag.DUMP, parts);
        if (!messages.some(({ flags }) => (flags & MessageFlag.DUMP_INTR) !== 0)) return messages;
      }
      throw new MapwireError('ERR_MW_NETLINK', `${what}: interrupted by changes ${MOST_INTERRUPTED_DUMPS} times`, {
        hint: 'try again when the network changes less',
      });
    });
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work);
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #transact(what: string, type: number, flags: number, parts: Uint8Array[]): Promise<Message[]> {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const sequence = this.#sequence;
    const answer = await addon().netlinkRequest(
      this.#fd.number,
      encodeMessage(type, flags, sequence, ...parts),
      sequence,
    );
    if (typeof answer === 'number') throw netlinkError(-answer, what);
    const messages: Message[] = [];
    for (const message of readMessages(answer)) {
      if (message.sequence !== sequence) continue;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        const errno = message.payload.byteLength < 4 ? 0 : -viewOf(message.payload).getInt32(0, LITTLE_ENDIAN);
        if (errno > 0) throw netlinkError(errno, what, message);
        // The end of a dump may be where it says that it was interrupted.
        if ((message.flags & MessageFlag.DUMP_INTR) !== 0 && message.type === NLMSG_DONE) messages.push(message);
        continue;
      }
      messages.push(message);
    }
    return messages;
  }
}
