/** Addresses that several ports serve: packet-rules.md §8. */
import { macBytes, macFromBytes } from '../table/address.ts';
import type { TableAddress, TablePort } from '../table/model.ts';
import { read32 } from './bytes.ts';
import type { Parsed } from './finish.ts';
import { hashWords } from './hash.ts';
import { hashOf } from './inner.ts';
import type { Ipv4, Ipv6 } from './parse.ts';
import { isIp, type Run } from './run.ts';
import type { ReasonName } from './types.ts';
import type { LevelSlots } from './world.ts';

/** Slots that are asked, the flow's own among them. */
const PROBES = 256;
const TWO_32 = 0x1_0000_0000;

/** Who asks: a port here that sends the packet, or the underlay. */
export type Asker = { readonly port: string } | 'underlay';

/** The member that gets the packet, or why there is none. */
export function chooseMember(
  run: Run,
  address: TableAddress,
  parsed: Parsed,
  asker: Asker,
): TablePort | Exclude<ReasonName, 'none'> {
  const { world, trace } = run;
  const asked = `members of ${address.id}`;
  const balance = world.balance(address.id);
  if (balance.state !== 'found') {
    trace.note('8', asked, balance.state);
    return 'stale';
  }
  if (address.affinity === 'flow' && isIp(parsed.layer3) && parsed.layer3.fragment) {
    trace.note('8', asked, 'not told by a fragment, which has no ports');
    return 'balanced-fragment';
  }
  const hash =
    address.affinity === 'source' && isIp(parsed.layer3) ? sourceHash(run, parsed.layer3) : hashOf(run, parsed);
  const { levels, here } = balance.value;
  if (asker === 'underlay' && here === undefined) {
    trace.note('8', asked, 'none is on this node');
    return 'not-local';
  }
  const searched = asker === 'underlay' ? [here as LevelSlots] : levels;
  for (const drained of [false, true]) {
    for (const level of searched) {
      const size = level.first.length;
      const slot = slotOf(hash, size);
      for (const [what, id] of candidates(level, slot, hash)) {
        const port = id === undefined ? undefined : serving(run, id, address.network, asker);
        if (port !== undefined && (drained || !isDrained(run, port, asker))) {
          trace.note('8', `${asked}: slot ${slot} of ${size}`, `${port.id}, ${what}${drained ? ', drained' : ''}`);
          return port;
        }
      }
      trace.note('8', `${asked}: slot ${slot} of ${size}`, drained ? 'nobody live' : 'nobody up');
    }
  }
  return asker === 'underlay' ? 'no-interface' : 'no-locator';
}

function slotOf(hash: number, size: number): number {
  return Math.floor((hash * size) / TWO_32);
}

function* candidates(
  { first, second, members }: LevelSlots,
  slot: number,
  hash: number,
): Generator<readonly [string, string | undefined]> {
  yield ['its first', first[slot]];
  yield ['its second', second[slot]];
  for (let more = 1; more < PROBES; more++)
    yield [`the first of ${more} behind it`, first[(slot + more) % first.length]];
  const start = slotOf(hash, members.length);
  for (const id of [...members.slice(start), ...members.slice(0, start)]) yield ['found by asking every member', id];
}

/** The port, when it can have the packet now. */
function serving({ world }: Run, id: string, network: string, asker: Asker): TablePort | undefined {
  if (asker !== 'underlay' && asker.port === id) return undefined;
  const port = world.port(id);
  if (port.state !== 'found' || port.value.network !== network) return undefined;
  if (asker === 'underlay' && !world.isActiveHere(port.value)) return undefined;
  const here = asker === 'underlay' ? world.reachedHere(port.value) : world.placeOf(port.value);
  if (here === undefined) return undefined;
  return world.isSelf(here.node) && world.local(id).state !== 'found' ? undefined : port.value;
}

/** Passed over while another member is up: of frames from ports here alone. */
function isDrained({ world }: Run, port: TablePort, asker: Asker): boolean {
  if (asker === 'underlay') return false;
  const place = world.placeOf(port);
  return port.state === 'drain' || (place !== undefined && world.stateOf(place.node) !== 'up');
}

function sourceHash({ frame }: Run, layer3: Ipv4 | Ipv6): number {
  const at = layer3.offset + (layer3.kind === 'ipv4' ? 12 : 8);
  const words = layer3.kind === 'ipv4' ? 1 : 4;
  return hashWords(Array.from({ length: words }, (_, i) => read32(frame.bytes, at + 4 * i)));
}

/** The packet as the member gets it: with its MAC. */
export function toMember(run: Run, parsed: Parsed, member: TablePort): { readonly run: Run; readonly parsed: Parsed } {
  const { frame } = run;
  const bytes = frame.bytes.slice();
  bytes.set(macBytes(member.mac), frame.start);
  const ethernet = { ...parsed.ethernet, destination: macFromBytes(bytes, frame.start) };
  return { run: { ...run, frame: { ...frame, bytes } }, parsed: { ...parsed, ethernet } };
}
