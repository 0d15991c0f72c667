/**
 * What sessions of both kinds, {@link BfdSession} and {@link SbfdInitiator}, know and tell. Time as there: milliseconds of any
 * monotonic clock.
 */
import { Diagnostic, SessionState } from './packet.ts';

/** While nothing is agreed on or comes back, packets are at least a second apart (RFC 5880 section 6.8.3, RFC 7880 section 7.3.2). */
export const SLOW_US = 1_000_000;

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

export abstract class SessionBase {
  readonly discriminator: number;
  protected readonly random: () => number;
  protected timers: SessionTimers;
  protected current: SessionState = SessionState.DOWN;
  protected diagnostic: number = Diagnostic.NONE;
  protected since: number;
  protected remoteState: SessionState = SessionState.DOWN;
  protected remoteDiagnostic = 0;
  protected nextTx: number;
  protected detectAt = Number.POSITIVE_INFINITY;
  protected packetsSent = 0;
  protected packetsReceived = 0;
  protected timesExpired = 0;

  constructor(options: SessionOptions) {
    this.discriminator = options.discriminator;
    this.random = options.random;
    this.timers = { intervalUs: options.intervalUs, multiplier: options.multiplier };
    this.since = options.now;
    this.nextTx = options.now;
  }

  get state(): SessionState {
    return this.current;
  }

  /** Both ends' states as one number: another one is worth telling. */
  get outline(): number {
    return this.current * 4 + this.remoteState;
  }

  /** When `run` has something to do. */
  get due(): number {
    return Math.min(this.nextTx, this.detectAt);
  }

  status(): SessionStatus {
    return {
      state: this.current,
      diagnostic: this.diagnostic,
      remoteState: this.remoteState,
      remoteDiagnostic: this.remoteDiagnostic,
      since: this.since,
      txMs: this.txMs(),
      detectionMs: this.detectionMs(),
      sent: this.packetsSent,
      received: this.packetsReceived,
      expired: this.timesExpired,
    };
  }

  /** Milliseconds between our packets, without jitter. */
  protected abstract txMs(): number;

  /** The detection time, in milliseconds. */
  protected abstract detectionMs(): number;

  protected become(state: SessionState, diagnostic: number, now: number): void {
    this.current = state;
    this.diagnostic = diagnostic;
    this.since = now;
  }

  protected hasTimers({ intervalUs, multiplier }: SessionTimers): boolean {
    return this.timers.intervalUs === intervalUs && this.timers.multiplier === multiplier;
  }
}
