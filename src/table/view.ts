/** A port's locators as one node sees them: `for` and `prefer`. */
import type { TableLocator, TableNode } from './model.ts';

/** How a list of nodes names all nodes of a region. */
export const REGION_PREFIX = 'region:';

/** Lower than any: RFC 9300 section 4, never used to send. */
const NEVER = 255;

/** Is the node among those that a list names? */
export function isNamed(list: readonly string[], node: Pick<TableNode, 'id' | 'region'>): boolean {
  return list.includes(node.id) || (node.region !== undefined && list.includes(REGION_PREFIX + node.region));
}

/** Does the node have this locator? What is on the node itself it always has. */
export function hasLocator(at: TableLocator, node: Pick<TableNode, 'id' | 'region'>): boolean {
  return at.for === undefined || at.node === node.id || isNamed(at.for, node);
}

/** Is this locator for the node that it is at, and no other? */
export function isForItself(at: TableLocator): boolean {
  return at.for?.every((name) => name === at.node) ?? false;
}

/** True when nodes see these locators differently. */
export function isViewed(locators: readonly TableLocator[]): boolean {
  return locators.some((at) => at.for !== undefined || at.prefer !== undefined);
}

/**
 * All locators of a port, in the order in which this node prefers them. Those that it does not have are there too, with
 * priority 255: the port may send from where they are.
 */
export function viewOf(
  locators: readonly TableLocator[],
  node: Pick<TableNode, 'id' | 'region'>,
): readonly TableLocator[] {
  if (!isViewed(locators)) return locators;
  const seen = locators.map((at) => (hasLocator(at, node) ? at : { ...at, priority: NEVER }));
  const isFirst = (at: TableLocator): boolean =>
    at.priority !== NEVER && at.prefer !== undefined && isNamed(at.prefer, node);
  return [...seen.filter(isFirst), ...seen.filter((at) => !isFirst(at))];
}
