/** What the counters have to say of a packet: docs/packet-rules.md, section 5. */

import type { OutputFrame } from '../../src/simulator/types.ts';
import { SEGMENTER_DEVICE, type VerdictRecord } from '../../src/simulator/types.ts';
import type { Table } from '../../src/table/model.ts';
import type { Scene } from './scene.ts';

const NEVER = 255;

/**
 * Exactly one of the two programs counts a packet; what is left or goes to the stack is counted by neither. Keys as
 * `PacketKernel.counters` has them.
 *
 * @param second it is the copy for the place that a port moves to: it was counted before, and counts what it sends
 * @param members how many copies a flooded frame should have: what is missing is counted as `flood-copy`
 */
export function countersOf(
  from: string,
  record: VerdictRecord,
  outputs: readonly OutputFrame[],
  members: number,
  second = false,
): Record<string, number> {
  const { verdict, reason, device } = record;
  if (second) return verdict === 'drop' ? { [`drops ${reason}`]: 1 } : { [`${device} txPackets`]: 1 };
  switch (verdict) {
    case 'drop':
      return { [`drops ${reason}`]: 1, ...(reason !== 'no-port' && { [`${from} drops`]: 1 }) };
    case 'answer':
      return { [`${from} rxPackets`]: 1, [`${from} answers`]: 1, [`${from} txPackets`]: 1 };
    case 'flood': {
      const sent: Record<string, number> = { [`${from} rxPackets`]: 1 };
      for (const output of outputs) sent[`${output.device} txPackets`] = (sent[`${output.device} txPackets`] ?? 0) + 1;
      const lost = members - record.copies!;
      return lost === 0 ? sent : { ...sent, 'drops flood-copy': lost };
    }
    case 'deliver':
    case 'encap':
      // its segments are counted, when they come back from there
      if (device === SEGMENTER_DEVICE) return {};
      return { [`${from} rxPackets`]: 1, [`${device} txPackets`]: 1 };
    default:
      return {};
  }
}

/**
 * Members of a network that should get a copy of what comes from a device. `hasList`: its list of them is there.
 */
export function membersFor(scene: Scene, from: string, network: string, hasList = true): number {
  if (!hasList) return 0;
  const { table, node } = scene;
  const { encap, flood } = table.networks.get(network)!;
  const { is } = scene.devices[from]!;
  const { here, others } = placesOf(table, node, network, is);
  if (is === 'underlay') return here;
  return here + (encap === 'flat' || flood === 'multicast' ? 1 : others);
}

/**
 * Ports of the network here but the sender (from the underlay: but those that are for this node alone), and the other nodes that have one;
 * places that this node never uses do not count.
 */
function placesOf(table: Table, node: string, network: string, sender: string | undefined) {
  let here = 0;
  const names = [node, `region:${table.nodes.get(node)?.region}`];
  const others = new Set<string>();
  for (const port of table.ports()) {
    if (port.network !== network) continue;
    for (const at of port.at) {
      if (at.priority === NEVER && at.pending !== true) continue;
      if (at.node !== node && at.for?.some((name) => names.includes(name)) === false) continue;
      if (at.node !== node) others.add(at.node);
      else if (sender === 'underlay' ? !at.for?.every((name) => name === node) : port.id !== sender) here++;
    }
  }
  return { here, others: others.size };
}
