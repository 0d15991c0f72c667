/**
 * One BFD session in asynchronous mode, active role (RFC 5880 section 6). No clock, no socket: the time comes with each
 * call, in milliseconds of any monotonic clock, and packets go in and out as values.
 *
 * Demand mode is refused: `demand` is never set, and a peer that sets it is sent packets all the same, so that it keeps what it
 * would otherwise have to ask for; its silence is a failure.
 */
import { type BfdPacket, Diagnostic, SessionState } from './packet.ts';
import { jittered, SessionBase, type SessionTimers, SLOW_US } from './session-base.ts';

export class BfdSession extends SessionBase {
  #remoteDiscriminator = 0;
  #remoteMinRxUs = 1;
  #remoteDesiredMinTxUs = 0;
  #remoteMultiplier = 0;
  #polling = false;
  /** In force until a poll sequence ends: what was announced before (RFC 5880 section 6.8.3). */
  #txUsUntilFinal: number | undefined;
  #rxUsUntilFinal: number | undefined;
  #lastTx = Number.NEGATIVE_INFINITY;

  /** A packet out of turn. */
  say(): BfdPacket {
    this.packetsSent++;
    return this.#packet({ poll: false, final: false });
  }

  /** Other timers; while Up they are agreed on by a poll sequence. */
  setTimers(timers: SessionTimers, now: number): void {
    if (this.hasTimers(timers)) return;
    const { intervalUs } = this.timers;
    const txUs = this.#txIntervalUs();
    const rxUs = this.#rxUs();
    this.timers = timers;
    if (this.current !== SessionState.UP) return;
    if (timers.intervalUs > intervalUs) this.#txUsUntilFinal = txUs;
    if (timers.intervalUs < intervalUs) this.#rxUsUntilFinal = rxUs;
    this.#polling = true;
    this.nextTx = now;
  }

  /** Administratively down, or up again (RFC 5880 section 6.8.16). The peer is told by the next `run`. */
  setAdminDown(down: boolean, now: number): void {
    if (down === (this.current === SessionState.ADMIN_DOWN)) return;
    if (down) this.become(SessionState.ADMIN_DOWN, Diagnostic.ADMIN_DOWN, now);
    else this.become(SessionState.DOWN, Diagnostic.NONE, now);
    this.nextTx = now;
  }

  /** A packet of this session (RFC 5880 section 6.8.6), decoded. What is to be sent at once: the answer to a poll. */
  receive(packet: BfdPacket, now: number): BfdPacket | undefined {
    this.packetsReceived++;
    this.#remoteDiscriminator = packet.myDiscriminator;
    this.remoteState = packet.state;
    this.remoteDiagnostic = packet.diagnostic;
    this.#remoteMinRxUs = packet.requiredMinRxUs;
    this.#remoteDesiredMinTxUs = packet.desiredMinTxUs;
    this.#remoteMultiplier = packet.multiplier;
    if (packet.final && this.#polling) {
      this.#polling = false;
      this.#txUsUntilFinal = undefined;
      this.#rxUsUntilFinal = undefined;
    }
    this.detectAt = now + this.detectionMs();
    if (this.current !== SessionState.ADMIN_DOWN) this.#follow(packet.state, now);
    this.#hurry(now);
    if (!packet.poll) return undefined;
    this.packetsSent++;
    return this.#packet({ poll: false, final: true });
  }

  /** What the time asks for: the packet to send now, if one is due. */
  run(now: number): BfdPacket | undefined {
    if (now >= this.detectAt) this.#expire(now);
    if (now < this.nextTx) return undefined;
    if (this.#remoteMinRxUs === 0) {
      // The peer wants none; what it sends may change that.
      this.nextTx = Number.POSITIVE_INFINITY;
      return undefined;
    }
    this.#lastTx = now;
    this.nextTx = now + jittered(this.txMs(), this.timers.multiplier, this.random);
    this.packetsSent++;
    return this.#packet({ poll: this.#polling, final: false });
  }

  /** The state machine of section 6.2, by what the peer says of itself. */
  #follow(remote: SessionState, now: number): void {
    const { DOWN, INIT, UP, ADMIN_DOWN } = SessionState;
    const state = this.current;
    if (remote === ADMIN_DOWN) {
      if (state !== DOWN) this.become(DOWN, Diagnostic.NEIGHBOUR_DOWN, now);
    } else if (state === DOWN) {
      if (remote === DOWN) this.become(INIT, this.diagnostic, now);
      else if (remote === INIT) this.become(UP, Diagnostic.NONE, now);
    } else if (state === INIT) {
      if (remote === INIT || remote === UP) this.become(UP, Diagnostic.NONE, now);
    } else if (remote === DOWN) {
      this.become(DOWN, Diagnostic.NEIGHBOUR_DOWN, now);
    }
  }

  protected override become(state: SessionState, diagnostic: number, now: number): void {
    super.become(state, diagnostic, now);
    // The interval that is announced changes with it: with Up, the configured one is agreed on.
    this.#polling = state === SessionState.UP && this.timers.intervalUs < SLOW_US;
    this.#txUsUntilFinal = undefined;
    this.#rxUsUntilFinal = undefined;
    this.nextTx = now;
  }

  #expire(now: number): void {
    this.detectAt = Number.POSITIVE_INFINITY;
    this.#remoteDiscriminator = 0;
    this.remoteState = SessionState.DOWN;
    this.#remoteMinRxUs = 1;
    if (this.current !== SessionState.INIT && this.current !== SessionState.UP) return;
    if (this.current === SessionState.UP) this.timesExpired++;
    this.become(SessionState.DOWN, Diagnostic.EXPIRED, now);
  }

  /** The peer may ask for more than what is under way: not later than its interval allows. */
  #hurry(now: number): void {
    if (this.#remoteMinRxUs === 0) return;
    const latest = Math.max(now, this.#lastTx + this.txMs());
    if (this.nextTx > latest) this.nextTx = latest;
  }

  #announcedTxUs(): number {
    const { intervalUs } = this.timers;
    return this.current === SessionState.UP ? intervalUs : Math.max(intervalUs, SLOW_US);
  }

  #txIntervalUs(): number {
    return Math.max(this.#txUsUntilFinal ?? this.#announcedTxUs(), this.#remoteMinRxUs);
  }

  #rxUs(): number {
    return this.#rxUsUntilFinal ?? this.timers.intervalUs;
  }

  protected override txMs(): number {
    return this.#txIntervalUs() / 1000;
  }

  /** Section 6.8.4, asynchronous mode. */
  protected override detectionMs(): number {
    return (this.#remoteMultiplier * Math.max(this.#rxUs(), this.#remoteDesiredMinTxUs)) / 1000;
  }

  #packet(bits: { readonly poll: boolean; readonly final: boolean }): BfdPacket {
    return {
      ...bits,
      diagnostic: this.diagnostic,
      state: this.current,
      controlPlaneIndependent: false,
      demand: false,
      multiplier: this.timers.multiplier,
      myDiscriminator: this.discriminator,
      yourDiscriminator: this.#remoteDiscriminator,
      desiredMinTxUs: this.#announcedTxUs(),
      requiredMinRxUs: this.timers.intervalUs,
      requiredMinEchoRxUs: 0,
    };
  }
}
