import { locator as locatorCodec, port as portCodec } from '../generated/layout.ts';
import { fieldOf } from './struct-field.ts';

const PORT = fieldOf(portCodec.shape, 'port').offset;
const NETWORK = fieldOf(portCodec.shape, 'network').offset;
const FORMER = fieldOf(portCodec.shape, 'former').offset;
const FORMER_UNTIL = fieldOf(portCodec.shape, 'former_until').offset;
const LOCATORS = fieldOf(portCodec.shape, 'at');
/** Where the nodes of the locators lie. */
const NODES: readonly number[] = Array.from(
  { length: LOCATORS.shape.size / locatorCodec.size },
  (_, i) => LOCATORS.offset + i * locatorCodec.size + fieldOf(locatorCodec.shape, 'node').offset,
);

/**
 * Adds its history to a port's entry: what the kernel should hold, given what it holds now.
 *
 * After a move the place it left is accepted until `guard-grace` has passed, so that skew between nodes loses nothing.
 * Only a change of its set of nodes is a move; history by itself never causes a write: the old fields stay as they are
 * when nothing else differs.
 *
 * On the bytes, because a reload may move a million. @param wanted the entry at `to`; its history is empty @param held the present one,
 * at `from`
 * @param until when the grace ends that begins now: CLOCK_MONOTONIC in nanoseconds, as the programs read it
 */
export function addHistory(wanted: DataView, to: number, held: DataView, from: number, until: bigint): void {
  if (held.getUint32(from + PORT, true) !== wanted.getUint32(to + PORT, true)) return;
  if (held.getUint32(from + NETWORK, true) !== wanted.getUint32(to + NETWORK, true)) return;
  for (const at of NODES) {
    const node = held.getUint32(from + at, true);
    if (node === 0 || isAt(wanted, to, node)) continue;
    wanted.setUint32(to + FORMER, node, true);
    wanted.setBigUint64(to + FORMER_UNTIL, until, true);
    return;
  }
  const promised = held.getBigUint64(from + FORMER_UNTIL, true);
  // Nobody promised a longer grace than one from now: such a time was written by somebody else.
  if (promised > until) return;
  wanted.setUint32(to + FORMER, held.getUint32(from + FORMER, true), true);
  wanted.setBigUint64(to + FORMER_UNTIL, promised, true);
}

function isAt(entry: DataView, start: number, node: number): boolean {
  for (const at of NODES) if (entry.getUint32(start + at, true) === node) return true;
  return false;
}
