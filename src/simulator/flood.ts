/** Copies for a whole network: packet-rules.md rules 2.9 and 3.9. XDP makes none. */

import { encapsulate } from './encap.ts';
import { type Decision, drop, left, type Run } from './run.ts';
import type { OutputFrame, ReasonName } from './types.ts';
import type { LocalPort } from './world.ts';

export interface Flood {
  readonly network: string;
  /** The inner frame as members get it. */
  readonly inner: Uint8Array;
  /** Sender that gets no copy; undefined when the frame came from the underlay. */
  readonly sender: string | undefined;
  /** ECN and flow hash for the outer headers; undefined: local ports only (split horizon). */
  readonly outer: { readonly ecn: number; readonly hash: number } | undefined;
  /** A local port that this refuses gets no copy. */
  readonly fits: (local: LocalPort) => boolean;
  readonly rule: string;
}

export function flood(run: Run, request: Flood): Decision {
  const { world, trace } = run;
  if (run.hook === 'xdp') {
    trace.note('5', 'a flood?', 'left to TC');
    return left();
  }
  const list = world.flood(request.network);
  if (list.state === 'stale') return drop('stale', request.network);
  const outputs: OutputFrame[] = [];
  if (list.state === 'found') {
    for (const port of list.value.ports) {
      if (port === request.sender) continue;
      const copy = copyForPort(run, request, port);
      if (copy !== undefined) outputs.push(copy);
    }
    if (request.outer !== undefined) {
      for (const { node, segment } of list.value.nodes) {
        const copy = copyForNode(run, request, node, segment);
        if (copy !== undefined) outputs.push(copy);
      }
    }
  }
  trace.note(request.rule, `members of ${request.network}`, `${outputs.length} copies`);
  const reason: ReasonName = 'none';
  return { record: { verdict: 'flood', reason, network: request.network, copies: outputs.length }, outputs };
}

function copyForPort(run: Run, request: Flood, port: string): OutputFrame | undefined {
  const local = run.world.local(port);
  const ready = local.state === 'found' && run.world.port(port).state === 'found' && request.fits(local.value);
  run.trace.note(request.rule, `copy for ${port}`, ready ? local.value.device.name : 'none: not ready');
  return ready ? { device: local.value.device.name, frame: request.inner } : undefined;
}

function copyForNode(run: Run, request: Flood, node: string, segment: number): OutputFrame | undefined {
  const entry = run.world.node(node);
  if (entry.state !== 'found' || entry.value.down || entry.value.nextHop === undefined) {
    run.trace.note(request.rule, `copy for node ${node}`, 'none: not ready');
    return undefined;
  }
  const { nextHop, local, remote } = entry.value;
  run.trace.note(request.rule, `copy for node ${node}`, `${nextHop.device}, segment ${segment}`);
  const frame = encapsulate(request.inner, {
    destinationMac: nextHop.destination,
    sourceMac: nextHop.source,
    source: local,
    destination: remote,
    ...request.outer!,
    port: run.world.environment.vxlanPort,
    segment,
  });
  return { device: nextHop.device, frame };
}
