import { MapwireError } from '../errors.ts';
import { addon } from './addon.ts';
import { LITTLE_ENDIAN } from './byte-order.ts';
import { Fd } from './fd.ts';
import { Readiness } from './readiness.ts';
import { checked, Errno, systemError } from './system-error.ts';

/** As native/udp_socket.cc lays it out. */
const RECORD = 64;
const PAYLOAD_AT = 24;
const MAX_PAYLOAD = RECORD - PAYLOAD_AT;
const BATCH = 64;

/** The range that IANA leaves to whoever needs a port (RFC 6335 section 6). */
const DYNAMIC_PORTS = { first: 49_152, count: 16_384 } as const;
const MOST_PORTS_TRIED = 64;

export interface UdpSocketOptions {
  /** Own address: 16 bytes in network order, IPv4 in mapped form. */
  readonly address: Uint8Array;
  /** Undefined: any free one from 49152 to 65535. */
  readonly port?: number;
  /** TTL or hop limit of what is sent, 1 to 255. */
  readonly ttl: number;
  /** TOS or traffic class of what is sent; default 0. */
  readonly trafficClass?: number;
  /** Bytes that may wait to be received; default: the system's. */
  readonly receiveBuffer?: number;
}

export interface Datagram {
  /** Sender: 16 bytes in network order, IPv4 in mapped form. */
  readonly address: Uint8Array;
  readonly port: number;
  /** Of the whole datagram; `payload` has at most 40 bytes of it. */
  readonly length: number;
  /** TTL or hop limit that it came with; undefined: not told. */
  readonly ttl: number | undefined;
  readonly payload: Uint8Array;
}

export interface SendOutcome {
  /** How many the kernel did not take (no route, no neighbour, no room). */
  readonly unsent: number;
  /** The last errno of those; 0: it took all. */
  readonly errno: number;
}

/**
 * A UDP socket bound to one address, for small datagrams in great number: it says the TTL of what it receives, and sends and
 * receives up to 64 datagrams a system call. Never waits.
 */
export class UdpSocket implements Disposable {
  readonly port: number;
  readonly #fd: Fd;
  readonly #readiness: Readiness;
  readonly #out = new Uint8Array(BATCH * RECORD);
  readonly #outView = new DataView(this.#out.buffer);
  readonly #in = new Uint8Array(BATCH * RECORD);
  readonly #inView = new DataView(this.#in.buffer);
  #queued = 0;

  /**
   * @throws ERR_MW_BUSY when the port is taken, ERR_MW_INVALID_ARGUMENT, ERR_MW_NOT_FOUND when the address is not this host's,
   * ERR_MW_SYSCALL; with `details.errno`
   */
  constructor(options: UdpSocketOptions) {
    const { address, ttl, port } = options;
    if (address.byteLength !== 16) throw new MapwireError('ERR_MW_INVALID_ARGUMENT', 'an address has 16 bytes');
    if (!Number.isInteger(ttl) || ttl < 1 || ttl > 255) {
      throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `a TTL of ${ttl}: it is 1 to 255`);
    }
    const open = (at: number): number =>
      addon().udpOpen(address, {
        port: at,
        ttl,
        trafficClass: options.trafficClass ?? 0,
        receiveBuffer: options.receiveBuffer ?? 0,
      });
    let at = port ?? 0;
    let fd = port === undefined ? -Errno.EADDRINUSE : open(port);
    for (let i = 0; port === undefined && fd === -Errno.EADDRINUSE && i < MOST_PORTS_TRIED; i++) {
      at = DYNAMIC_PORTS.first + Math.floor(Math.random() * DYNAMIC_PORTS.count);
      fd = open(at);
    }
    if (fd === -Errno.EADDRINUSE) {
      throw systemError(fd, 'bind', `UDP port ${at} cannot be used`, {
        code: 'ERR_MW_BUSY',
        hint: 'another process has it (`ss -lunp` names it)',
      });
    }
    if (fd === -Errno.EADDRNOTAVAIL) {
      throw systemError(fd, 'bind', `UDP port ${at} cannot be used`, {
        code: 'ERR_MW_NOT_FOUND',
        hint: 'the address is not on this host: add it to the underlay device',
      });
    }
    this.port = at;
    this.#fd = new Fd(checked(fd, 'bind', `open UDP port ${at}`), `UDP socket, port ${at}`);
    this.#readiness = new Readiness(this.#fd, { keepAlive: true });
  }

  get closed(): boolean {
    return this.#fd.closed;
  }

  /** Puts a datagram into the batch; what is full is sent. @param payload at most 40 bytes */
  queue(address: Uint8Array, port: number, payload: Uint8Array): SendOutcome | undefined {
    if (payload.byteLength > MAX_PAYLOAD || address.byteLength !== 16) {
      throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `a datagram of ${payload.byteLength} bytes`, {
        hint: `at most ${MAX_PAYLOAD}, to an address of 16 bytes`,
      });
    }
    const base = this.#queued * RECORD;
    this.#out.set(address, base);
    this.#outView.setUint16(base + 16, port, LITTLE_ENDIAN);
    this.#outView.setUint16(base + 18, payload.byteLength, LITTLE_ENDIAN);
    this.#out.set(payload, base + PAYLOAD_AT);
    return ++this.#queued === BATCH ? this.flush() : undefined;
  }

  /** Sends the batch; undefined when it is empty. What cannot be sent is lost, as on the wire. */
  flush(): SendOutcome | undefined {
    if (this.#queued === 0) return undefined;
    const count = this.#queued;
    this.#queued = 0;
    const { sent, error } = addon().udpSend(this.#fd.number, this.#out, count);
    return { unsent: count - sent, errno: Math.abs(error) };
  }

  /** Everything that waits. The bytes are good until the next one is asked for. @throws ERR_MW_SYSCALL */
  *receive(): Generator<Datagram, void, undefined> {
    for (;;) {
      const count = checked(addon().udpReceive(this.#fd.number, this.#in), 'recvmmsg', 'receive datagrams');
      for (let i = 0; i < count; i++) {
        const base = i * RECORD;
        const length = this.#inView.getUint16(base + 18, LITTLE_ENDIAN);
        const ttl = this.#inView.getInt16(base + 20, LITTLE_ENDIAN);
        yield {
          address: this.#in.subarray(base, base + 16),
          port: this.#inView.getUint16(base + 16, LITTLE_ENDIAN),
          length,
          ttl: ttl < 0 ? undefined : ttl,
          payload: this.#in.subarray(base + PAYLOAD_AT, base + PAYLOAD_AT + Math.min(length, MAX_PAYLOAD)),
        };
      }
      if (count < BATCH) return;
    }
  }

  /** Resolves with true when there is something to receive, with false when it is closed. */
  readable(): Promise<boolean> {
    return this.#readiness.wait();
  }

  /** After everything was received: `readable` waits again. @param delay milliseconds */
  rearm(delay = 0): void {
    this.#readiness.rearm(delay);
  }

  /** Idempotent. */
  close(): void {
    this.#readiness.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
