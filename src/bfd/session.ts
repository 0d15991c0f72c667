/**
 * One BFD session in asynchronous mode, active role (RFC 5880 section 6). No clock, no socket: the time comes with each
 * call, in milliseconds of any monotonic clock, and packets go in and out as values.
 *
 * Demand mode is refused: `demand` is never set, and a peer that sets it is sent packets all the same, so that it keeps what it
 * would otherwise have to ask for; its silence is a failure.
 */
import { type BfdPacket, Diagnostic, SessionState } from './packet.ts';

/** While a session is not Up, packets are at least a second apart (RFC 5880 section 6.8.3). */
const SLOW_US = 1_000_000;

export interface SessionTimers {
  /** How often we would send, and how often the peer may send to us. */
  readonly intervalUs: number;
  /** Packets in a row that the peer may miss, 1 to 255. */
  readonly multiplier: number;
}

export interface SessionOptions extends SessionTimers {
  /** Not 0, and unique among the sessions of this machine. */
  readonly discriminator: number;
  readonly now: number;
  /** From 0 to below 1: jitter. */
  readonly random: () => number;
}

/** What is to be known of a session from outside. */
export interface SessionStatus {
  readonly state: SessionState;
  readonly diagnostic: number;
  readonly remoteState: SessionState;
  readonly remoteDiagnostic: number;
  /** When the state last changed. */
  readonly since: number;
  /** Milliseconds between our packets, without jitter; the detection time. */
  readonly txMs: number;
  readonly detectionMs: number;
  readonly sent: number;
  readonly received: number;
  /** Times that it left Up because nothing came. */
  readonly expired: number;
}

/** By how much an interval is shortened at random (RFC 5880 section 6.8.7). */
export function jittered(intervalMs: number, multiplier: number, random: () => number): number {
  return intervalMs * (multiplier === 1 ? 0.75 + 0.15 * random() : 0.75 + 0.25 * random());
}

export class BfdSession {
  readonly discriminator: number;
  readonly #random: () => number;
  #timers: SessionTimers;
  #state: SessionState = SessionState.DOWN;
  #diagnostic: number = Diagnostic.NONE;
  #since: number;
  #remoteState: SessionState = SessionState.DOWN;
  #remoteDiagnostic = 0;
  #remoteDiscriminator = 0;
  #remoteMinRxUs = 1;
  #remoteDesiredMinTxUs = 0;
  #remoteMultiplier = 0;
  #polling = false;
  /** In force until a poll sequence ends: what was announced before (RFC 5880 section 6.8.3). */
  #txUsUntilFinal: number | undefined;
  #rxUsUntilFinal: number | undefined;
  #nextTx: number;
  #lastTx = Number.NEGATIVE_INFINITY;
  #detectAt = Number.POSITIVE_INFINITY;
  #sent = 0;
  #received = 0;
  #expired = 0;

  constructor(options: SessionOptions) {
    this.discriminator = options.discriminator;
    this.#random = options.random;
    this.#timers = { intervalUs: options.intervalUs, multiplier: options.multiplier };
    this.#since = options.now;
    this.#nextTx = options.now;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Both ends' states as one number: another one is worth telling. */
  get outline(): number {
    return this.#state * 4 + this.#remoteState;
  }

  /** A packet out of turn. */
  say(): BfdPacket {
    this.#sent++;
    return this.#packet({ poll: false, final: false });
  }

  status(): SessionStatus {
    return {
      state: this.#state,
      diagnostic: this.#diagnostic,
      remoteState: this.#remoteState,
      remoteDiagnostic: this.#remoteDiagnostic,
      since: this.#since,
      txMs: this.#txIntervalUs() / 1000,
      detectionMs: this.#detectionUs() / 1000,
      sent: this.#sent,
      received: this.#received,
      expired: this.#expired,
    };
  }

  /** When `run` has something to do. */
  get due(): number {
    return Math.min(this.#nextTx, this.#detectAt);
  }

  /** Other timers; while Up they are agreed on by a poll sequence. */
  setTimers(timers: SessionTimers, now: number): void {
    const { intervalUs, multiplier } = this.#timers;
    if (intervalUs === timers.intervalUs && multiplier === timers.multiplier) return;
    const txUs = this.#txIntervalUs();
    const rxUs = this.#rxUs();
    this.#timers = timers;
    if (this.#state !== SessionState.UP) return;
    if (timers.intervalUs > intervalUs) this.#txUsUntilFinal = txUs;
    if (timers.intervalUs < intervalUs) this.#rxUsUntilFinal = rxUs;
    this.#polling = true;
    this.#nextTx = now;
  }

  /** Administratively down, or up again (RFC 5880 section 6.8.16). The peer is told by the next `run`. */
  setAdminDown(down: boolean, now: number): void {
    if (down === (this.#state === SessionState.ADMIN_DOWN)) return;
    if (down) this.#become(SessionState.ADMIN_DOWN, Diagnostic.ADMIN_DOWN, now);
    else this.#become(SessionState.DOWN, Diagnostic.NONE, now);
    this.#nextTx = now;
  }

  /** A packet of this session (RFC 5880 section 6.8.6), decoded. What is to be sent at once: the answer to a poll. */
  receive(packet: BfdPacket, now: number): BfdPacket | undefined {
    this.#received++;
    this.#remoteDiscriminator = packet.myDiscriminator;
    this.#remoteState = packet.state;
    this.#remoteDiagnostic = packet.diagnostic;
    this.#remoteMinRxUs = packet.requiredMinRxUs;
    this.#remoteDesiredMinTxUs = packet.desiredMinTxUs;
    this.#remoteMultiplier = packet.multiplier;
    if (packet.final && this.#polling) {
      this.#polling = false;
      this.#txUsUntilFinal = undefined;
      this.#rxUsUntilFinal = undefined;
    }
    this.#detectAt = now + this.#detectionUs() / 1000;
    if (this.#state !== SessionState.ADMIN_DOWN) this.#follow(packet.state, now);
    this.#hurry(now);
    if (!packet.poll) return undefined;
    this.#sent++;
    return this.#packet({ poll: false, final: true });
  }

  /** What the time asks for: the packet to send now, if one is due. */
  run(now: number): BfdPacket | undefined {
    if (now >= this.#detectAt) this.#expire(now);
    if (now < this.#nextTx) return undefined;
    if (this.#remoteMinRxUs === 0) {
      // The peer wants none; what it sends may change that.
      this.#nextTx = Number.POSITIVE_INFINITY;
      return undefined;
    }
    this.#lastTx = now;
    this.#nextTx = now + jittered(this.#txIntervalUs() / 1000, this.#timers.multiplier, this.#random);
    this.#sent++;
    return this.#packet({ poll: this.#polling, final: false });
  }

  /** The state machine of section 6.2, by what the peer says of itself. */
  #follow(remote: SessionState, now: number): void {
    const { DOWN, INIT, UP, ADMIN_DOWN } = SessionState;
    const state = this.#state;
    if (remote === ADMIN_DOWN) {
      if (state !== DOWN) this.#become(DOWN, Diagnostic.NEIGHBOUR_DOWN, now);
    } else if (state === DOWN) {
      if (remote === DOWN) this.#become(INIT, this.#diagnostic, now);
      else if (remote === INIT) this.#become(UP, Diagnostic.NONE, now);
    } else if (state === INIT) {
      if (remote === INIT || remote === UP) this.#become(UP, Diagnostic.NONE, now);
    } else if (remote === DOWN) {
      this.#become(DOWN, Diagnostic.NEIGHBOUR_DOWN, now);
    }
  }

  #become(state: SessionState, diagnostic: number, now: number): void {
    this.#state = state;
    this.#diagnostic = diagnostic;
    this.#since = now;
    // The interval that is announced changes with it: with Up, the configured one is agreed on.
    this.#polling = state === SessionState.UP && this.#timers.intervalUs < SLOW_US;
    this.#txUsUntilFinal = undefined;
    this.#rxUsUntilFinal = undefined;
    this.#nextTx = now;
  }

  #expire(now: number): void {
    this.#detectAt = Number.POSITIVE_INFINITY;
    this.#remoteDiscriminator = 0;
    this.#remoteState = SessionState.DOWN;
    this.#remoteMinRxUs = 1;
    if (this.#state !== SessionState.INIT && this.#state !== SessionState.UP) return;
    if (this.#state === SessionState.UP) this.#expired++;
    this.#become(SessionState.DOWN, Diagnostic.EXPIRED, now);
  }

  /** The peer may ask for more than what is under way: not later than its interval allows. */
  #hurry(now: number): void {
    if (this.#remoteMinRxUs === 0) return;
    const latest = Math.max(now, this.#lastTx + this.#txIntervalUs() / 1000);
    if (this.#nextTx > latest) this.#nextTx = latest;
  }

  #announcedTxUs(): number {
    const { intervalUs } = this.#timers;
    return this.#state === SessionState.UP ? intervalUs : Math.max(intervalUs, SLOW_US);
  }

  #txIntervalUs(): number {
    return Math.max(this.#txUsUntilFinal ?? this.#announcedTxUs(), this.#remoteMinRxUs);
  }

  #rxUs(): number {
    return this.#rxUsUntilFinal ?? this.#timers.intervalUs;
  }

  /** Section 6.8.4, asynchronous mode. */
  #detectionUs(): number {
    return this.#remoteMultiplier * Math.max(this.#rxUs(), this.#remoteDesiredMinTxUs);
  }

  #packet(bits: { readonly poll: boolean; readonly final: boolean }): BfdPacket {
    return {
      ...bits,
      diagnostic: this.#diagnostic,
      state: this.#state,
      controlPlaneIndependent: false,
      demand: false,
      multiplier: this.#timers.multiplier,
      myDiscriminator: this.discriminator,
      yourDiscriminator: this.#remoteDiscriminator,
      desiredMinTxUs: this.#announcedTxUs(),
      requiredMinRxUs: this.#timers.intervalUs,
      requiredMinEchoRxUs: 0,
    };
  }
}
