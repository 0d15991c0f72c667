import type { HostLink } from './host-netlink.ts';
import type { DataplaneOptions, UnderlayDevice } from './types.ts';

/** Every underlay device with its tag; 0: untagged. */
export function underlayDevices(underlay: DataplaneOptions['underlay']): Required<UnderlayDevice>[] {
  return underlay.map((one) =>
    typeof one === 'string' ? { device: one, vlan: 0 } : { device: one.device, vlan: one.vlan ?? 0 },
  );
}

/** An underlay device as it is now. */
export interface Uplink {
  /** The device that frames leave by. */
  readonly link: HostLink;
  /** Whose MAC, MTU and neighbours they have: the device itself, or the VLAN device for the tag on it. */
  readonly face: HostLink;
  /** The tag of the tunnels' frames; 0: none. */
  readonly vlan: number;
}

/** The underlay devices that are there, in the order in which they were named. */
export function uplinks(
  underlay: readonly Required<UnderlayDevice>[],
  links: ReadonlyMap<number, HostLink>,
): readonly Uplink[] {
  const found: Uplink[] = [];
  const all = [...links.values()];
  for (const { device, vlan } of underlay) {
    const link = all.find(({ name }) => name === device);
    if (link === undefined) continue;
    const tagged = vlan === 0 ? undefined : all.find((one) => isVlanOf(one, link.ifindex, vlan));
    found.push({ link, face: tagged ?? link, vlan });
  }
  return found;
}

/**
 * The uplink that a route's device belongs to: an underlay device, or the VLAN device for its tag. Without a VLAN device the
 * host itself knows nothing of the tag; a route by the device and a permanent neighbour then say what is needed.
 */
export function uplinkOf(all: readonly Uplink[], link: HostLink): Uplink | undefined {
  for (const uplink of all) {
    if (uplink.link.ifindex === link.ifindex) return { ...uplink, face: link };
    if (uplink.vlan !== 0 && isVlanOf(link, uplink.link.ifindex, uplink.vlan)) return { ...uplink, face: link };
  }
  return undefined;
}

/** Why nothing gets out there; undefined: it is up. */
export function outage({ link, face }: Uplink): string | undefined {
  for (const one of face === link ? [link] : [link, face]) {
    if (!one.up) return `${one.name} is down`;
    if (!one.carrier) return `${one.name} has no carrier`;
  }
  return undefined;
}

export function isVlanOf(
  link: { readonly vlan: { readonly of: number; readonly id: number } | undefined },
  device: number,
  id: number,
): boolean {
  return link.vlan?.of === device && link.vlan.id === id;
}
