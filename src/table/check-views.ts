/** `for` and `prefer`: whom they name, and whom they leave without a locator. */

import { nodesOf, suspectNodes } from './check-families.ts';
import { inOrder, originOfRow, reportPort } from './check-places.ts';
import { quote } from './diagnostics.ts';
import type { TableEdit } from './edit.ts';
import type { TableNode } from './model.ts';
import { isMapping, NEVER_USED, type Path } from './row.ts';
import { nearest } from './suggest.ts';
import { hasLocator, REGION_PREFIX } from './view.ts';

const NAMED = 3;

/** Where `for` or `prefer` of a record names something. */
function pathOfName(value: unknown, name: string): Path {
  const at = isMapping(value) ? value.at : undefined;
  for (const [index, locator] of (Array.isArray(at) ? at : [at]).entries()) {
    if (!isMapping(locator)) continue;
    for (const key of ['for', 'prefer']) {
      const list = locator[key];
      const path = Array.isArray(at) ? ['at', index, key] : ['at', key];
      if (list === name) return path;
      const place = Array.isArray(list) ? list.indexOf(name) : -1;
      if (place >= 0) return [...path, place];
    }
  }
  return ['at'];
}

const cachedRegions = new WeakMap<object, ReadonlySet<string>>();

function regionsOf(nodes: ReadonlyMap<string, TableNode>): ReadonlySet<string> {
  let regions = cachedRegions.get(nodes);
  if (regions === undefined) {
    regions = new Set([...nodes.values()].flatMap(({ region }) => (region === undefined ? [] : [region])));
    cachedRegions.set(nodes, regions);
  }
  return regions;
}

/** Names that are nobody's: of ports that came, and of nodes that went or changed their region. */
export function checkViewNames(edit: TableEdit): void {
  const { store, nodes } = edit;
  if (store.views.size === 0) return;
  const regions = regionsOf(nodes.values);
  const suspects = new Set(store.dirtyViews);
  for (const id of nodes.changed) {
    suspects.add(id);
    const region = nodes.before.get(id)?.region;
    if (region !== undefined) suspects.add(REGION_PREFIX + region);
  }
  for (const name of suspects) {
    const rows = store.views.get(name);
    if (rows === undefined) continue;
    const region = name.startsWith(REGION_PREFIX) ? name.slice(REGION_PREFIX.length) : undefined;
    // A node with mistakes may be of the region.
    const known = region === undefined ? nodes.isKnown(name) : regions.has(region) || nodes.broken.size > 0;
    if (known) continue;
    const what = region === undefined ? `node ${quote(name)}` : `region ${quote(region)}`;
    const missing = region === undefined ? "which is not in 'nodes'" : 'which no node is in';
    const meant = () => {
      if (region === undefined && regions.has(name)) return `a region is written '${REGION_PREFIX}${name}'`;
      const candidates = [...nodes.values.keys(), ...[...regions].map((one) => REGION_PREFIX + one)];
      const word = nearest(name, candidates);
      return word === undefined ? undefined : `did you mean '${word}'?`;
    };
    for (const row of inOrder(edit, [...rows])) {
      const message = `a locator of port ${quote(store.id(row))} names ${what}, ${missing}`;
      reportPort(edit, 'MW167', row, (value) => pathOfName(value, name), message, meant);
    }
  }
}

/** Nodes of a network that have no locator of one of its ports. */
export function checkLimited(edit: TableEdit): void {
  const { store } = edit;
  if (store.limited.size === 0) return;
  const suspects = new Set(store.dirtyLimited);
  for (const node of suspectNodes(edit)) {
    for (const network of store.presence.get(node)?.keys() ?? []) if (store.limited.has(network)) suspects.add(network);
  }
  if (suspects.size === 0) return;
  for (const [network, nodes] of nodesOf(edit, suspects)) {
    for (const row of store.limited.get(store.networks.find(network.id)!) ?? []) {
      const at = store.at(row).filter(({ pending, priority }) => pending !== true && priority !== NEVER_USED);
      // MW201 tells of those that nobody reaches
      if (at.length === 0) continue;
      const without = nodes.filter((node) => !at.some((locator) => hasLocator(locator, node))).map(({ id }) => id);
      if (without.length === 0) continue;
      const names = without.toSorted().slice(0, NAMED).map(quote).join(', ');
      const more = without.length > NAMED ? ` and ${without.length - NAMED} more` : '';
      const message = `port ${quote(store.id(row))} has no locator for ${names}${more} of network ${quote(network.id)}: what is sent to it there is dropped`;
      edit.report('MW207', originOfRow(edit, row), 'port', store.id(row), () => ['at'], message, {
        hint: "give it a locator without 'for', or name them too; if it is meant so, nothing is wrong",
      });
    }
  }
}
