import type { Port } from '../generated/layout.ts';

/**
 * A port's entry with its history: what the kernel should hold, given what it holds now.
 *
 * After a move the place it left is accepted until `guard-grace` has passed, so that skew between nodes loses nothing.
 * Only a change of its set of nodes is a move; history by itself never causes a write: the old fields stay as they are
 * when nothing else differs.
 *
 * @param now CLOCK_MONOTONIC in nanoseconds, as the programs read it
 */
export function withHistory(wanted: Port, held: Port | undefined, now: bigint, graceNs: bigint): Port {
  if (held === undefined || held.port !== wanted.port || held.network !== wanted.network) return wanted;
  const nodes = new Set(wanted.at.map((at) => at.node).filter((node) => node !== 0));
  const left = held.at.find((at) => at.node !== 0 && !nodes.has(at.node));
  if (left !== undefined) return { ...wanted, former: left.node, formerUntil: now + graceNs };
  // Nobody promised a longer grace than one from now: such a time was written by somebody else.
  if (held.formerUntil > now + graceNs) return wanted;
  return { ...wanted, former: held.former, formerUntil: held.formerUntil };
}
