/** What the API tells, as plain data: the table joined with what the kernel holds. */
import {
  diagnosticName,
  type ProbeKind,
  SessionState,
  type SessionStatus,
  type StateName,
  stateName,
} from '../bfd/index.ts';
import type { Plan } from '../compiler/index.ts';
import type { Dataplane, DataplaneStatus, NextHopWay, TrafficCount } from '../dataplane/index.ts';
import type { SourceStatus } from '../sources/index.ts';
import { hasLocator, type NodeState, type TablePort, viewOf } from '../table/index.ts';
import type { Applier } from './applier.ts';
import type { Liveness, Standing, StateSource } from './liveness.ts';
import type { ProbesLook } from './probes.ts';

export type DaemonState = 'waiting' | 'applying' | 'ready' | 'failing';

export interface StatusView {
  readonly version: string;
  readonly pid: number;
  readonly node: string;
  readonly state: DaemonState;
  /** null: there is none yet. */
  readonly revision: { readonly table: number | null; readonly applied: number | null };
  readonly sources: readonly SourceStatus[];
  readonly ports: { readonly table: number; readonly local: number; readonly attached: number };
  readonly lastApply: {
    readonly revision: number;
    readonly total: number;
    readonly writes: Readonly<Record<string, number>>;
    readonly milliseconds: number;
    readonly switched: string | null;
  } | null;
  /** Why the wanted table is not in force. */
  readonly failure: string | null;
  /** Nodes that are not simply up: of those that a command, a table or a probe says something of. */
  readonly nodes: readonly NodeStateView[];
  readonly dataplane: DataplaneStatus;
}

/** The state of a node and where it comes from. */
export interface StandingView {
  readonly state: NodeState;
  readonly by: StateSource;
  /** When a node that waits returns, ISO 8601; null: by hand, or it does not wait. */
  readonly until: string | null;
}

export interface NodeStateView extends StandingView {
  readonly node: string;
}

export function standingView({ state, by, until }: Standing): StandingView {
  return { state, by, until: until === undefined ? null : new Date(until).toISOString() };
}

/** `down (by command)` */
export function standingText({ state, by, until }: StandingView): string {
  if (by === 'default') return state;
  if (by !== 'return') return `${state} (by ${by})`;
  return `${state} (returns ${until === null ? 'by `mapwire node up`' : `at ${until}`})`;
}

function nodeStates(liveness: Liveness): NodeStateView[] {
  return liveness
    .named()
    .map((node) => ({ node, ...standingView(liveness.standing(node)) }))
    .filter(({ by }) => by !== 'default')
    .filter(({ state, by }) => state !== 'up' || by === 'command');
}

/** Everything the views look at. */
export interface Scene {
  readonly version: string;
  readonly node: string;
  readonly state: DaemonState;
  readonly tableRevision: number | undefined;
  readonly sources: readonly SourceStatus[];
  readonly applier: Applier;
  readonly liveness: Liveness;
  readonly plane: Dataplane;
}

export function statusView(scene: Scene): StatusView {
  const { applier, plane } = scene;
  const dataplane = plane.status();
  const last = applier.last;
  const failure = applier.failure;
  const devices = dataplane.devices.filter(({ role }) => role === 'port');
  return {
    version: scene.version,
    pid: process.pid,
    node: scene.node,
    state: scene.state,
    revision: { table: scene.tableRevision ?? null, applied: last?.revision ?? null },
    sources: scene.sources,
    ports: {
      table: applier.plan?.table.portCount ?? 0,
      local: applier.plan === undefined ? 0 : count(applier.plan.localPorts()),
      attached: devices.filter(({ hook }) => hook !== 'none').length,
    },
    lastApply:
      last === undefined
        ? null
        : {
            revision: last.revision,
            total: last.total,
            writes: last.writes,
            milliseconds: last.milliseconds,
            switched: last.switched ?? null,
          },
    failure: failure === undefined ? null : failure instanceof Error ? failure.message : String(failure),
    nodes: nodeStates(scene.liveness),
    dataplane,
  };
}

function count(items: Iterable<unknown>): number {
  let total = 0;
  for (const _ of items) total += 1;
  return total;
}

export interface PortView {
  readonly port: string;
  readonly network: string;
  readonly mac: string;
  readonly ips: readonly string[];
  /** `node:segment` of the locators that this node has, in the order in which it prefers them. */
  readonly at: readonly string[];
  /** `up`, `down` or `drain`. */
  readonly state: string;
  /** null: none was given. */
  readonly sequence: number | null;
  /** `NODE:SEGMENT, send both, activate announcement, heard`; null: it does not move. */
  readonly move: string | null;
  /** Balanced addresses that it serves. */
  readonly serves: readonly string[];
  readonly local: boolean;
  readonly interface: string | null;
  readonly hook: string | null;
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly drops: bigint;
}

/** Ports of the networks that this node takes part in. */
export function* portViews(plan: Plan, plane: Dataplane, heard: ReadonlySet<string>): Generator<PortView> {
  const networks = new Map([...plan.networks()].map((one) => [one.network, one.definition]));
  const serves = new Map<string, string[]>();
  for (const { id, members } of plan.table.addresses.values()) {
    for (const { port } of members) serves.set(port, [...(serves.get(port) ?? []), id]);
  }
  const devices = new Map(plane.status().devices.map((one) => [one.port, one]));
  const traffic = new Map<string | undefined, TrafficCount>(plane.traffic().map((one) => [one.port, one]));
  const self = plan.table.nodes.get(plan.node);
  if (self === undefined) return;
  for (const port of plan.table.ports()) {
    const network = networks.get(port.network);
    if (network === undefined) continue;
    const local = plan.localPort(port.id);
    const device = local === undefined ? undefined : devices.get(port.id);
    const counts = local === undefined ? undefined : traffic.get(port.id);
    yield {
      port: port.id,
      network: port.network,
      mac: port.mac,
      ips: port.ips,
      at: viewOf(port.at, self)
        .filter((one) => hasLocator(one, self) && one.pending !== true)
        .map((one) => `${one.node}:${one.segment ?? network.segment}`),
      state: port.state ?? 'up',
      sequence: port.sequence ?? null,
      move: moveText(port, network.segment, heard.has(port.id)),
      serves: serves.get(port.id) ?? [],
      local: local !== undefined,
      interface: local?.interface ?? null,
      hook: device?.hook ?? null,
      rxPackets: counts?.rxPackets ?? 0n,
      txPackets: counts?.txPackets ?? 0n,
      drops: counts?.drops ?? 0n,
    };
  }
}

function moveText({ at, move }: TablePort, segment: number, heard: boolean): string | null {
  const to = at.find(({ pending }) => pending);
  if (to === undefined || move === undefined) return null;
  const place = `${to.node}:${to.segment ?? segment}`;
  return `${place}, send ${move.send}, activate ${move.activate}${heard ? ', heard' : ''}`;
}

export interface NodeView {
  readonly node: string;
  readonly underlay: readonly string[];
  readonly self: boolean;
  /** Shares a network with this node. */
  readonly peer: boolean;
  readonly kind: string;
  /** Whether it is used, and who says so: `down (by command)`. */
  readonly state: string;
  /** In which the two speak: 4 or 6. */
  readonly family: number | null;
  readonly resolved: boolean | null;
  /** Of the first way in use. */
  readonly device: string | null;
  readonly via: string | null;
  readonly mac: string | null;
  /** `DEVICE via ADDRESS (MAC)`, those in use first; of others why they are not. */
  readonly ways: readonly string[];
  /** The largest outer packet that gets there, and, if a router told so, its word. */
  readonly mtu: number | null;
  readonly pathMtu: number | null;
  readonly why: string | null;
  /** How it is probed, and what came of it; all null: it is not. */
  readonly probe: ProbeKind | null;
  /** Of the session, as its peer is heard here: `up`, `init`, `down`, `admin-down`. */
  readonly session: StateName | null;
  /** What the peer says of itself. */
  readonly remoteSession: StateName | null;
  readonly diagnostic: string | null;
  /** Since when the session is so, ISO 8601. */
  readonly sessionSince: string | null;
  /** Milliseconds between packets, and after which silence is a failure. */
  readonly interval: number | null;
  readonly detection: number | null;
  /** Times that it failed. */
  readonly losses: number | null;
}

export function* nodeViews(plan: Plan, plane: Dataplane, liveness: Liveness, probes: ProbesLook): Generator<NodeView> {
  const hops = new Map(plane.status().nextHops.map((one) => [one.node, one]));
  for (const node of plan.table.nodes.values()) {
    const hop = hops.get(node.id);
    yield {
      node: node.id,
      underlay: node.underlay,
      self: node.id === plan.node,
      peer: plan.peer(node.id) !== undefined,
      kind: node.kind,
      state: standingText(standingView(liveness.standing(node.id))),
      family: hop?.family ?? null,
      resolved: hop?.resolved ?? null,
      device: hop?.device ?? null,
      via: hop?.via ?? null,
      mac: hop?.mac ?? null,
      ways: hop?.ways.map(wayText) ?? [],
      mtu: hop?.mtu ?? null,
      pathMtu: hop?.pathMtu ?? null,
      why: hop?.why ?? null,
      ...sessionView(probes.sessions.get(node.id)),
    };
  }
}

type SessionView = Pick<
  NodeView,
  'probe' | 'session' | 'remoteSession' | 'diagnostic' | 'sessionSince' | 'interval' | 'detection' | 'losses'
>;

const NO_SESSION: SessionView = {
  probe: null,
  session: null,
  remoteSession: null,
  diagnostic: null,
  sessionSince: null,
  interval: null,
  detection: null,
  losses: null,
};

function sessionView(one: { readonly kind: ProbeKind; readonly status: SessionStatus } | undefined): SessionView {
  if (one === undefined) return NO_SESSION;
  const { kind, status } = one;
  return {
    probe: kind,
    session: stateName(status.state),
    remoteSession: stateName(status.remoteState),
    diagnostic: diagnosticName(status.diagnostic),
    sessionSince: new Date(status.since).toISOString(),
    interval: status.txMs,
    detection: status.detectionMs,
    losses: status.expired,
  };
}

/** All sessions in figures. */
export interface ProbesView {
  readonly sessions: number;
  readonly up: number;
  readonly losses: number;
  readonly sent: number;
  readonly received: number;
  /** Packets that were not looked at: over too many hops, malformed, of no session. */
  readonly discarded: { readonly ttl: number; readonly malformed: number; readonly unknown: number };
  /** Packets that the kernel did not take, and why the last of them. */
  readonly unsent: number;
  readonly unsentWhy: string | null;
}

export function probesView({ sessions, totals }: ProbesLook): ProbesView {
  const all = [...sessions.values()].map(({ status }) => status);
  const sum = (value: (status: SessionStatus) => number) => all.reduce((total, one) => total + value(one), 0);
  return {
    sessions: totals.sessions,
    up: sum(({ state }) => (state === SessionState.UP ? 1 : 0)),
    losses: sum(({ expired }) => expired),
    sent: sum(({ sent }) => sent),
    received: sum(({ received }) => received),
    discarded: {
      ttl: totals.discardedTtl,
      malformed: totals.discardedMalformed,
      unknown: totals.discardedUnknown,
    },
    unsent: totals.unsent,
    unsentWhy: totals.unsentWhy ?? null,
  };
}

/** `eth0:30 via 192.0.2.254 (02:00:00:00:00:01)` */
export function wayText({ device, vlan, via, mac, why }: NextHopWay): string {
  const place = `${device ?? '?'}${vlan === 0 ? '' : `:${vlan}`} via ${via}`;
  return why === undefined ? `${place} (${mac})` : `${place}: ${why}`;
}

export interface NetworkView {
  readonly network: string;
  readonly encap: string;
  readonly segment: number;
  readonly mtu: number;
  readonly flood: string;
  /** The multicast group that it floods to. */
  readonly group: string | null;
  readonly unknown: string;
  readonly vlan: string;
  readonly ports: number;
  readonly localPorts: number;
  /** Its balanced addresses. */
  readonly addresses: readonly string[];
  readonly nodes: readonly string[];
}

export function* networkViews(plan: Plan): Generator<NetworkView> {
  const balanced = [...plan.table.addresses.values()];
  for (const { network, definition, mtu, ports, localPorts, nodes } of plan.networks()) {
    const { encap, segment, flood, group, unknown, vlan } = definition;
    const addresses = balanced.filter((address) => address.network === network).map(({ id }) => id);
    const rest = { unknown, vlan, ports, localPorts, addresses, nodes };
    yield { network, encap, segment, mtu, flood, group: group ?? null, ...rest };
  }
}
