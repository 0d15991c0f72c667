/** Copies for a whole network: packet-rules.md rules 2.9, 3.9 and 3.11. XDP makes none. */

import type { TableNetwork } from '../table/model.ts';
import type { Inner } from './inner.ts';
import { type Decision, drop, left, type Run } from './run.ts';
import { chooseHop, needsChecksum, send } from './send.ts';
import type { OutputFrame } from './types.ts';
import type { FloodMembers, FloodTarget, LocalPort } from './world.ts';

/** Members of a list that one run of the program serves. */
const MEMBERS_PER_RUN = 256;

export interface Flood {
  readonly network: TableNetwork;
  /** The frame as local ports get it. */
  readonly frame: Uint8Array;
  /** Sender that gets no copy; undefined when the frame came from the underlay. */
  readonly sender: string | undefined;
  /** What goes to other nodes; undefined: local ports only (split horizon). */
  readonly inner: Inner | undefined;
  /** A local port that this refuses gets no copy. */
  readonly fits: (local: LocalPort) => boolean;
  readonly rule: string;
}

/** The outputs are the copies of all runs, `copies` counts those of the first. */
export function flood(run: Run, request: Flood): Decision {
  const { world, trace } = run;
  const { id } = request.network;
  if (run.hook === 'xdp') {
    trace.note('5', 'a flood?', 'left to TC');
    return left();
  }
  const list = world.flood(id);
  if (list.state === 'stale') return drop('stale', id);
  const made = list.state === 'found' ? copiesFor(run, request, list.value) : [];
  const outputs = made.filter((copy) => copy !== undefined);
  const copies = made.slice(0, MEMBERS_PER_RUN).filter((copy) => copy !== undefined).length;
  trace.note(request.rule, `members of ${id}`, outputs.length === 1 ? '1 copy' : `${outputs.length} copies`);
  return { record: { verdict: 'flood', reason: 'none', network: id, copies }, outputs };
}

/** One a member of the list, in its order. */
function copiesFor(run: Run, request: Flood, members: FloodMembers): (OutputFrame | undefined)[] {
  const { sender, inner } = request;
  const here = members.ports.map(({ port, own }) =>
    port === sender || (own && sender === undefined) ? undefined : copyForPort(run, request, port),
  );
  if (inner === undefined) return here;
  return [...here, ...members.targets.map(({ to, segment }) => copyForTarget(run, request, inner, to, segment))];
}

function copyForPort(run: Run, request: Flood, port: string): OutputFrame | undefined {
  const local = run.world.local(port);
  const entry = run.world.port(port);
  const reached = entry.state === 'found' && entry.value.state !== 'down' && run.world.isActiveHere(entry.value);
  const ready = local.state === 'found' && reached && request.fits(local.value);
  run.trace.note(request.rule, `copy for ${port}`, ready ? local.value.device.name : 'none: not ready');
  if (!ready) return undefined;
  const tag = request.sender === undefined ? undefined : run.tag?.tci;
  return { device: local.value.device.name, frame: request.frame, ...(tag !== undefined && { tag }) };
}

function copyForTarget(
  run: Run,
  { network, rule }: Flood,
  inner: Inner,
  to: FloodTarget,
  segment: number,
): OutputFrame | undefined {
  const asked = `copy for ${describe(to)}`;
  const entry = run.world.target(to);
  const hop = entry.state === 'found' && entry.value.state !== 'down' ? chooseHop(entry.value, inner.hash) : undefined;
  if (entry.state !== 'found' || hop === undefined) {
    run.trace.note(rule, asked, 'none: not ready');
    return undefined;
  }
  if (run.gsoSize > 0 && needsChecksum(network, entry.value)) {
    run.trace.note(rule, asked, 'none: a super-packet, and it asks for checksums');
    return undefined;
  }
  run.trace.note(rule, asked, `${hop.device}, segment ${segment}`);
  return send(run, network, entry.value, hop, segment, inner);
}

function describe(to: FloodTarget): string {
  if (to.kind === 'wire') return 'the wire';
  return to.kind === 'group' ? `group ${to.address}` : `node ${to.node}`;
}
