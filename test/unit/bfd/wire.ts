/** Machines on a wire, and a clock that is told what time it is. */
import {
  decodePacket,
  encodePacket,
  type Incoming,
  type Outgoing,
  ProbeMachine,
  type SessionSpec,
  type SessionState,
  type SessionStatus,
} from '../../../src/bfd/index.ts';

export const DELAY_MS = 1;

/** From 0 to below 1, the same for a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const address = (n: number) => new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, n]);

export interface Change {
  readonly at: number;
  readonly host: number;
  readonly id: string;
  readonly status: SessionStatus;
}

interface Flying {
  readonly at: number;
  readonly to: number;
  readonly packet: Incoming;
  readonly port: number;
}

export class Wire {
  now = 0;
  readonly changes: Change[] = [];
  readonly sent: { readonly at: number; readonly from: number; readonly packet: Outgoing }[] = [];
  readonly machines: (ProbeMachine | undefined)[] = [];
  /** Hosts whose data plane reflects: discriminator and state by host. */
  readonly reflectors = new Map<number, { discriminator: number; state: SessionState }>();
  /** Whether a packet gets there. */
  passes: (from: number, to: number) => boolean = () => true;
  readonly #flying: Flying[] = [];
  readonly #random: () => number;

  constructor(hosts: number, seed = 1, hops = 1) {
    this.#random = seeded(seed);
    for (let host = 0; host < hosts; host++) this.start(host, hops);
  }

  start(host: number, hops = 1): ProbeMachine {
    const machine = new ProbeMachine({
      now: this.now,
      hops,
      random: this.#random,
      send: (_id, packet) => this.#send(host, packet),
      changed: (id, status) => this.changes.push({ at: this.now, host, id, status }),
    });
    this.machines[host] = machine;
    return machine;
  }

  spec(to: number, more: Partial<SessionSpec> = {}): SessionSpec {
    return { id: `n${to}`, kind: 'bfd', remote: address(to), intervalUs: 100_000, multiplier: 3, ...more };
  }

  state(host: number, id: string): SessionState | undefined {
    return this.machines[host]?.status(id)?.state;
  }

  #send(from: number, packet: Outgoing): void {
    this.sent.push({ at: this.now, from, packet });
    const to = packet.remote[15] as number;
    if (!this.passes(from, to)) return;
    const incoming: Incoming = { kind: packet.kind, remote: address(from), ttl: 255, payload: packet.payload };
    this.#flying.push({ at: this.now + DELAY_MS, to, packet: incoming, port: packet.port });
  }

  #arrive(to: number, packet: Incoming, port: number): void {
    const reflector = this.reflectors.get(to);
    if (port !== 7784) {
      this.machines[to]?.receive(packet, this.now);
      return;
    }
    const asked = decodePacket(packet.payload);
    const from = packet.remote[15] as number;
    if (reflector === undefined || typeof asked === 'string' || !this.passes(to, from)) return;
    if (asked.yourDiscriminator !== reflector.discriminator || !asked.demand) return;
    const payload = encodePacket({
      ...asked,
      state: reflector.state,
      demand: false,
      diagnostic: 0,
      myDiscriminator: asked.yourDiscriminator,
      yourDiscriminator: asked.myDiscriminator,
    });
    this.#flying.push({
      at: this.now + DELAY_MS,
      to: from,
      packet: { kind: 's-bfd', remote: address(to), ttl: 255, payload },
      port: 0,
    });
  }

  /** Lets time pass, event by event. */
  until(time: number): void {
    for (;;) {
      const arrival = this.#flying.reduce((least, { at }) => Math.min(least, at), Number.POSITIVE_INFINITY);
      const due = this.machines.reduce((least, machine) => Math.min(least, machine?.due ?? 1 / 0), 1 / 0);
      const next = Math.min(arrival, due);
      if (next > time) break;
      this.now = Math.max(this.now, next);
      for (let i = 0; i < this.#flying.length; ) {
        const one = this.#flying[i] as Flying;
        if (one.at > this.now) i++;
        else {
          this.#flying.splice(i, 1);
          this.#arrive(one.to, one.packet, one.port);
        }
      }
      for (const machine of this.machines) machine?.run(this.now);
    }
    this.now = time;
  }

  pass(milliseconds: number): void {
    this.until(this.now + milliseconds);
  }
}
