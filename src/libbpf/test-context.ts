import { LITTLE_ENDIAN } from './byte-order.ts';
import { invalidArgument } from './system-error.ts';

/** Contexts for `Program.testRun`: the parts of them that the kernel accepts. */

export interface XdpContext {
  /** Bytes of the frame; the kernel wants them said. */
  readonly dataLength: number;
  /** Bytes of metadata at the start of `data`: a multiple of 4, at most 32 on old kernels. */
  readonly metaLength?: number;
  /** The device it comes in by; one with XDP receive queues (veth, a NIC). */
  readonly ingressIfindex?: number;
  readonly rxQueueIndex?: number;
}

/** `struct xdp_md` */
export function xdpContext(context: XdpContext): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  view.setUint32(0, context.metaLength ?? 0, LITTLE_ENDIAN);
  view.setUint32(4, context.dataLength, LITTLE_ENDIAN);
  view.setUint32(12, context.ingressIfindex ?? 0, LITTLE_ENDIAN);
  view.setUint32(16, context.rxQueueIndex ?? 0, LITTLE_ENDIAN);
  return new Uint8Array(view.buffer);
}

export interface SkbContext {
  readonly mark?: number;
  readonly priority?: number;
  /** `skb->skb_iif` */
  readonly ingressIfindex?: number;
  /** `skb->dev`: a device of this network namespace. */
  readonly ifindex?: number;
  /** Five numbers of 32 bits. */
  readonly cb?: readonly number[];
  /** In nanoseconds. */
  readonly tstamp?: bigint;
  readonly wireLength?: number;
  readonly gsoSegments?: number;
  readonly gsoSize?: number;
}

/** `struct __sk_buff`, of which test runs (kernel function convert___skb_to_skb) accept just these. */
export function skbContext(context: SkbContext): Uint8Array {
  const view = new DataView(new ArrayBuffer(192));
  view.setUint32(8, context.mark ?? 0, LITTLE_ENDIAN);
  view.setUint32(32, context.priority ?? 0, LITTLE_ENDIAN);
  view.setUint32(36, context.ingressIfindex ?? 0, LITTLE_ENDIAN);
  view.setUint32(40, context.ifindex ?? 0, LITTLE_ENDIAN);
  if (context.cb !== undefined && context.cb.length !== 5) throw invalidArgument('cb has five numbers');
  context.cb?.forEach((value, i) => {
    view.setUint32(48 + i * 4, value, LITTLE_ENDIAN);
  });
  view.setBigUint64(152, context.tstamp ?? 0n, LITTLE_ENDIAN);
  view.setUint32(160, context.wireLength ?? 0, LITTLE_ENDIAN);
  view.setUint32(164, context.gsoSegments ?? 0, LITTLE_ENDIAN);
  view.setUint32(176, context.gsoSize ?? 0, LITTLE_ENDIAN);
  return new Uint8Array(view.buffer);
}
