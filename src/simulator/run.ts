/** One packet on its way through the rules: what is given, and the ways in which it can end. */
import type { FrameView, Ipv4, Ipv6, Layer3 } from './parse.ts';
import type { Trace } from './trace.ts';
import type { Hook, OutputFrame, ReasonName, Tag, VerdictRecord } from './types.ts';
import type { World } from './world.ts';

export interface Run {
  readonly world: World;
  readonly hook: Hook;
  /** Name of the device the frame came from. */
  readonly device: string;
  readonly frame: FrameView;
  /** The frame came in more than one buffer (XDP). */
  readonly multiBuffer: boolean;
  /** Segment size of a super-packet (TC); 0: none. */
  readonly gsoSize: number;
  /** The VLAN tag that travels beside the frame (TC). */
  readonly tag: Tag | undefined;
  /** The copy that came back, for the place that a port moves to. */
  readonly second: boolean;
  readonly trace: Trace;
}

/** How a run ended. */
export interface Decision {
  readonly record: VerdictRecord;
  readonly outputs: readonly OutputFrame[];
  readonly toStack?: true;
  readonly heard?: string;
}

/** `network` is the id, once known. */
export function drop(reason: ReasonName, network?: string): Decision {
  const record: VerdictRecord = { verdict: 'drop', reason, ...(network !== undefined && { network }) };
  return { record, outputs: [] };
}

export function stack(): Decision {
  return { record: { verdict: 'stack', reason: 'none' }, outputs: [] };
}

export function left(): Decision {
  return { record: { verdict: 'left', reason: 'none' }, outputs: [] };
}

/** An answer leaves by the device that the question came from. */
export function answer(
  run: Run,
  fields: Pick<VerdictRecord, 'network' | 'port'>,
  reason: ReasonName,
  frame: Uint8Array,
): Decision {
  return {
    record: { verdict: 'answer', reason, ...fields, device: run.device },
    outputs: [{ device: run.device, frame }],
  };
}

export function isIp(layer3: Layer3): layer3 is Ipv4 | Ipv6 {
  return layer3.kind === 'ipv4' || layer3.kind === 'ipv6';
}

/** The bytes of the frame, to be changed. */
export function copyFrame(frame: FrameView): Uint8Array {
  return frame.bytes.slice(frame.start, frame.end);
}
