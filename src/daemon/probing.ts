/**
 * What probes say of nodes: which nodes are probed, how, and when a session's state becomes a node's. No clock but the one given,
 * no thread: the policy alone.
 *
 * A node is down when its session was up and nothing came for the detection time; when its peer says that it does not hear us;
 * and when nothing came since it is probed, for `restart-hold`. Until then it is what it was (a daemon that was just started knows
 * nothing). Who says AdminDown is what it was: it stopped on purpose, and its data plane goes on. Who begins anew without that
 * (a daemon that was killed and started) has `restart-hold` to come up.
 */
import { Diagnostic, nodeDiscriminator, type ProbeKind, SessionState, type SessionStatus } from '../bfd/index.ts';
import type { Peer } from '../compiler/index.ts';
import type { TableNode } from '../table/index.ts';
import { mappedBytes } from '../table/index.ts';
import type { ProbeSpec } from './probe-runner.ts';

/** For nodes of which the table says nothing else. */
export interface ProbeDefaults {
  readonly kind: 'none' | ProbeKind;
  readonly intervalMs: number;
  readonly multiplier: number;
}

/** How a node is to be probed; undefined: not at all. A foreign node only when the table says so. */
export function probeOf(node: TableNode, defaults: ProbeDefaults): ProbeDefaults | undefined {
  const { probe } = node;
  const kind = probe?.kind ?? (node.kind === 'foreign' ? 'none' : defaults.kind);
  if (kind === 'none') return undefined;
  return {
    kind,
    intervalMs: probe?.intervalMs ?? defaults.intervalMs,
    multiplier: probe?.multiplier ?? defaults.multiplier,
  };
}

/** The nodes of a table that are probed where they share a network with this one. */
export function probedNodes(nodes: Iterable<TableNode>, self: string, defaults: ProbeDefaults): Set<string> {
  const probed = new Set<string>();
  for (const node of nodes) if (node.id !== self && probeOf(node, defaults) !== undefined) probed.add(node.id);
  return probed;
}

/** A session for each peer that is to be probed, whatever number of ports it has. */
export function sessionsOf(
  peers: Iterable<Peer>,
  nodes: ReadonlyMap<string, TableNode>,
  defaults: ProbeDefaults,
): ProbeSpec[] {
  const specs: ProbeSpec[] = [];
  for (const { node, remote, local } of peers) {
    const found = nodes.get(node);
    const probe = found === undefined ? undefined : probeOf(found, defaults);
    if (probe === undefined || probe.kind === 'none' || remote === undefined || local === undefined) continue;
    specs.push({
      id: node,
      kind: probe.kind,
      remote: mappedBytes(remote),
      local: mappedBytes(local),
      intervalUs: probe.intervalMs * 1000,
      multiplier: probe.multiplier,
      ...(probe.kind === 's-bfd' && { remoteDiscriminator: nodeDiscriminator(node) }),
    });
  }
  return specs;
}

export interface ProbingOptions {
  readonly restartHoldMs: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly say: (node: string, state: 'up' | 'down') => void;
}

interface Probed {
  readonly kind: ProbeKind;
  /** When it is down unless it comes up; Infinity: nobody waits. */
  holdUntil: number;
  /** It said AdminDown, and nothing else since. */
  quiet: boolean;
  /** It was up since it is probed. */
  wasUp: boolean;
}

export class Probing {
  readonly #options: ProbingOptions;
  readonly #probed = new Map<string, Probed>();

  constructor(options: ProbingOptions) {
    this.#options = options;
  }

  /** The sessions that there are from now on. */
  set(specs: readonly { readonly id: string; readonly kind: ProbeKind }[]): void {
    const wanted = new Map(specs.map(({ id, kind }) => [id, kind]));
    for (const [id, { kind }] of this.#probed) if (wanted.get(id) !== kind) this.#probed.delete(id);
    for (const [id, kind] of wanted) {
      if (this.#probed.has(id)) continue;
      this.#probed.set(id, { kind, holdUntil: Number.POSITIVE_INFINITY, quiet: false, wasUp: false });
    }
  }

  has(node: string): boolean {
    return this.#probed.has(node);
  }

  /** A session's state changed. */
  report(node: string, status: SessionStatus): void {
    const probed = this.#probed.get(node);
    if (probed === undefined) return;
    const { state, remoteState, diagnostic, remoteDiagnostic } = status;
    if (state === SessionState.UP) {
      probed.holdUntil = Number.POSITIVE_INFINITY;
      probed.quiet = false;
      probed.wasUp = true;
      this.#options.say(node, 'up');
      return;
    }
    if (remoteState === SessionState.ADMIN_DOWN) {
      probed.holdUntil = Number.POSITIVE_INFINITY;
      probed.quiet = true;
      return;
    }
    if (state === SessionState.INIT) {
      probed.quiet = false;
      this.#hold(probed);
      return;
    }
    // The data plane of another node of ours does not stop with its daemon: its silence is always a failure.
    if (probed.quiet && probed.kind === 'bfd') return;
    const silent = diagnostic === Diagnostic.EXPIRED || probed.quiet;
    const deaf = diagnostic === Diagnostic.NEIGHBOUR_DOWN && remoteDiagnostic === Diagnostic.EXPIRED;
    if (probed.wasUp && (silent || deaf)) this.#down(node, probed);
    else this.#hold(probed);
  }

  /** When `tick` has something to do. */
  get due(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { holdUntil } of this.#probed.values()) due = Math.min(due, holdUntil);
    return due;
  }

  /** Those that did not come up in time. */
  tick(): void {
    const now = this.#options.now();
    for (const [node, probed] of this.#probed) if (probed.holdUntil <= now) this.#down(node, probed);
  }

  #hold(probed: Probed): void {
    if (probed.holdUntil === Number.POSITIVE_INFINITY) {
      probed.holdUntil = this.#options.now() + this.#options.restartHoldMs;
    }
  }

  #down(node: string, probed: Probed): void {
    probed.holdUntil = Number.POSITIVE_INFINITY;
    probed.quiet = false;
    this.#options.say(node, 'down');
  }
}
