/** A frame from a local port: packet-rules.md §2, rule by rule. */
import type { TablePort } from '../table/model.ts';
import { answerFromMap } from './answer.ts';
import { encapsulate } from './encap.ts';
import { finish, type Parsed } from './finish.ts';
import { flood } from './flood.ts';
import { guard, underlaySource } from './guard.ts';
import { flowWords, hashWords } from './hash.ts';
import { type Ethernet, isLinkControl, type Layer3, type ParseProblem, parseEthernet, parseLayer3 } from './parse.ts';
import { copyFrame, type Decision, drop, isIp, left, type Run } from './run.ts';
import { layer3Length } from './size.ts';
import { tooBig } from './too-big.ts';
import type { Device } from './types.ts';
import type { NetworkEntry, PortLink } from './world.ts';

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

  const ethernet = parseEthernet(run.frame);
  if (typeof ethernet === 'string') return unparsed(run, '2.1', ethernet, network);
  if (isLinkControl(ethernet)) return drop('link-control', network);
  if (ethernet.groupSource) return drop('source-multicast', network);
  if (ethernet.tagged || run.metadataTag) return drop('tagged', network);
  trace.note('2.1–4', 'frame', `${ethernet.source} > ${ethernet.destination}, untagged`);

  const layer3 = parseLayer3(run.frame, ethernet);
  if (typeof layer3 === 'string') return unparsed(run, '2.5', layer3, network);
  trace.note('2.5', 'packet', describe(layer3));

  const objection = underlaySource(run, layer3) ?? guard(run, port, ethernet, layer3);
  if (objection !== undefined) return drop(objection, network);

  const answered = answerFromMap(run, port, ethernet, layer3);
  if (answered !== undefined) {
    if (run.hook === 'tc') return answered;
    trace.note('5', 'an answer?', 'left to TC');
    return left();
  }
  return forward(run, link.value, { ethernet, layer3 });
}

/** Why a frame without headers ends here. */
export function unparsed(run: Run, rule: string, problem: ParseProblem, network: string): Decision {
  if (problem === 'malformed') {
    run.trace.note(rule, 'headers', 'malformed');
    return drop('malformed', network);
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
    if (network.value.network.flood !== 'replicate') {
      trace.note('2.9', `flood of ${id}`, network.value.network.flood);
      return drop('flood-off', id);
    }
    return floodAll(run, link, network.value, parsed);
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
  return toPort(run, link, network.value, parsed, port.value);
}

function floodAll(run: Run, link: PortLink, network: NetworkEntry, parsed: Parsed): Decision {
  const oversize = checkSize(run, network, parsed);
  if (oversize !== undefined) return oversize;
  return flood(run, {
    network: network.network.id,
    inner: copyFrame(run.frame),
    sender: link.port.id,
    outer: outerOf(run, parsed.ethernet, parsed.layer3),
    fits: () => true,
    rule: '2.9',
  });
}

/** What the outer header takes from the inner packet. */
function outerOf(run: Run, ethernet: Ethernet, layer3: Layer3): { ecn: number; hash: number } {
  return { ecn: isIp(layer3) ? layer3.ecn : 0, hash: hashWords(flowWords(run.frame, ethernet, layer3)) };
}

function checkSize(run: Run, { network, mtu }: NetworkEntry, { ethernet, layer3 }: Parsed): Decision | undefined {
  const length = layer3Length(run.frame, layer3, run.gsoSize);
  run.trace.note('2.10', `${length} bytes in an MTU of ${mtu}?`, length <= mtu ? 'fits' : 'too big');
  return length <= mtu ? undefined : tooBig(run, network.id, mtu, ethernet, layer3);
}

function toPort(run: Run, link: PortLink, network: NetworkEntry, parsed: Parsed, target: TablePort): Decision {
  const { world, trace } = run;
  const id = network.network.id;
  for (const at of target.at) {
    const usable = world.usable(at);
    trace.note('2.9', `locator ${at.node} of ${target.id}`, usable ? 'used' : 'passed over');
    if (!usable) continue;
    if (world.isSelf(at.node)) return deliverHere(run, link, network, parsed, target);
    return sendTo(run, link.device, network, parsed, at.node, world.segmentOf(target, at));
  }
  return drop('no-locator', id);
}

function deliverHere(run: Run, link: PortLink, network: NetworkEntry, parsed: Parsed, target: TablePort): Decision {
  const id = network.network.id;
  if (target.id === link.port.id) return drop('hairpin', id);
  const local = run.world.local(target.id);
  run.trace.note('2.9', `interface of ${target.id}`, local.state === 'found' ? local.value.device.name : local.state);
  if (local.state === 'stale') return drop('stale', id);
  if (local.state === 'missing') return drop('no-interface', id);
  const oversize = checkSize(run, network, parsed);
  if (oversize !== undefined) return oversize;
  return deliver(run, parsed, link.device, local.value.device, id, target.id);
}

function deliver(run: Run, parsed: Parsed, from: Device, to: Device, network: string, port: string): Decision {
  const frame = finish(run, parsed, from, to);
  if (!(frame instanceof Uint8Array)) return frame;
  return {
    record: { verdict: 'deliver', reason: 'none', network, port, device: to.name },
    outputs: [{ device: to.name, frame }],
  };
}

function sendTo(
  run: Run,
  from: Device,
  network: NetworkEntry,
  parsed: Parsed,
  nodeId: string,
  segment: number,
): Decision {
  const { world, trace } = run;
  const id = network.network.id;
  const node = world.node(nodeId);
  if (node.state === 'stale') return drop('stale', id);
  if (node.state === 'missing') return drop('no-node', id);
  const { nextHop, local, remote } = node.value;
  const to = nextHop && world.device(nextHop.device);
  trace.note('2.9', `next hop of ${nodeId}`, nextHop ? `${nextHop.destination} on ${nextHop.device}` : 'not resolved');
  if (nextHop === undefined || to === undefined) return drop('no-nexthop', id);
  const oversize = checkSize(run, network, parsed);
  if (oversize !== undefined) return oversize;
  const inner = finish(run, parsed, from, to);
  if (!(inner instanceof Uint8Array)) return inner;
  const frame = encapsulate(inner, {
    destinationMac: nextHop.destination,
    sourceMac: nextHop.source,
    source: local,
    destination: remote,
    ...outerOf(run, parsed.ethernet, parsed.layer3),
    port: world.environment.vxlanPort,
    segment,
  });
  trace.note('4', 'outer header', `${local} > ${remote}, segment ${segment}`);
  return {
    record: { verdict: 'encap', reason: 'none', network: id, node: nodeId, segment, device: to.name },
    outputs: [{ device: to.name, frame }],
  };
}
