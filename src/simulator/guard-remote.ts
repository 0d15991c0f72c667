/** Is the inner source behind the node that sent the packet? packet-rules.md rule 3.8. */
import type { TableNode } from '../table/model.ts';
import type { Run } from './run.ts';
import type { World } from './world.ts';

/** Does a port that may send from this MAC have a place on that node, or had one a moment ago? */
export function isBehind({ world }: Run, network: string, mac: string, node: TableNode): boolean | 'stale' {
  const balanced = world.balancedOfMac(network, mac);
  if (balanced.state === 'found') return false;
  const owner = world.portOfMac(network, mac);
  if (owner.state === 'stale') return 'stale';
  if (owner.state === 'found') {
    const at = isAt(world, owner.value, node.id);
    if (at !== false) return at;
  }
  const shared = world.portsOfSourceMac(network, mac);
  if (shared.state === 'stale') return 'stale';
  if (shared.state === 'missing') return owner.state === 'missing' && node.guard === 'open';
  for (const port of shared.value) {
    const at = isAt(world, port, node.id);
    if (at !== false) return at;
  }
  return false;
}

/** Is, or was a moment ago, the port at this node? */
export function isAt(world: World, id: string, node: string): boolean | 'stale' {
  const port = world.port(id);
  if (port.state !== 'found') return port.state === 'stale' ? 'stale' : false;
  if (port.value.at.some((at) => at.node === node)) return true;
  const former = world.environment.former.get(id);
  return former !== undefined && former.node === node && !former.past;
}
