/** A frame from a local port: packet-rules.md §2, rule by rule. */
import type { TableLocator, TablePort } from '../table/model.ts';
import { announcedPort, heeding } from './announcement.ts';
import { answerFromMap } from './answer.ts';
import { chooseMember, toMember } from './balance.ts';
import { finish, type Parsed } from './finish.ts';
import { flood } from './flood.ts';
import { guard, underlaySource } from './guard.ts';
import { bytesToSum, hashOf, innerOf } from './inner.ts';
import {
  type FrameView,
  isLinkControl,
  isNeighbourType,
  type Layer3,
  type ParseProblem,
  parseEthernet,
  parseLayer3,
  skipTags,
} from './parse.ts';
import { copyFrame, type Decision, drop, isIp, left, type Run } from './run.ts';
import { chooseHop, needsChecksum, send } from './send.ts';
import { layer3Length, tunnelLength } from './size.ts';
import { tooBig } from './too-big.ts';
import { type Device, SEGMENTER_DEVICE } from './types.ts';
import { overhead } from './underlay.ts';
import { LONGEST_COMPLETED } from './unfinished-checksum.ts';
import { type NetworkEntry, type NodeEntry, type PortLink, PRIORITY_NEVER, type World } from './world.ts';

export function fromPort(run: Run): Decision {
  const { world, trace } = run;
  const link = world.portLink(run.device);
  if (link.state !== 'found') {
    trace.note('2', `whose device is ${run.device}?`, "no port's");
    return drop('no-port');
  }
  const { port } = link.value;
  const { network } = port;
  trace.note('2', `whose device is ${run.device}?`, `${port.id} of ${network}`);

  const outermost = parseEthernet(run.frame);
  if (typeof outermost === 'string') return unparsed(run, '2.1', outermost, network);
  if (isLinkControl(outermost)) return drop('link-control', network);
  if (outermost.groupSource) return drop('source-multicast', network);
  const tagged = outermost.tagged || run.tag !== undefined;
  const frame = `${outermost.source} > ${outermost.destination}`;
  trace.note('2.1–4', 'frame', `${frame}, ${tagged ? 'tagged' : 'untagged'}`);
  if (tagged && !world.isTransparent(network)) return drop('tagged', network);
  const ethernet = tagged ? skipTags(run.frame, outermost, run.tag === undefined ? 0 : 1) : outermost;
  if (typeof ethernet === 'string') return unparsed(run, '2.4', ethernet, network);

  const layer3 = parseLayer3(run.frame, ethernet);
  if (typeof layer3 === 'string') return unparsed(run, '2.5', layer3, network);
  trace.note('2.5', 'packet', describe(layer3));

  const objection = underlaySource(run, layer3) ?? guard(run, port, ethernet, layer3);
  if (objection !== undefined) return drop(objection, network);

  const answered = tagged ? undefined : answerFromMap(run, port, ethernet, layer3);
  if (answered !== undefined) {
    if (run.hook === 'tc') return answered;
    trace.note('5', 'an answer?', 'left to TC');
    return left();
  }
  return forward(run, link.value, { ethernet, layer3 });
}

/** Why a frame without headers ends here. */
export function unparsed(run: Run, rule: string, problem: ParseProblem | 'tagged', network: string): Decision {
  if (problem !== 'not-in-first-buffer') {
    run.trace.note(rule, 'headers', problem);
    return drop(problem, network);
  }
  run.trace.note('5', 'are all headers in the first buffer?', 'no: left to TC');
  return left();
}

export function describe(layer3: Layer3): string {
  switch (layer3.kind) {
    case 'arp':
      return `ARP ${layer3.operation}: ${layer3.senderIp} asks for ${layer3.targetIp}`;
    case 'ipv4':
    case 'ipv6': {
      const part = layer3.laterFragment ? 'later fragment' : (layer3.layer4?.kind ?? 'nothing');
      return `${layer3.kind} ${layer3.source} > ${layer3.destination}, ${layer3.length} bytes, ${part}`;
    }
    case 'opaque':
      return 'not IP, not ARP';
  }
}

/** Rules 2.9 and 2.10. */
function forward(run: Run, link: PortLink, parsed: Parsed): Decision {
  const { world, trace } = run;
  const id = link.port.network;
  const network = world.network(id);
  if (network.state !== 'found') return drop('stale', id);
  const { ethernet } = parsed;
  if (ethernet.group) {
    const heard = announcedPort(run, network.value.network, parsed, world.environment.node, link.port.id);
    return heeding(run, heard, (later) => toGroup(later, link, network.value, parsed));
  }
  const balanced = world.balancedOfMac(id, ethernet.destination);
  if (balanced.state === 'found') {
    const member = chooseMember(run, balanced.value, parsed, { port: link.port.id });
    if (typeof member === 'string') return drop(member, id);
    const asSent = toMember(run, parsed, member);
    return toPort(asSent.run, link, network.value, asSent.parsed, { port: member, asked: run.frame });
  }
  const target = world.portOfMac(id, ethernet.destination);
  const asked = `(${id}, ${ethernet.destination})`;
  if (target.state === 'stale') return drop('stale', id);
  if (target.state === 'missing') {
    trace.note('2.9', asked, `no port; unknown: ${network.value.network.unknown}`);
    if (network.value.network.unknown !== 'flood') return drop('unknown-unicast', id);
    return floodAll(run, link, network.value, parsed);
  }
  trace.note('2.9', asked, target.value);
  const port = world.port(target.value);
  if (port.state !== 'found') {
    trace.note('2.9', `port ${target.value}`, port.state);
    return drop('stale', id);
  }
  return toPort(run, link, network.value, parsed, { port: port.value });
}

function toGroup(run: Run, link: PortLink, network: NetworkEntry, parsed: Parsed): Decision {
  const { id, flood: how } = network.network;
  if (how !== 'none') return floodAll(run, link, network, parsed);
  run.trace.note('2.9', `flood of ${id}`, 'none');
  return drop('flood-off', id);
}

interface Target {
  readonly port: TablePort;
  /** Chosen as a member of a balanced address: the frame as it came. */
  readonly asked?: FrameView;
}

/** A network that carries IP alone: does it carry this? Neighbour discovery it does not. */
function isCarried(run: Run, network: NetworkEntry, { layer3 }: Parsed): boolean {
  if (!run.world.isIpOnly(network.network.id)) return true;
  const neighbour = isIp(layer3) && layer3.layer4?.kind === 'icmpv6' && isNeighbourType(layer3.layer4.type);
  const carried = isIp(layer3) && !neighbour;
  run.trace.note('2.9', `IP for ${network.network.encap}?`, carried ? 'yes' : neighbour ? 'neighbour discovery' : 'no');
  return carried;
}

function floodAll(run: Run, link: PortLink, network: NetworkEntry, parsed: Parsed): Decision {
  const { id } = network.network;
  if (!isCarried(run, network, parsed)) return drop('not-ip', id);
  const { ethernet, layer3 } = parsed;
  const length = tunnelLength(run.frame, ethernet, layer3, run.gsoSize);
  const oversize = checkSize(run, network, parsed, length);
  if (oversize !== undefined) return oversize;
  if (run.hook === 'tc' && run.world.environment.floodSpent) {
    run.trace.note('2.9', `may ${link.port.id} flood more?`, 'no: over the rate');
    return drop('flood-rate', id);
  }
  const frame = copyFrame(run.frame);
  return flood(run, {
    network: network.network,
    frame,
    sender: link.port.id,
    inner: innerOf(run, parsed, frame, network.network.encap),
    fits: () => true,
    rule: '2.9',
  });
}

/** Rule 2.10. `nodeLimit`: what routers told of the way, less the overhead. */
function checkSize(
  run: Run,
  { network, mtu }: NetworkEntry,
  { ethernet, layer3 }: Parsed,
  length: number,
  nodeLimit = Number.POSITIVE_INFINITY,
): Decision | undefined {
  const limit = Math.min(mtu, nodeLimit);
  const whose = nodeLimit < mtu ? 'that routers told' : `of ${network.id}`;
  run.trace.note('2.10', `${length} bytes in the MTU of ${limit} ${whose}?`, length <= limit ? 'fits' : 'too big');
  if (length <= limit) return undefined;
  return run.second ? drop('too-big', network.id) : tooBig(run, network.id, limit, ethernet, layer3);
}

function toPort(run: Run, link: PortLink, network: NetworkEntry, parsed: Parsed, to: Target): Decision {
  const { world, trace } = run;
  const id = network.network.id;
  const target = to.port;
  const place = world.placeOf(target);
  const view = world.viewOf(target);
  for (const at of target.at)
    if (!view.includes(at)) trace.note('2.9', `locator ${at.node} of ${target.id}`, 'not for this node');
  for (const at of view) {
    trace.note('2.9', `locator ${at.node} of ${target.id}`, at === place ? 'used' : whyNot(world, at, place));
  }
  if (place === undefined) return drop('no-locator', id);
  const go = (which: Run, at: TableLocator): Decision =>
    world.isSelf(at.node)
      ? deliverHere(which, link, network, parsed, target)
      : sendTo(which, link.device, network, parsed, to, at);
  const second = world.secondOf(target);
  if (run.second || second === undefined) return go(run, second ?? place);
  trace.note('10', `${target.id} moves to ${second.node}`, 'a copy for each of its places');
  if (run.hook === 'xdp') {
    trace.note('5', 'two copies?', 'left to TC');
    return left();
  }
  const first = go(run, place);
  const { outputs } = go({ ...run, second: true }, second);
  const sent = first.record.verdict === 'encap' || first.record.verdict === 'deliver';
  return {
    ...first,
    record: sent ? { ...first.record, copies: 1 } : first.record,
    outputs: [...first.outputs, ...outputs],
  };
}

function whyNot(world: World, at: TableLocator, place: TableLocator | undefined): string {
  if (at.pending === true) return 'it moves there';
  if (at.priority === PRIORITY_NEVER) return 'passed over: priority 255';
  const state = world.stateOf(at.node);
  if (state === 'up') return place === undefined ? 'passed over' : 'in reserve';
  return state === 'down' ? 'passed over: the node is down' : 'passed over: the node is drained';
}

function deliverHere(run: Run, link: PortLink, network: NetworkEntry, parsed: Parsed, target: TablePort): Decision {
  const id = network.network.id;
  if (target.id === link.port.id) return drop('hairpin', id);
  const local = run.world.local(target.id);
  run.trace.note('2.9', `interface of ${target.id}`, local.state === 'found' ? local.value.device.name : local.state);
  if (local.state === 'stale') return drop('stale', id);
  if (local.state === 'missing') return drop('no-interface', id);
  const length = layer3Length(run.frame, parsed.ethernet, parsed.layer3, run.gsoSize);
  const oversize = checkSize(run, network, parsed, length);
  if (oversize !== undefined) return oversize;
  return deliver(run, parsed, link.device, local.value.device, id, target.id);
}

function deliver(run: Run, parsed: Parsed, from: Device, to: Device, network: string, port: string): Decision {
  const frame = finish(run, parsed, from, to);
  if (!(frame instanceof Uint8Array)) return frame;
  return {
    record: { verdict: 'deliver', reason: 'none', network, port, device: to.name },
    outputs: [{ device: to.name, frame, ...(run.tag !== undefined && { tag: run.tag.tci }) }],
  };
}

function sendTo(
  run: Run,
  from: Device,
  network: NetworkEntry,
  parsed: Parsed,
  target: Target,
  at: TableLocator,
): Decision {
  const { world, trace } = run;
  const nodeId = at.node;
  const segment = world.segmentOf(target.port, at);
  const { id, encap } = network.network;
  if (!isCarried(run, network, parsed)) return drop('not-ip', id);
  const node = encap === 'flat' ? world.wire() : world.node(nodeId);
  if (node.state === 'stale') return drop('stale', id);
  if (node.state === 'missing') return drop('no-node', id);
  const hop = chooseHop(node.value, hashOf(run, parsed));
  const to = hop && world.device(hop.device);
  trace.note('2.9', `next hop of ${encap === 'flat' ? 'the wire' : nodeId}`, describeHop(node.value, hop));
  if (hop === undefined || to === undefined) return drop('no-nexthop', id);
  const length = tunnelLength(run.frame, parsed.ethernet, parsed.layer3, run.gsoSize);
  const { mtu, ends } = node.value;
  const nodeLimit = mtu === undefined || ends === undefined ? undefined : mtu - overhead(encap, ends.family);
  const oversize = checkSize(run, network, parsed, length, nodeLimit);
  if (oversize !== undefined) return oversize;

  const member = target.asked && { port: target.port.id };
  const record = { verdict: 'encap', reason: 'none', network: id, ...member, node: nodeId, segment } as const;
  const summed = needsChecksum(network.network, node.value);
  if (summed && run.gsoSize > 0) {
    trace.note('4', 'a super-packet for a node that asks for checksums', 'to be cut first');
    if (!world.environment.segmenter) return drop('no-segmenter', id);
    const cut = {
      device: SEGMENTER_DEVICE,
      frame: copyFrame(target.asked ?? run.frame),
      ...(run.tag && { tag: run.tag.tci }),
    };
    return { record: { ...record, device: SEGMENTER_DEVICE }, outputs: [cut] };
  }
  const frame = finish(run, parsed, from, to);
  if (!(frame instanceof Uint8Array)) return frame;
  if (summed && run.hook === 'xdp' && isLongSum(run, parsed)) {
    trace.note('5', 'an outer checksum over much of the frame?', 'yes: left to TC');
    return left();
  }
  const inner = innerOf(run, parsed, frame, encap);
  return {
    record: { ...record, device: to.name },
    outputs: [send(run, network.network, node.value, hop, segment, inner)],
  };
}

/** More than XDP adds up for an outer checksum. */
function isLongSum(run: Run, parsed: Parsed): boolean {
  const bytes = bytesToSum(run, parsed);
  return bytes > LONGEST_COMPLETED || (bytes > 0 && run.multiBuffer);
}

function describeHop(
  entry: NodeEntry,
  hop: { readonly device: string; readonly destination: string } | undefined,
): string {
  if (hop === undefined) return 'not resolved';
  const chosen = entry.hops.length > 1 ? `, of ${entry.hops.length} by the hash` : '';
  return entry.kind === 'wire' ? hop.device : `${hop.destination} on ${hop.device}${chosen}`;
}
