/** A packet that goes to one device: what XDP can do itself and what it leaves to TC (packet-rules.md §5). */
import type { Ethernet, Layer3 } from './parse.ts';
import { copyFrame, type Decision, left, type Run } from './run.ts';
import type { Device } from './types.ts';
import { completeChecksum, LONGEST_COMPLETED, unfinishedChecksum } from './unfinished-checksum.ts';

/** The (inner) frame with its headers, about to be sent. */
export interface Parsed {
  readonly ethernet: Ethernet;
  readonly layer3: Layer3;
}

/**
 * The bytes that leave: the frame as it is, or (XDP) with its checksum completed. A decision when XDP leaves the packet.
 * `from` is the device that the packet came from, `to` the one it leaves by.
 */
export function finish(run: Run, parsed: Parsed, from: Device, to: Device): Uint8Array | Decision {
  const { frame, trace, multiBuffer } = run;
  const bytes = copyFrame(frame);
  if (run.hook === 'tc') return bytes;
  if (parsed.ethernet.tags > 0) {
    trace.note('5', 'a tag?', 'yes: left to TC');
    return left();
  }
  if (!to.xdpRedirect || (multiBuffer && !to.xdpFrags)) {
    trace.note('5', `does ${to.name} take ${multiBuffer ? 'multi-buffer ' : ''}frames from XDP?`, 'no: left to TC');
    return left();
  }
  const unfinished = from.partialChecksum ? unfinishedChecksum(frame, parsed.layer3) : undefined;
  if (unfinished === undefined) return bytes;
  if (multiBuffer || unfinished.length > LONGEST_COMPLETED) {
    trace.note('5', 'an unfinished checksum?', 'yes, too long to complete: left to TC');
    return left();
  }
  trace.note('5', 'an unfinished checksum?', 'yes: completed');
  completeChecksum(bytes, unfinished);
  return bytes;
}
