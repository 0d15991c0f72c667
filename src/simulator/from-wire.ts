/** What is no tunnel packet, where a network is flat: packet-rules.md rule 3.11. */
import { read16 } from './bytes.ts';
import type { Parsed } from './finish.ts';
import { flood } from './flood.ts';
import { describe } from './from-port.ts';
import { type Arrival, fits, toInterface } from './inner-frame.ts';
import { ETHERTYPE_VLAN, type Ethernet, isLinkControl, parseEthernet, parseLayer3, skipTags } from './parse.ts';
import { copyFrame, type Decision, drop, left, type Run, stack } from './run.ts';
import type { Device } from './types.ts';

const RULE = '3.11';
const VLAN_ID = 0xfff;

export function fromWire(run: Run, from: Device): Decision {
  const { world, trace } = run;
  const found = readFrame(run, from);
  if ('record' in found) return found;
  const { vlan } = found;
  const network = world.networkOfSegment('flat', vlan);
  trace.note(RULE, `flat network of ${vlan === 0 ? 'untagged frames' : `VLAN ${vlan}`}`, textOf(network));
  if (network.state === 'stale') return drop('stale');
  if (network.state === 'missing') return stack();
  const headers = readHeaders(run, found.ethernet);
  if ('record' in headers) return headers;
  const { ethernet, layer3 } = headers;
  trace.note(RULE, `frame ${ethernet.source} > ${ethernet.destination}`, describe(layer3));
  const objection = guardWire(run, network.value, ethernet.source);
  if (objection !== undefined) return drop(objection, network.value);
  const arrival = { run, from, network: network.value, parsed: headers, ecn: undefined };
  return ethernet.group ? toAll(arrival) : toOne(arrival, ethernet.destination);
}

function textOf(lookup: { readonly state: string; readonly value?: string }): string {
  return lookup.value ?? lookup.state;
}

function notFlat(run: Run, why: string): Decision {
  run.trace.note(RULE, 'for a flat network?', `no: ${why}`);
  return stack();
}

function notInFirstBuffer(run: Run): Decision {
  run.trace.note('5', 'are all headers in the first buffer?', 'no: left to TC');
  return left();
}

/** MACs and VLAN id, when the frame may be for a flat network. */
function readFrame(run: Run, from: Device): { ethernet: Ethernet; vlan: number } | Decision {
  const outermost = parseEthernet(run.frame);
  if (outermost === 'not-in-first-buffer') return notInFirstBuffer(run);
  if (outermost === 'malformed') return notFlat(run, 'cut off');
  if (outermost.destination === from.mac) return notFlat(run, 'for the host itself');
  const { tag } = run;
  const ethernet = skipTags(run.frame, outermost, tag === undefined ? 0 : 1);
  if (ethernet === 'not-in-first-buffer') return notInFirstBuffer(run);
  if (ethernet === 'malformed') return notFlat(run, 'cut off in its tag');
  if (ethernet === 'tagged' || ethernet.tags > 1) return notFlat(run, 'more than one tag');
  if (ethernet.tags === 0) return { ethernet, vlan: 0 };
  const type = tag?.etherType ?? outermost.etherType;
  const { bytes, start } = run.frame;
  const vlan = (tag?.tci ?? read16(bytes, start + 14)) & VLAN_ID;
  if (type !== ETHERTYPE_VLAN || vlan === 0) return notFlat(run, 'another kind of tag');
  // the tag is the wire's: the network does not carry it
  return { ethernet: { ...ethernet, tags: 0 }, vlan };
}

/** Whatever is wrong inside is the host's business. */
function readHeaders(run: Run, ethernet: Ethernet): Parsed | Decision {
  if (isLinkControl(ethernet)) return notFlat(run, 'link control');
  if (ethernet.groupSource) return notFlat(run, 'a multicast source');
  const layer3 = parseLayer3(run.frame, ethernet);
  if (layer3 === 'malformed') return notFlat(run, 'malformed');
  if (layer3 === 'not-in-first-buffer') return notInFirstBuffer(run);
  return { ethernet, layer3 };
}

/** A port that is here sends nothing from outside. */
function guardWire(run: Run, network: string, mac: string): 'stale' | 'guard-remote' | undefined {
  const { world, trace } = run;
  if (world.environment.guard === 'off') return undefined;
  const owner = world.portOfMac(network, mac);
  if (owner.state === 'stale') return 'stale';
  if (world.balancedOfMac(network, mac).state === 'found') return 'guard-remote';
  if (owner.state === 'missing') return undefined;
  const port = world.port(owner.value);
  if (port.state !== 'found') return 'stale';
  const place = world.placeOf(port.value);
  const former = world.environment.former.get(owner.value);
  const here = place !== undefined && world.isSelf(place.node) && (former === undefined || former.past);
  trace.note(RULE, `is ${owner.value}, the sender, here?`, here ? 'yes: a loop, or somebody pretends' : 'no');
  return here ? 'guard-remote' : undefined;
}

function toOne(arrival: Arrival, mac: string): Decision {
  const { run, network } = arrival;
  const { world } = run;
  const target = world.portOfMac(network, mac);
  const port = target.state === 'found' ? world.port(target.value) : undefined;
  const here = port?.state === 'found' && world.reachedHere(port.value) !== undefined;
  run.trace.note(RULE, `(${network}, ${mac})`, here ? port.value.id : 'no port of this node: to the stack');
  return here ? untagged(arrival, toInterface(arrival, port.value.id, RULE)) : stack();
}

function toAll(arrival: Arrival): Decision {
  const { run, network: id } = arrival;
  const network = run.world.network(id);
  if (network.state !== 'found') return drop('stale', id);
  if (network.value.network.flood === 'none') return notFlat(run, 'a group, and flood: none');
  const decision = flood(run, {
    network: network.value.network,
    frame: copyFrame(run.frame),
    sender: undefined,
    inner: undefined,
    fits: (local) => fits(arrival, local, RULE),
    rule: RULE,
  });
  if (decision.record.verdict !== 'flood') return decision;
  run.trace.note(RULE, 'the packet itself', 'to the stack too');
  return { ...untagged(arrival, decision), toStack: true };
}

/** What ports get is without the tag. */
function untagged({ parsed }: Arrival, decision: Decision): Decision {
  if (parsed.ethernet.tagsInFrame === 0) return decision;
  const outputs = decision.outputs.map(({ device, frame }) => {
    const bare = new Uint8Array(frame.length - 4);
    bare.set(frame.subarray(0, 12), 0);
    bare.set(frame.subarray(16), 12);
    return { device, frame: bare };
  });
  return { ...decision, outputs };
}
