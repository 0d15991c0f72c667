/** How many copies a flooded frame should have: what is missing of them is counted as `flood-copy`. */
import type { PacketFixture } from './packet-fixture.ts';
import { programOf } from './scene.ts';

const NEVER = 255;

/** Members of the network that should get a copy of what comes from the fixture's device. */
export function membersFor({ scene, from, change }: PacketFixture, network: string): number {
  if (change?.faults?.some(({ target, key }) => target === 'flood' && key === network)) return 0;
  const { table, node } = scene;
  const { encap, flood } = table.networks.get(network)!;
  const sender = scene.devices[from]!.is;
  const fromPort = programOf(scene, from) === 'port';
  let ports = 0;
  const others = new Set<string>();
  for (const port of table.ports()) {
    if (port.network !== network) continue;
    for (const at of port.at) {
      if (at.priority === NEVER) continue;
      if (at.node !== node) others.add(at.node);
      else if (port.id !== sender) ports++;
    }
  }
  if (!fromPort) return ports;
  return ports + (encap === 'flat' || flood === 'multicast' ? 1 : others.size);
}
