import type { PlannedNetwork } from '../compiler/index.ts';
import type { Finding } from './finding.ts';

/** Outer IPv4, UDP, VXLAN and inner Ethernet header. */
const OVERHEAD = 50;
/** RFC 8200 section 5 */
const IPV6_MIN_MTU = 1280;

/** What is wrong with the MTU of an underlay device, given the networks that this node shares with others. */
export function mtuFindings(
  device: { readonly name: string; readonly mtu: number },
  networks: Iterable<Pick<PlannedNetwork, 'network' | 'mtu' | 'nodes'>>,
): Finding[] {
  const what = `device ${device.name}`;
  const tooLarge = [...networks]
    .filter(({ mtu, nodes }) => nodes.length > 0 && mtu + OVERHEAD > device.mtu)
    .sort((a, b) => b.mtu - a.mtu);
  const [largest] = tooLarge;
  if (largest !== undefined) {
    const more = tooLarge.length > 1 ? `, and so are ${tooLarge.length - 1} more` : '';
    const needed = largest.mtu + OVERHEAD;
    return [
      {
        what,
        state: 'fail',
        found: `MTU ${device.mtu} is too small: network '${largest.network}' carries packets of ${largest.mtu} bytes, ${needed} with the outer headers${more}`,
        remedy: `ip link set ${device.name} mtu ${needed}; or in the table, 'mtu: ${device.mtu}' for this node and no more than 'mtu: ${device.mtu - OVERHEAD}' for the network`,
      },
    ];
  }
  if (device.mtu >= IPV6_MIN_MTU + OVERHEAD) return [];
  return [
    {
      what,
      state: 'warn',
      found: `MTU ${device.mtu} leaves ${device.mtu - OVERHEAD} for guests, less than the ${IPV6_MIN_MTU} that IPv6 needs`,
      remedy: `ip link set ${device.name} mtu 1500 or more`,
    },
  ];
}
