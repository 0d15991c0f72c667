/** A decapsulated frame to its local ports: packet-rules.md rules 3.9 and 3.10. */
import type { TableNetwork, TablePort } from '../table/model.ts';
import { chooseMember, toMember } from './balance.ts';
import { setEcn } from './ecn.ts';
import { finish, type Parsed } from './finish.ts';
import { flood } from './flood.ts';
import { copyFrame, type Decision, drop, isIp, left, type Run } from './run.ts';
import { layer3Length } from './size.ts';
import type { Device } from './types.ts';
import type { LocalPort } from './world.ts';

/** A decapsulated frame on its way. */
export interface Arrival {
  readonly run: Run;
  readonly from: Device;
  readonly network: string;
  readonly parsed: Parsed;
  /** ECN that the delivered packet gets; undefined: it keeps its own. */
  readonly ecn: number | undefined;
}

export function forwardInner(arrival: Arrival): Decision {
  const { run, network: id, parsed } = arrival;
  const { world, trace } = run;
  const network = world.network(id);
  if (network.state !== 'found') return drop('stale', id);
  const { ethernet } = parsed;
  if (ethernet.group) return toGroup(arrival, network.value.network);
  const balanced = world.balancedOfMac(id, ethernet.destination);
  if (balanced.state === 'found') {
    const member = chooseMember(run, balanced.value, parsed, 'underlay');
    if (typeof member === 'string') return drop(member, id);
    return toInterface({ ...arrival, ...toMember(run, parsed, member) }, member.id, '3.9');
  }
  const target = world.portOfMac(id, ethernet.destination);
  trace.note('3.9', `(${id}, ${ethernet.destination})`, target.state === 'found' ? target.value : target.state);
  if (target.state === 'stale') return drop('stale', id);
  if (target.state === 'missing') {
    return network.value.network.unknown === 'flood'
      ? floodLocally(arrival, network.value.network)
      : drop('unknown-unicast', id);
  }
  const port = world.port(target.value);
  return port.state === 'found' ? toLocalPort(arrival, port.value) : drop('stale', id);
}

export function toGroup(arrival: Arrival, network: TableNetwork): Decision {
  if (network.flood !== 'none') return floodLocally(arrival, network);
  arrival.run.trace.note('3.9', `flood of ${network.id}`, 'none');
  return drop('flood-off', network.id);
}

/** To the port, if it is here. */
export function toLocalPort(arrival: Arrival, port: TablePort): Decision {
  const { world } = arrival.run;
  if (!port.at.some((at) => world.isSelf(at.node))) return drop('not-local', arrival.network);
  if (port.state === 'down') {
    arrival.run.trace.note('3.9', `state of ${port.id}`, 'down');
    return drop('no-locator', arrival.network);
  }
  if (!world.isActiveHere(port)) {
    arrival.run.trace.note('10', `is ${port.id}, which moves, at this end?`, 'no');
    return drop('not-active', arrival.network);
  }
  return toInterface(arrival, port.id, '3.9');
}

export function toInterface(arrival: Arrival, port: string, rule: string): Decision {
  const { run, network } = arrival;
  const local = run.world.local(port);
  run.trace.note(rule, `interface of ${port}`, local.state === 'found' ? local.value.device.name : local.state);
  if (local.state === 'stale') return drop('stale', network);
  if (local.state === 'missing') return drop('no-interface', network);
  if (!fits(arrival, local.value, rule)) return run.hook === 'xdp' ? left() : drop('port-mtu', network);
  const frame = finish(run, arrival.parsed, arrival.from, local.value.device);
  if (!(frame instanceof Uint8Array)) return frame;
  mark(arrival, frame);
  const device = local.value.device.name;
  return { record: { verdict: 'deliver', reason: 'none', network, port, device }, outputs: [{ device, frame }] };
}

export function fits({ run, parsed }: Arrival, { device }: LocalPort, rule: string): boolean {
  const length = layer3Length(run.frame, parsed.ethernet, parsed.layer3, run.gsoSize);
  const fit = length <= device.mtu;
  run.trace.note(rule, `${length} bytes in ${device.name}'s MTU of ${device.mtu}?`, fit ? 'fits' : 'too big');
  return fit;
}

/** Rule 3.10: what the outer header says of congestion. */
function mark({ run, parsed, ecn }: Arrival, frame: Uint8Array): void {
  const { layer3 } = parsed;
  if (isIp(layer3) && ecn !== undefined) setEcn(frame, layer3.offset - run.frame.start, layer3.kind, ecn);
}

export function floodLocally(arrival: Arrival, network: TableNetwork): Decision {
  const { run } = arrival;
  const frame = copyFrame(run.frame);
  mark(arrival, frame);
  return flood(run, {
    network,
    frame,
    sender: undefined,
    inner: undefined,
    fits: (local) => fits(arrival, local, '3.9'),
    rule: '3.9',
  });
}
