/** A frame from the underlay: packet-rules.md §3, rule by rule. */
import type { TableNode } from '../table/model.ts';
import { announcedPort, heeding } from './announcement.ts';
import { parseOuter, type Tunnel } from './decap.ts';
import { combineEcn } from './ecn.ts';
import type { Parsed } from './finish.ts';
import { describe, unparsed } from './from-port.ts';
import { fromWire } from './from-wire.ts';
import { isBehind } from './guard-remote.ts';
import { forwardInner } from './inner-frame.ts';
import { forwardInnerPacket, framedPacket, sourceOfPacket } from './inner-packet.ts';
import { isLinkControl, missing, parseEthernet, parseLayer3, skipTags } from './parse.ts';
import { reflect } from './probe.ts';
import { type Decision, drop, isIp, left, type Run, stack } from './run.ts';
import type { Device } from './types.ts';

export function fromUnderlay(run: Run): Decision {
  const { world, trace } = run;
  const link = world.underlayLink(run.device);
  if (link.state !== 'found') {
    trace.note('3', `is ${run.device} an underlay device?`, 'no');
    return stack();
  }
  const outer = parseOuter(run, link.value);
  switch (outer.kind) {
    case 'not-ours':
      trace.note('3.1', 'a tunnel packet for this node?', `no: ${outer.why}`);
      return world.hasEncap('flat') ? fromWire(run, link.value) : stack();
    case 'not-in-first-buffer':
      trace.note('5', 'are all headers in the first buffer?', 'no: left to TC');
      return left();
    case 'problem':
      trace.note(outer.reason === 'outer-malformed' ? '3.2' : '3.3', 'is the outer header sane?', `no: ${outer.why}`);
      return drop(outer.reason);
    case 'probe':
      return reflect(run, link.value, outer);
    case 'tunnel':
      trace.note('3.1–3', 'a tunnel packet for this node?', `${outer.encap} from ${outer.source}`);
      return fromTunnel(run, link.value, outer);
  }
}

/** Rules 3.4 and 3.5. */
function fromTunnel(run: Run, from: Device, outer: Tunnel): Decision {
  const { world, trace } = run;
  const network = world.networkOfSegment(outer.encap, outer.segment);
  const asked = `network of ${outer.encap} segment ${outer.segment}`;
  trace.note('3.4', asked, network.state === 'found' ? network.value : network.state);
  if (network.state === 'stale') return drop('stale');
  if (network.state === 'missing') {
    return world.environment.unknownSegment === 'stack' ? stack() : drop('unknown-segment');
  }
  const owner = world.ownerOfAddress(outer.source);
  if (owner.state === 'stale') {
    trace.note('3.5', `node of ${outer.source}`, 'stale');
    return drop('stale', network.value);
  }
  const node = owner.state === 'found' && owner.value.kind === 'node' ? owner.value.node : undefined;
  trace.note('3.5', `node of ${outer.source}`, node?.id ?? 'none');
  if (node === undefined || world.isSelf(node.id)) return drop('unknown-node', network.value);
  const { payload } = outer;
  const inner: Run = { ...run, tag: undefined, frame: outer.ipOnly ? framedPacket(payload) : payload };
  return fromNode(inner, from, network.value, node, outer, run.frame.end !== payload.end);
}

/** Rules 3.6 to 3.8; `padded`: the outer frame holds bytes behind what the tunnel carries. */
function fromNode(run: Run, from: Device, network: string, node: TableNode, outer: Tunnel, padded: boolean): Decision {
  const { world, trace } = run;
  // a network that carries tags says so in its entry
  if (world.hasTransparent() && world.network(network).state !== 'found') return drop('stale', network);
  const parsed = outer.ipOnly ? parsePacket(run, network) : parseFrame(run, network);
  if ('record' in parsed) return parsed;
  const { ethernet, layer3 } = parsed;
  const title = outer.ipOnly ? 'inner packet' : `inner frame ${ethernet.source} > ${ethernet.destination}`;
  trace.note('3.6', title, describe(layer3));
  if (run.gsoSize > 0) {
    const whole = !padded && (!isIp(layer3) || layer3.offset + layer3.length === run.frame.end);
    if (!whole) return drop('outer-malformed', network);
    if (!isIp(layer3) || layer3.layer4?.kind !== 'tcp') return drop('nested-gso', network);
  }

  const ecn = isIp(layer3) ? combineEcn(outer.ecn, layer3.ecn) : 0;
  const innerEcn = isIp(layer3) ? layer3.ecn : '-';
  trace.note('3.7', `outer ECN ${outer.ecn}, inner ${innerEcn}`, ecn === undefined ? 'drop' : String(ecn));
  if (ecn === undefined) return drop('ecn', network);

  const guarded = world.environment.guard !== 'off' && node.guard !== 'off';
  if (outer.ipOnly) {
    const source = sourceOfPacket(run, network, node, guarded, parsed);
    if (typeof source === 'string') return drop(source, network);
    return forwardInnerPacket({ run, from, network, parsed, ecn }, source);
  }
  if (guarded) {
    const behind = isBehind(run, network, ethernet.source, node);
    trace.note('3.8', `is ${ethernet.source} behind ${node.id}?`, String(behind));
    if (behind === 'stale') return drop('stale', network);
    if (!behind) return drop('guard-remote', network);
  }
  const entry = world.network(network);
  const heard = entry.state === 'found' ? announcedPort(run, entry.value.network, parsed, node.id) : undefined;
  return heeding(run, heard, (later) => forwardInner({ run: later, from, network, parsed, ecn }));
}

function parseFrame(run: Run, network: string): Parsed | Decision {
  const outermost = parseEthernet(run.frame);
  if (typeof outermost === 'string') return unparsed(run, '3.6', outermost, network);
  if (isLinkControl(outermost)) return drop('link-control', network);
  if (outermost.groupSource) return drop('source-multicast', network);
  if (outermost.tagged && !run.world.isTransparent(network)) return drop('tagged', network);
  const ethernet = outermost.tagged ? skipTags(run.frame, outermost, 0) : outermost;
  if (typeof ethernet === 'string') return unparsed(run, '3.6', ethernet, network);
  const layer3 = parseLayer3(run.frame, ethernet);
  return typeof layer3 === 'string' ? unparsed(run, '3.6', layer3, network) : { ethernet, layer3 };
}

/** Of a packet without Ethernet: its frame has an EtherType by its version, 0 for a version that is none. */
function parsePacket(run: Run, network: string): Parsed | Decision {
  const ethernet = parseEthernet(run.frame);
  if (typeof ethernet === 'string') return unparsed(run, '3.6', ethernet, network);
  const layer3 = parseLayer3(run.frame, ethernet);
  if (typeof layer3 === 'string') return unparsed(run, '3.6', layer3, network);
  if (isIp(layer3)) return { ethernet, layer3 };
  return unparsed(run, '3.6', missing(run.frame, ethernet.payload, 1) ?? 'malformed', network);
}
