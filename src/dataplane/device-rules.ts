import { DeviceFlags } from '../generated/layout.ts';
import type { HookSetting } from './types.ts';

/** What a driver says about XDP (netdev family of generic netlink, kernel 6.3). */
export interface XdpAbilities {
  /** Native XDP. */
  readonly basic: boolean;
  /** Takes redirected frames. */
  readonly redirectTarget: boolean;
  /** Takes redirected multi-buffer frames. */
  readonly redirectTargetFrags: boolean;
  readonly rxMetadata: {
    /** A program that is loaded for the device can ask for the VLAN tag that the driver keeps beside the frame (6.8). */
    readonly vlanTag: boolean;
  };
}

/** What the rules look at. */
export interface DeviceFacts {
  /** e.g. `veth`, `tun`; undefined: a physical device (or a paravirtual one). */
  readonly kind: string | undefined;
  /** Is the other end of a veth in another network namespace? */
  readonly peerElsewhere: boolean;
  /** undefined: the kernel does not say (before 6.3). */
  readonly xdp: XdpAbilities | undefined;
}

/** Devices whose frames may come with unfinished checksums: what a socket on the same machine sent. */
function isVirtual(kind: string | undefined): boolean {
  return kind === 'veth' || kind === 'tun';
}

/** Bits of `enum mw_device_flags`. What is not known to work is left off: deliveries then go through TC. */
export function deviceFlags(facts: DeviceFacts): number {
  let flags = 0;
  if (facts.xdp?.redirectTarget === true) flags |= DeviceFlags.XDP_REDIRECT;
  if (facts.xdp?.redirectTargetFrags === true) flags |= DeviceFlags.XDP_FRAGS;
  if (facts.kind === 'veth' && facts.peerElsewhere) flags |= DeviceFlags.REDIRECT_PEER;
  if (isVirtual(facts.kind)) flags |= DeviceFlags.PARTIAL_CHECKSUM;
  return flags;
}

export interface HookChoice {
  /** Is XDP put in front of TC? */
  readonly xdp: boolean;
  /** The rule, in words. */
  readonly why: string;
}

/** Which hook a device gets. TC is on every device; the choice is whether XDP stands in front of it. */
export function chooseHook(setting: HookSetting, facts: DeviceFacts): HookChoice {
  if (setting === 'tc') return { xdp: false, why: 'hook: tc' };
  if (facts.xdp?.basic === false) {
    return { xdp: false, why: `the driver${facts.kind === undefined ? '' : ` of ${facts.kind}`} has no native XDP` };
  }
  if (setting === 'xdp') return { xdp: true, why: 'hook: xdp' };
  if (isVirtual(facts.kind)) {
    return { xdp: false, why: `auto: XDP on a ${facts.kind} takes the sender's segmentation offload away` };
  }
  if (facts.kind !== undefined)
    return { xdp: false, why: `auto: XDP is for physical devices, this is a ${facts.kind}` };
  return { xdp: true, why: 'auto: a physical device' };
}
