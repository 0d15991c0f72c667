/**
 * All sessions of a node: which packet is whose, who is due, what is sent. Pure: the clock, chance and the wire are given.
 * One heap, and a map by discriminator: what a packet or a tick costs does not depend on the number of sessions.
 */
import { SbfdInitiator } from './initiator.ts';
import { BFD_MULTIHOP_PORT, BFD_PORT, type BfdPacket, decodePacket, encodePacket, SBFD_PORT } from './packet.ts';
import { Schedule } from './schedule.ts';
import { BfdSession } from './session.ts';
import type { SessionStatus, SessionTimers } from './session-base.ts';

export type ProbeKind = 'bfd' | 's-bfd';

export interface SessionSpec extends SessionTimers {
  /** Names the session: a node. */
  readonly id: string;
  readonly kind: ProbeKind;
  /** The peer's address: 16 bytes in network order, IPv4 in mapped form. */
  readonly remote: Uint8Array;
  /** S-BFD: the reflector's. */
  readonly remoteDiscriminator?: number;
}

/** A packet to send: to that address and UDP port, from the sockets of that kind. */
export interface Outgoing {
  readonly kind: ProbeKind;
  readonly remote: Uint8Array;
  readonly port: number;
  readonly payload: Uint8Array;
}

export interface Incoming {
  readonly kind: ProbeKind;
  readonly remote: Uint8Array;
  /** TTL or hop limit; undefined: the kernel did not tell. */
  readonly ttl: number | undefined;
  readonly payload: Uint8Array;
}

export interface MachineOptions {
  readonly now: number;
  readonly random: () => number;
  readonly send: (id: string, packet: Outgoing) => void;
  /** A session's state or what its peer says of itself changed. */
  readonly changed: (id: string, status: SessionStatus) => void;
  /** Hops a packet may have made, 1 to 255; 1: only direct neighbours, as RFC 5881 has it. */
  readonly hops?: number;
}

/** What was discarded, and why. */
export interface Discards {
  /** TTL or hop limit below what our peers' packets have (GTSM, RFC 5082). */
  ttl: number;
  malformed: number;
  /** Of no session. */
  unknown: number;
}

interface Entry {
  readonly id: string;
  readonly kind: ProbeKind;
  readonly remote: Uint8Array;
  readonly key: string;
  readonly session: BfdSession | SbfdInitiator;
  /** State and remote state as they were last told. */
  told: number;
}

const MAX_DISCRIMINATOR = 0xffff_ffff;

function addressKey(bytes: Uint8Array): string {
  let key = '';
  for (let i = 0; i < 16; i++) key += String.fromCharCode(bytes[i] as number);
  return key;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < 16; i++) if (a[i] !== b[i]) return false;
  return true;
}

export class ProbeMachine {
  readonly discards: Discards = { ttl: 0, malformed: 0, unknown: 0 };
  readonly #options: MachineOptions;
  readonly #least: number;
  readonly #port: number;
  readonly #entries = new Map<string, Entry>();
  readonly #byDiscriminator = new Map<number, Entry>();
  /** BFD sessions by the peer's address: for packets that do not know our discriminator yet. */
  readonly #byAddress = new Map<string, Entry>();
  readonly #schedule = new Schedule<Entry>();

  constructor(options: MachineOptions) {
    const hops = options.hops ?? 1;
    this.#options = options;
    this.#least = 256 - hops;
    this.#port = hops === 1 ? BFD_PORT : BFD_MULTIHOP_PORT;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** When `run` has something to do. */
  get due(): number {
    return this.#schedule.next;
  }

  status(id: string): SessionStatus | undefined {
    return this.#entries.get(id)?.session.status();
  }

  *statuses(): Generator<readonly [string, SessionStatus]> {
    for (const { id, session } of this.#entries.values()) yield [id, session.status()];
  }

  /** Begins a session, or gives one other timers; another kind, peer or discriminator makes it a new one. */
  set(spec: SessionSpec, now: number): void {
    const before = this.#entries.get(spec.id);
    if (before !== undefined) {
      const { session } = before;
      const kept =
        before.kind === spec.kind &&
        same(before.remote, spec.remote) &&
        (session instanceof BfdSession || session.remoteDiscriminator === spec.remoteDiscriminator);
      if (kept) {
        session.setTimers(spec, now);
        this.#schedule.set(before, session.due);
        return;
      }
      this.delete(spec.id);
    }
    const { intervalUs, multiplier, remoteDiscriminator = 0 } = spec;
    const options = { discriminator: this.#discriminator(), now, random: this.#options.random, intervalUs, multiplier };
    const session =
      spec.kind === 'bfd' ? new BfdSession(options) : new SbfdInitiator({ ...options, remoteDiscriminator });
    const key = addressKey(spec.remote);
    const entry: Entry = { id: spec.id, kind: spec.kind, remote: spec.remote, key, session, told: -1 };
    this.#entries.set(spec.id, entry);
    this.#byDiscriminator.set(session.discriminator, entry);
    if (spec.kind === 'bfd') this.#byAddress.set(key, entry);
    // Those that begin together do not stay together: the first packets are spread over an interval.
    this.#schedule.set(entry, now + (this.#options.random() * intervalUs) / 1000);
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#byDiscriminator.delete(entry.session.discriminator);
    if (this.#byAddress.get(entry.key) === entry) this.#byAddress.delete(entry.key);
    this.#schedule.delete(entry);
  }

  receive(packet: Incoming, now: number): void {
    if (packet.ttl === undefined || packet.ttl < this.#least) {
      this.discards.ttl++;
      return;
    }
    const decoded = decodePacket(packet.payload);
    if (typeof decoded === 'string') {
      this.discards.malformed++;
      return;
    }
    const entry = this.#whose(packet, decoded);
    if (entry === undefined) {
      this.discards.unknown++;
      return;
    }
    const answer = entry.session.receive(decoded, now);
    if (answer !== undefined) this.#send(entry, answer);
    this.#after(entry);
  }

  /** Everything that is due. What came in is to be received before: a packet that waits in a socket was not lost. */
  run(now: number): void {
    for (let entry = this.#schedule.due(now); entry !== undefined; entry = this.#schedule.due(now)) {
      const packet = entry.session.run(now);
      if (packet !== undefined) this.#send(entry, packet);
      this.#after(entry);
    }
  }

  /** Tells all peers of BFD sessions AdminDown, once a call. */
  sayAdminDown(now: number): void {
    for (const entry of this.#entries.values()) {
      if (!(entry.session instanceof BfdSession)) continue;
      entry.session.setAdminDown(true, now);
      this.#send(entry, entry.session.say());
    }
  }

  #whose(packet: Incoming, decoded: BfdPacket): Entry | undefined {
    if (decoded.yourDiscriminator === 0) {
      return packet.kind === 'bfd' ? this.#byAddress.get(addressKey(packet.remote)) : undefined;
    }
    const entry = this.#byDiscriminator.get(decoded.yourDiscriminator);
    return entry?.kind === packet.kind && same(entry.remote, packet.remote) ? entry : undefined;
  }

  #after(entry: Entry): void {
    this.#schedule.set(entry, entry.session.due);
    const { outline } = entry.session;
    if (outline === entry.told) return;
    entry.told = outline;
    this.#options.changed(entry.id, entry.session.status());
  }

  #send(entry: Entry, packet: BfdPacket): void {
    const port = entry.kind === 'bfd' ? this.#port : SBFD_PORT;
    this.#options.send(entry.id, { kind: entry.kind, remote: entry.remote, port, payload: encodePacket(packet) });
  }

  /** A free one, not to be guessed. */
  #discriminator(): number {
    for (;;) {
      const one = 1 + Math.floor(this.#options.random() * MAX_DISCRIMINATOR);
      if (!this.#byDiscriminator.has(one)) return one;
    }
  }
}
