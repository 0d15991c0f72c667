import type { DeviceFacts } from './device-rules.ts';

/** The offload by which a driver takes VLAN tags out of received frames, by the kernel's name (`rxvlan`). */
export const TAG_STRIPPING = 'rx-vlan-hw-parse';

/** That offload of a device: `fixed` means on, and cannot be switched off. */
export type TagStripping = 'off' | 'on' | 'fixed';

/**
 * Where native XDP finds the VLAN tag of a frame, and so what is to be done before it is attached:
 * `in-frame` nothing; `switch-off` the offload must be switched off; `ask` the program must be loaded for the device and
 * ask its driver; `hidden` there is no way: XDP would take a tagged frame for an untagged one.
 */
export type TagRule = 'in-frame' | 'switch-off' | 'ask' | 'hidden';

/** docs/packet-rules.md, section 5. */
export function tagRule({ kind, xdp }: DeviceFacts, stripping: TagStripping): TagRule {
  const askable = xdp?.rxMetadata.vlanTag === true ? 'ask' : 'hidden';
  // XDP on a tap runs on what its user wrote, before the stack touches it.
  if (kind === 'tun') return 'in-frame';
  // A veth hands over what its peer sent, tag beside the frame, whatever its offloads say.
  if (kind === 'veth') return askable;
  if (stripping === 'off') return 'in-frame';
  return stripping === 'on' ? 'switch-off' : askable;
}
