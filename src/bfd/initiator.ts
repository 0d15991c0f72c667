/**
 * The initiator of S-BFD (RFC 7880 section 7.3): it asks, the reflector of the other node gives back, and what does not come back is
 * a failure of the path or of the node's forwarding. The reflector has no state, so a session begins with its first answer. Time
 * as in `BfdSession`.
 */
import { type BfdPacket, Diagnostic, SessionState } from './packet.ts';
import { jittered, SessionBase, type SessionOptions, type SessionTimers, SLOW_US } from './session-base.ts';

export interface InitiatorOptions extends SessionOptions {
  /** Of the reflector. */
  readonly remoteDiscriminator: number;
}

export class SbfdInitiator extends SessionBase {
  readonly remoteDiscriminator: number;
  #remoteMinRxUs = 0;

  constructor(options: InitiatorOptions) {
    super(options);
    this.remoteDiscriminator = options.remoteDiscriminator;
  }

  setTimers(timers: SessionTimers, now: number): void {
    if (this.hasTimers(timers)) return;
    this.timers = timers;
    this.nextTx = now;
    if (Number.isFinite(this.detectAt)) this.detectAt = now + this.detectionMs();
  }

  /** An initiator tells nobody that it ends: the reflector does not know it. */
  setAdminDown(down: boolean, now: number): void {
    if (down === (this.current === SessionState.ADMIN_DOWN)) return;
    this.become(down ? SessionState.ADMIN_DOWN : SessionState.DOWN, down ? Diagnostic.ADMIN_DOWN : 0, now);
    this.nextTx = down ? Number.POSITIVE_INFINITY : now;
    this.detectAt = Number.POSITIVE_INFINITY;
  }

  /** A reflected packet (RFC 7880 section 7.3.3). */
  receive(packet: BfdPacket, now: number): undefined {
    // With Demand set it would be another initiator's, or our own that went round (RFC 7880 section 7.2.2).
    if (packet.demand || packet.myDiscriminator !== this.remoteDiscriminator) return undefined;
    if (this.current === SessionState.ADMIN_DOWN) return undefined;
    this.packetsReceived++;
    this.remoteState = packet.state;
    this.remoteDiagnostic = packet.diagnostic;
    this.#remoteMinRxUs = packet.requiredMinRxUs;
    this.detectAt = now + this.detectionMs();
    if (packet.state === SessionState.UP && this.current === SessionState.DOWN) {
      this.become(SessionState.UP, Diagnostic.NONE, now);
      // From here on at the configured pace.
      this.nextTx = Math.min(this.nextTx, now + jittered(this.txMs(), this.timers.multiplier, this.random));
      this.detectAt = now + this.detectionMs();
    } else if (packet.state === SessionState.ADMIN_DOWN && this.current === SessionState.UP) {
      this.become(SessionState.DOWN, Diagnostic.NEIGHBOUR_DOWN, now);
    }
    return undefined;
  }

  run(now: number): BfdPacket | undefined {
    // Who did not ask cannot say that nobody answered: where this process stood still, the time begins again.
    const late = now - this.nextTx;
    if (late > this.txMs() && Number.isFinite(this.detectAt)) this.detectAt = now + this.detectionMs();
    if (now >= this.detectAt) {
      this.detectAt = Number.POSITIVE_INFINITY;
      this.remoteState = SessionState.DOWN;
      if (this.current === SessionState.UP) {
        this.timesExpired++;
        this.become(SessionState.DOWN, Diagnostic.EXPIRED, now);
      } else this.diagnostic = Diagnostic.EXPIRED;
    }
    if (now < this.nextTx) return undefined;
    this.nextTx = now + jittered(this.txMs(), this.timers.multiplier, this.random);
    this.packetsSent++;
    return {
      diagnostic: this.diagnostic,
      state: this.current,
      poll: false,
      final: false,
      controlPlaneIndependent: false,
      // What an initiator sends is told apart by it from what a reflector does.
      demand: true,
      multiplier: this.timers.multiplier,
      myDiscriminator: this.discriminator,
      yourDiscriminator: this.remoteDiscriminator,
      desiredMinTxUs: Math.round(this.txMs() * 1000),
      requiredMinRxUs: 0,
      requiredMinEchoRxUs: 0,
    };
  }

  protected override txMs(): number {
    const { intervalUs } = this.timers;
    // A node that says AdminDown answers, and may fall silent: it is asked at the usual pace.
    const answers = this.current === SessionState.UP || this.remoteState === SessionState.ADMIN_DOWN;
    return Math.max(answers ? intervalUs : Math.max(intervalUs, SLOW_US), this.#remoteMinRxUs) / 1000;
  }

  protected override detectionMs(): number {
    return this.timers.multiplier * this.txMs();
  }
}
