/** The reflector of Seamless BFD: packet-rules.md §9. */
import { ipBytes } from '../table/address.ts';
import { read16, read32, write16, write32 } from './bytes.ts';
import { fold, pseudoHeaderSum, sum16, updateChecksum } from './checksum.ts';
import { PROBE_PORT, type Probe } from './decap.ts';
import { PROTOCOL_UDP } from './parse.ts';
import { copyFrame, type Decision, drop, left, type Run } from './run.ts';
import type { Device, ReasonName } from './types.ts';
import { completeChecksum } from './unfinished-checksum.ts';

const ETHERNET = 14;
const TAG = 4;
const UDP = 8;
const BFD = 24;
const TTL = 255;
const VERSION_1 = 0x20;
const ADMIN_DOWN_DIAGNOSTIC = 7;
const STATE_UP = 0xc0;
const FLAG = {
  poll: 0x20,
  final: 0x10,
  independent: 0x08,
  authenticated: 0x04,
  demand: 0x02,
  multipoint: 0x01,
} as const;
const MIN_RX_US = 10_000;

export function reflect(run: Run, from: Device, probe: Probe): Decision {
  const { world, trace } = run;
  const { bytes, buffered } = run.frame;
  const bfd = probe.udp + UDP;
  const mistake = run.gsoSize > 0 || probe.udpLength !== UDP + BFD ? 'its size' : undefined;
  if (mistake === undefined && bfd + BFD > buffered) {
    trace.note('5', 'are all headers in the first buffer?', 'no: left to TC');
    return left();
  }
  const wrong = mistake ?? mistakeOf(bytes, probe);
  trace.note('9.1', `a probe from ${probe.source}`, wrong ?? 'sane');
  if (wrong !== undefined) return drop('probe-malformed');
  const reason = refuses(run, probe);
  trace.note('9.2–4', 'is it answered?', reason ?? 'yes');
  if (reason !== undefined) return drop(reason);
  if (run.hook === 'xdp' && (!from.xdpRedirect || (run.multiBuffer && !from.xdpFrags))) {
    trace.note('5', `does ${from.name} take frames from XDP?`, 'no: left to TC');
    return left();
  }
  const state = world.stateOf(world.environment.node);
  trace.note('9.5', 'state of this node', state);
  return {
    record: { verdict: 'answer', reason: 'none', device: run.device },
    outputs: [{ device: run.device, ...tagAside(run, probe, answered(run, from, probe, state === 'up')) }],
  };
}

/** TC sees the tag of the underlay beside the frame, and sends it there. */
function tagAside(run: Run, probe: Probe, frame: Uint8Array): { readonly frame: Uint8Array; readonly tag?: number } {
  if (run.tag !== undefined) return { frame, tag: run.tag.tci };
  const ip = probe.ip - run.frame.start;
  if (run.hook === 'xdp' || ip === ETHERNET) return { frame };
  const untagged = new Uint8Array(frame.length - TAG);
  untagged.set(frame.subarray(0, ETHERNET - 2));
  untagged.set(frame.subarray(ETHERNET + TAG - 2), ETHERNET - 2);
  return { frame: untagged, tag: read16(frame, ETHERNET) };
}

/** Rule 9.1, but for the size. */
function mistakeOf(bytes: Uint8Array, { family, udp }: Probe): string | undefined {
  const bfd = udp + UDP;
  const flags = bytes[bfd + 1]!;
  if (read16(bytes, udp) === PROBE_PORT) return 'its source port';
  if (family === 6 && read16(bytes, udp + 6) === 0) return 'no checksum';
  if (bytes[bfd]! >>> 5 !== 1) return 'its version';
  if (bytes[bfd + 3] !== BFD) return 'its length';
  if ((flags & FLAG.authenticated) !== 0) return 'authenticated';
  if ((flags & FLAG.multipoint) !== 0) return 'multipoint';
  if ((flags & FLAG.demand) === 0) return 'no initiator’s';
  if (bytes[bfd + 2] === 0) return 'its multiplier';
  return read32(bytes, bfd + 4) === 0 ? 'its discriminator' : undefined;
}

/** Rules 9.2 to 9.4. */
function refuses(run: Run, { family, ip, udp, source }: Probe): ReasonName | undefined {
  const { world } = run;
  const { bytes } = run.frame;
  const { discriminator, probeHops } = world.environment;
  if (bytes[ip + (family === 4 ? 8 : 7)]! < 256 - probeHops) return 'probe-ttl';
  if (read32(bytes, udp + UDP + 8) !== discriminator) return 'probe-discriminator';
  const owner = world.ownerOfAddress(source);
  if (owner.state === 'stale') return 'stale';
  const node = owner.state === 'found' && owner.value.kind === 'node' ? owner.value.node : undefined;
  return node === undefined || world.isSelf(node.id) ? 'unknown-node' : undefined;
}

function exchange(bytes: Uint8Array, one: number, other: number, length: number): void {
  const kept = bytes.slice(one, one + length);
  bytes.copyWithin(one, other, other + length);
  bytes.set(kept, other);
}

/** Rule 9.5: the frame that goes back. */
function answered(run: Run, from: Device, probe: Probe, up: boolean): Uint8Array {
  const bytes = copyFrame(run.frame);
  const [ip, udp] = [probe.ip - run.frame.start, probe.udp - run.frame.start];
  const bfd = udp + UDP;
  const before = bytes.slice(bfd, bfd + BFD);
  exchange(bytes, 0, 6, 6);
  if (probe.family === 4) {
    const old = read16(bytes, ip + 8);
    bytes[ip + 8] = TTL;
    write16(bytes, ip + 10, updateChecksum(read16(bytes, ip + 10), old, read16(bytes, ip + 8)));
    exchange(bytes, ip + 12, ip + 16, 4);
  } else {
    bytes[ip + 7] = TTL;
    exchange(bytes, ip + 8, ip + 24, 16);
  }
  exchange(bytes, udp, udp + 2, 2);
  exchange(bytes, bfd + 4, bfd + 8, 4);
  bytes[bfd] = VERSION_1 | (up ? 0 : ADMIN_DOWN_DIAGNOSTIC);
  const final = (before[1]! & FLAG.poll) === 0 ? 0 : FLAG.final;
  bytes[bfd + 1] = (up ? STATE_UP : 0) | FLAG.independent | final;
  write32(bytes, bfd + 16, MIN_RX_US);
  write32(bytes, bfd + 20, 0);
  mendChecksum(run, from, probe, bytes, before);
  return bytes;
}

function mendChecksum(run: Run, from: Device, probe: Probe, bytes: Uint8Array, before: Uint8Array): void {
  const udp = probe.udp - run.frame.start;
  const field = udp + 6;
  const old = read16(bytes, field);
  if (old === 0) return;
  const own = run.world.ownAddress(probe.family)!;
  const addresses = new Uint8Array([...ipBytes(probe.source), ...ipBytes(own)]);
  const unfinished = fold(pseudoHeaderSum(addresses, PROTOCOL_UDP, UDP + BFD)) === old;
  if (run.hook === 'xdp' && from.partialChecksum && unfinished) {
    completeChecksum(bytes, { offset: udp, length: UDP + BFD, field, udp: true });
    return;
  }
  // all words at once: the sum of what was, taken away, and that of what is
  const removed = fold(sum16(before));
  const added = fold(sum16(bytes, udp + UDP, udp + UDP + BFD));
  const mended = updateChecksum(old, removed, added);
  write16(bytes, field, mended === 0 ? 0xffff : mended);
}
