/**
 * Sockets and clock around the sessions of `src/bfd`. It runs in a thread of its own, with its own event loop and its own
 * heap: the daemon's may be busy for as long as a plan of a million ports takes, and its garbage collection may stop it, and
 * meanwhile peers are answered and their silence is noticed. A worker thread rather than C++: the protocol is written (and
 * tested with a fake clock) once, and this heap is so small that collecting it takes a fraction of a millisecond. What it
 * does cost is measured: docs/operations.md.
 *
 * Before the clock is asked who is late, everything that waits in the sockets is received: what this process was too slow to
 * read was not lost.
 */
import { performance } from 'node:perf_hooks';
import {
  BFD_MULTIHOP_PORT,
  BFD_PORT,
  type Outgoing,
  type ProbeKind,
  ProbeMachine,
  type SessionSpec,
  type SessionStatus,
} from '../bfd/index.ts';
import { MapwireError } from '../errors.ts';
import { errnoName, UdpSocket } from '../libbpf/index.ts';

/** A session, and the own address that it uses (16 bytes, IPv4 mapped). */
export interface ProbeSpec extends SessionSpec {
  readonly local: Uint8Array;
}

export interface ProbeProblem {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** Sums over all sessions. */
export interface ProbeTotals {
  readonly sessions: number;
  readonly discardedTtl: number;
  readonly discardedMalformed: number;
  readonly discardedUnknown: number;
  /** Packets that the kernel did not take, and why the last of them. */
  readonly unsent: number;
  readonly unsentWhy?: string | undefined;
}

export interface RunnerOptions {
  readonly hops: number;
  /** Each change once; times in milliseconds since 1970. */
  readonly changed: (id: string, status: SessionStatus) => void;
  readonly problem: (problem: ProbeProblem) => void;
}

/** CS6, network control (RFC 4594 section 3.1). */
const TRAFFIC_CLASS = 0xc0;
const TTL = 255;
const RECEIVE_BUFFER = 4 << 20;
const RETRY_MS = 1_000;
/** With more sessions than this a wake-up serves a millisecond's packets. */
const MANY = 64;
/** How often AdminDown is said before the end, and how far apart: one packet may get lost. */
const FAREWELLS = 3;
const FAREWELL_MS = 15;

interface Channel {
  readonly kind: ProbeKind;
  readonly local: Uint8Array;
  readonly send: UdpSocket;
  readonly receive: UdpSocket;
}

const now = (): number => performance.now();

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export class ProbeRunner {
  readonly #options: RunnerOptions;
  readonly #machine: ProbeMachine;
  readonly #channels = new Map<string, Channel>();
  /** By session: where its packets leave. */
  readonly #routes = new Map<string, Channel>();
  #specs: ReadonlyMap<string, ProbeSpec> = new Map();
  readonly #told = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #unsent = 0;
  #unsentErrno = 0;
  #closed = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#machine = new ProbeMachine({
      now: now(),
      hops: options.hops,
      random: Math.random,
      send: (id, packet) => this.#send(id, packet),
      changed: (id, status) => options.changed(id, this.#dated(status)),
    });
  }

  /** All sessions that there are to be from now on. */
  set(specs: readonly ProbeSpec[]): void {
    this.#specs = new Map(specs.map((spec) => [spec.id, spec]));
    for (const id of this.#routes.keys()) {
      if (this.#specs.has(id)) continue;
      this.#machine.delete(id);
      this.#routes.delete(id);
    }
    this.#settle();
    this.#tick();
  }

  statuses(): [string, SessionStatus][] {
    return [...this.#machine.statuses()].map(([id, status]) => [id, this.#dated(status)]);
  }

  totals(): ProbeTotals {
    const { ttl, malformed, unknown } = this.#machine.discards;
    return {
      sessions: this.#machine.size,
      discardedTtl: ttl,
      discardedMalformed: malformed,
      discardedUnknown: unknown,
      unsent: this.#unsent,
      ...(this.#unsentErrno !== 0 && { unsentWhy: errnoName(this.#unsentErrno) }),
    };
  }

  /** Tells the peers AdminDown, and ends. */
  async end(): Promise<void> {
    clearTimeout(this.#retry);
    clearTimeout(this.#timer);
    this.#closed = true;
    const bfd = [...this.#channels.values()].some(({ kind }) => kind === 'bfd');
    for (let i = 0; i < FAREWELLS && bfd; i++) {
      this.#machine.sayAdminDown(now());
      this.#flush();
      if (i + 1 < FAREWELLS) await new Promise((done) => setTimeout(done, FAREWELL_MS));
    }
    for (const key of [...this.#channels.keys()]) this.#closeChannel(key);
  }

  /** Sockets for the sessions, and sessions for which there are sockets. What cannot be opened is tried again. */
  #settle(): void {
    clearTimeout(this.#retry);
    const used = new Set<string>();
    let missing = false;
    for (const spec of this.#specs.values()) {
      const key = `${spec.kind} ${hexOf(spec.local)}`;
      used.add(key);
      const channel = this.#channels.get(key) ?? this.#open(key, spec.kind, spec.local);
      if (channel === undefined) {
        // No session without a socket: nobody is to be taken for dead because we are mute.
        missing = true;
        this.#machine.delete(spec.id);
        this.#routes.delete(spec.id);
        continue;
      }
      this.#routes.set(spec.id, channel);
      this.#machine.set(spec, now());
    }
    for (const key of [...this.#channels.keys()]) if (!used.has(key)) this.#closeChannel(key);
    if (missing) this.#retry = setTimeout(() => this.#again(), RETRY_MS);
  }

  #again(): void {
    this.#settle();
    this.#tick();
  }

  #open(key: string, kind: ProbeKind, local: Uint8Array): Channel | undefined {
    const common = { address: local, ttl: TTL, trafficClass: TRAFFIC_CLASS, receiveBuffer: RECEIVE_BUFFER };
    let send: UdpSocket | undefined;
    try {
      send = new UdpSocket(common);
      const port = this.#options.hops === 1 ? BFD_PORT : BFD_MULTIHOP_PORT;
      const receive = kind === 'bfd' ? new UdpSocket({ ...common, port }) : send;
      const channel: Channel = { kind, local, send, receive };
      this.#channels.set(key, channel);
      this.#told.delete(key);
      void this.#listen(channel);
      return channel;
    } catch (error) {
      send?.close();
      if (!(error instanceof MapwireError)) throw error;
      if (!this.#told.has(key)) {
        const { code, message, hint } = error;
        this.#options.problem({ code, message: `nodes cannot be probed with ${kind}: ${message}`, hint });
      }
      this.#told.add(key);
      return undefined;
    }
  }

  #closeChannel(key: string): void {
    const channel = this.#channels.get(key);
    this.#channels.delete(key);
    channel?.receive.close();
    channel?.send.close();
  }

  async #listen({ receive }: Channel): Promise<void> {
    while (await receive.readable()) {
      this.#tick();
      if (!receive.closed) receive.rearm(this.#machine.size > MANY ? 1 : 0);
    }
  }

  #tick(): void {
    if (this.#closed) return;
    for (const channel of this.#channels.values()) this.#drain(channel);
    this.#machine.run(now());
    this.#flush();
    clearTimeout(this.#timer);
    const { due } = this.#machine;
    if (Number.isFinite(due)) this.#timer = setTimeout(() => this.#tick(), Math.max(0, due - now()));
  }

  #drain({ kind, receive }: Channel): void {
    const at = now();
    for (const { address, ttl, length, payload } of receive.receive()) {
      // What is longer than the buffer has its length in it; it may be padded (RFC 5880 section 6.8.6).
      if (length >= payload.byteLength) this.#machine.receive({ kind, remote: address, ttl, payload }, at);
    }
  }

  #send(id: string, { remote, port, payload }: Outgoing): void {
    this.#note(this.#routes.get(id)?.send.queue(remote, port, payload));
  }

  #flush(): void {
    for (const { send } of this.#channels.values()) this.#note(send.flush());
  }

  #note(outcome: { readonly unsent: number; readonly errno: number } | undefined): void {
    if (outcome === undefined || outcome.unsent === 0) return;
    this.#unsent += outcome.unsent;
    this.#unsentErrno = outcome.errno;
  }

  #dated(status: SessionStatus): SessionStatus {
    // the same at every look, whatever the wall clock does meanwhile
    return { ...status, since: Math.round(performance.timeOrigin + status.since) };
  }
}
