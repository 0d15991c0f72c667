/** What a program did with a packet, held against what it had to do. */
import type { Hook, OutputFrame, VerdictRecord } from '../../src/simulator/types.ts';
import { toHex } from './packet.ts';
import { byDeviceAndBytes } from './packet-fixture.ts';
import type { PacketKernel, PacketOutcome } from './packet-kernel.ts';

const XDP_DROP = 1;
const XDP_PASS = 2;
const XDP_REDIRECT = 4;
const TC_ACT_UNSPEC = 0xffffffff;
const TC_ACT_OK = 0;
const TC_ACT_SHOT = 2;
const TC_ACT_STOLEN = 4;
const TC_ACT_REDIRECT = 7;

/** What the program may return for a verdict. */
const RETURNS: Readonly<Record<Hook, Readonly<Partial<Record<VerdictRecord['verdict'], readonly number[]>>>>> = {
  xdp: { drop: [XDP_DROP], stack: [XDP_PASS], left: [XDP_PASS], deliver: [XDP_REDIRECT], encap: [XDP_REDIRECT] },
  tc: {
    drop: [TC_ACT_SHOT],
    stack: [TC_ACT_OK, TC_ACT_UNSPEC],
    deliver: [TC_ACT_REDIRECT],
    encap: [TC_ACT_REDIRECT],
    answer: [TC_ACT_REDIRECT],
    flood: [TC_ACT_SHOT, TC_ACT_STOLEN],
  },
};

export interface Wanted {
  readonly record: VerdictRecord;
  readonly outputs: readonly OutputFrame[];
}

/** What differs, as text; nothing: they agree. `input` is the frame that went in. */
export function differences(
  kernel: PacketKernel,
  hook: Hook,
  input: Uint8Array,
  wanted: Wanted,
  got: PacketOutcome,
): string[] {
  const found: string[] = [];
  const { record, outputs } = wanted;
  const expected = kernel.expected(record);
  if (Object.entries(expected).some(([field, value]) => got.raw[field as keyof typeof expected] !== value)) {
    found.push(`record: ${kernel.describe(got.raw)}, not ${kernel.describe(expected)}`);
    return found;
  }
  if (!RETURNS[hook][record.verdict]?.includes(got.retval)) found.push(`it returned ${got.retval}`);
  if (record.verdict === 'flood') {
    const [want, have] = [outputs, got.sent].map((list) => [...list].sort(byDeviceAndBytes).map(line));
    const extra = have!.filter((text) => !want!.includes(text));
    const absent = want!.filter((text) => !have!.includes(text));
    if (extra.length + absent.length > 0 || want!.length !== have!.length) {
      found.push(
        `copies: ${have!.length}, not ${want!.length}`,
        ...extra.map((text) => `  sent:   ${text}`),
        ...absent.map((text) => `  wanted: ${text}`),
      );
    }
    return found;
  }
  for (const { device, frame } of got.sent) found.push(`sent by ${device}: ${toHex(frame)}`);
  if (record.verdict === 'drop') return found;
  const frame = outputs[0]?.frame ?? input;
  if (Buffer.compare(frame, got.data) !== 0) found.push(`frame: ${toHex(got.data)}`, `not:   ${toHex(frame)}`);
  return found;
}

function line({ device, frame }: OutputFrame): string {
  return `${device} ${toHex(frame)}`;
}
