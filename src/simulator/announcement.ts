/** A guest that says where it is: packet-rules.md section 10. */
import type { TableNetwork } from '../table/model.ts';
import type { Parsed } from './finish.ts';
import { NEIGHBOUR_ADVERTISEMENT } from './parse-neighbour.ts';
import { type Decision, isIp, type Run } from './run.ts';

const ETHERTYPE_RARP = 0x8035;
const SOLICITED = 0x40;

/** Gratuitous ARP, RARP, unsolicited neighbour advertisement, to all. */
function isAnnouncement(run: Run, { ethernet, layer3 }: Parsed): boolean {
  if (!ethernet.group || ethernet.tags > 0) return false;
  if (layer3.kind === 'arp') return layer3.senderIp === layer3.targetIp && layer3.senderMac === ethernet.source;
  if (!isIp(layer3)) return ethernet.payloadType === ETHERTYPE_RARP;
  const { layer4 } = layer3;
  if (layer4?.kind !== 'icmpv6' || layer4.neighbour?.type !== NEIGHBOUR_ADVERTISEMENT) return false;
  return (run.frame.bytes[layer4.offset + 4]! & SOLICITED) === 0;
}

/** The port that announces itself by this frame from `node`, where it moves to; `sender`: the port here that the frame is from. */
export function announcedPort(
  run: Run,
  { id }: TableNetwork,
  parsed: Parsed,
  node: string,
  sender?: string,
): string | undefined {
  const { world, trace } = run;
  if (run.hook === 'xdp' || !isAnnouncement(run, parsed)) return undefined;
  const owner = world.portOfMac(id, parsed.ethernet.source);
  if (owner.state !== 'found' || world.balancedOfMac(id, parsed.ethernet.source).state === 'found') return undefined;
  if (sender !== undefined && owner.value !== sender) return undefined;
  const port = world.port(owner.value);
  if (port.state !== 'found' || port.value.move?.activate !== 'announcement') return undefined;
  if (!port.value.at.some((at) => at.pending && at.node === node)) return undefined;
  const known = world.environment.heard.has(port.value.id);
  trace.note('10', `${port.value.id} announces itself`, known ? 'known' : `it is at ${node} from now on`);
  return known ? undefined : port.value.id;
}

/** Goes on with a frame that may be somebody's announcement: what it says counts for itself already. */
export function heeding(run: Run, heard: string | undefined, go: (run: Run) => Decision): Decision {
  return heard === undefined ? go(run) : { ...go({ ...run, world: run.world.hearing(heard) }), heard };
}
