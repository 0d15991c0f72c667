/** A frame from the underlay: packet-rules.md §3, rule by rule. */
import { parseOuter } from './decap.ts';
import { combineEcn, setEcn } from './ecn.ts';
import { finish, type Parsed } from './finish.ts';
import { flood } from './flood.ts';
import { describe, unparsed } from './from-port.ts';
import { isLinkControl, parseEthernet, parseLayer3 } from './parse.ts';
import { copyFrame, type Decision, drop, isIp, left, type Run, stack } from './run.ts';
import { layer3Length } from './size.ts';
import type { Device } from './types.ts';
import type { LocalPort, World } from './world.ts';

/** A decapsulated frame on its way. */
interface Inner {
  readonly run: Run;
  readonly from: Device;
  readonly network: string;
  readonly parsed: Parsed;
  /** ECN that the delivered packet gets. */
  readonly ecn: number;
}

export function fromUnderlay(run: Run): Decision {
  const { world, trace } = run;
  const link = world.underlayLink(run.device);
  if (link.state !== 'found') {
    trace.note('3', `is ${run.device} an underlay device?`, 'no');
    return stack();
  }
  if (run.metadataTag) {
    trace.note('3.1', 'for this node?', 'no: tagged');
    return stack();
  }
  const outer = parseOuter(run.frame, link.value.mac, world.self, world.environment.vxlanPort);
  switch (outer.kind) {
    case 'stack':
      trace.note('3.1', 'for this node?', `no: ${outer.why}`);
      return stack();
    case 'not-in-first-buffer':
      trace.note('5', 'are all headers in the first buffer?', 'no: left to TC');
      return left();
    case 'outer-malformed':
      trace.note('3.2', 'is the outer header sane?', `no: ${outer.why}`);
      return drop('outer-malformed');
    case 'tunnel-header':
      trace.note('3.3', 'is the I flag set?', 'no');
      return drop('tunnel-header');
  }
  const network = world.networkOfSegment(outer.segment);
  trace.note('3.4', `network of segment ${outer.segment}`, network.state === 'found' ? network.value : network.state);
  if (network.state === 'stale') return drop('stale');
  if (network.state === 'missing') {
    return world.environment.unknownSegment === 'stack' ? stack() : drop('unknown-segment');
  }
  const node = world.nodeOfAddress(outer.source);
  trace.note('3.5', `node of ${outer.source}`, node.state === 'found' ? node.value : node.state);
  if (node.state === 'stale') return drop('stale', network.value);
  if (node.state === 'missing' || world.isSelf(node.value)) return drop('unknown-node', network.value);
  const inner: Run = { ...run, frame: outer.inner };
  const padded = run.frame.end !== outer.inner.end;
  return fromNode(inner, link.value, network.value, node.value, outer.ecn, padded);
}

/** Rules 3.6 to 3.8: the inner frame, from a known node; `padded`: the outer frame holds bytes behind it. */
function fromNode(run: Run, from: Device, network: string, node: string, outerEcn: number, padded: boolean): Decision {
  const { trace } = run;
  const ethernet = parseEthernet(run.frame);
  if (typeof ethernet === 'string') return unparsed(run, '3.6', ethernet, network);
  if (isLinkControl(ethernet)) return drop('link-control', network);
  if (ethernet.groupSource) return drop('source-multicast', network);
  if (ethernet.tagged) return drop('tagged', network);
  const layer3 = parseLayer3(run.frame, ethernet);
  if (typeof layer3 === 'string') return unparsed(run, '3.6', layer3, network);
  trace.note('3.6', `inner frame ${ethernet.source} > ${ethernet.destination}`, describe(layer3));
  if (run.gsoSize > 0) {
    const { start, end } = run.frame;
    const whole = !padded && (!isIp(layer3) || start + 14 + layer3.length === end);
    if (!whole) return drop('outer-malformed', network);
    if (!isIp(layer3) || layer3.layer4?.kind !== 'tcp') return drop('nested-gso', network);
  }

  const ecn = isIp(layer3) ? combineEcn(outerEcn, layer3.ecn) : 0;
  trace.note(
    '3.7',
    `outer ECN ${outerEcn}, inner ${isIp(layer3) ? layer3.ecn : '-'}`,
    ecn === undefined ? 'drop' : String(ecn),
  );
  if (ecn === undefined) return drop('ecn', network);

  if (run.world.environment.guard !== 'off') {
    const behind = isBehind(run, network, ethernet.source, node);
    trace.note('3.8', `is ${ethernet.source} behind ${node}?`, String(behind));
    if (behind === 'stale') return drop('stale', network);
    if (!behind) return drop('guard-remote', network);
  }
  return forwardInner({ run, from, network, parsed: { ethernet, layer3 }, ecn });
}

/** Does a port that may send from this MAC have a place on that node, or had one a moment ago? */
function isBehind({ world }: Run, network: string, mac: string, node: string): boolean | 'stale' {
  const owner = world.portOfMac(network, mac);
  if (owner.state === 'stale') return 'stale';
  if (owner.state === 'found') {
    const at = isAt(world, owner.value, node);
    if (at !== false) return at;
  }
  const shared = world.portsOfSourceMac(network, mac);
  if (shared.state === 'stale') return 'stale';
  if (shared.state === 'missing') return false;
  for (const port of shared.value) {
    const at = isAt(world, port, node);
    if (at !== false) return at;
  }
  return false;
}

function isAt(world: World, id: string, node: string): boolean | 'stale' {
  const port = world.port(id);
  if (port.state !== 'found') return port.state === 'stale' ? 'stale' : false;
  if (port.value.at.some((at) => at.node === node)) return true;
  const former = world.environment.former.get(id);
  return former !== undefined && former.node === node && !former.past;
}

/** Rules 3.9 and 3.10. */
function forwardInner(inner: Inner): Decision {
  const { run, network: id, parsed } = inner;
  const { world, trace } = run;
  const network = world.network(id);
  if (network.state !== 'found') return drop('stale', id);
  const { ethernet } = parsed;
  if (ethernet.group) {
    if (network.value.network.flood === 'replicate') return floodLocally(inner);
    trace.note('3.9', `flood of ${id}`, network.value.network.flood);
    return drop('flood-off', id);
  }
  const target = world.portOfMac(id, ethernet.destination);
  trace.note('3.9', `(${id}, ${ethernet.destination})`, target.state === 'found' ? target.value : target.state);
  if (target.state === 'stale') return drop('stale', id);
  if (target.state === 'missing') {
    return network.value.network.unknown === 'flood' ? floodLocally(inner) : drop('unknown-unicast', id);
  }
  const port = world.port(target.value);
  if (port.state !== 'found') return drop('stale', id);
  if (!port.value.at.some((at) => world.isSelf(at.node))) return drop('not-local', id);
  const local = world.local(target.value);
  trace.note('3.9', `interface of ${target.value}`, local.state === 'found' ? local.value.device.name : local.state);
  if (local.state === 'stale') return drop('stale', id);
  if (local.state === 'missing') return drop('no-interface', id);
  return deliver(inner, local.value);
}

function fits({ run, parsed }: Inner, { device }: LocalPort): boolean {
  const length = layer3Length(run.frame, parsed.layer3, run.gsoSize);
  run.trace.note(
    '3.9',
    `${length} bytes in ${device.name}'s MTU of ${device.mtu}?`,
    length <= device.mtu ? 'fits' : 'too big',
  );
  return length <= device.mtu;
}

function deliver(inner: Inner, local: LocalPort): Decision {
  const { run, parsed, network } = inner;
  if (!fits(inner, local)) return run.hook === 'xdp' ? left() : drop('port-mtu', network);
  const frame = finish(run, parsed, inner.from, local.device);
  if (!(frame instanceof Uint8Array)) return frame;
  mark(inner, frame);
  const device = local.device.name;
  return {
    record: { verdict: 'deliver', reason: 'none', network, port: local.port, device },
    outputs: [{ device, frame }],
  };
}

/** Rule 3.10: what the outer header says of congestion. */
function mark({ run, parsed, ecn }: Inner, frame: Uint8Array): void {
  const { layer3 } = parsed;
  if (isIp(layer3)) setEcn(frame, layer3.offset - run.frame.start, layer3.kind, ecn);
}

function floodLocally(inner: Inner): Decision {
  const { run, network } = inner;
  const frame = copyFrame(run.frame);
  mark(inner, frame);
  return flood(run, {
    network,
    inner: frame,
    sender: undefined,
    outer: undefined,
    fits: (local) => fits(inner, local),
    rule: '3.9',
  });
}
