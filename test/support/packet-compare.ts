/** What a program did with a packet, held against what it had to do. */
import type { Hook, OutputFrame, VerdictRecord } from '../../src/simulator/types.ts';
import { toHex } from './packet.ts';
import { byDeviceAndBytes } from './packet-fixture.ts';
import type { PacketInput, PacketKernel, PacketOutcome } from './packet-kernel.ts';

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
  xdp: {
    drop: [XDP_DROP],
    stack: [XDP_PASS],
    left: [XDP_PASS],
    deliver: [XDP_REDIRECT],
    encap: [XDP_REDIRECT],
    answer: [XDP_REDIRECT],
  },
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
  /** Of a flood: the packet itself goes on to the stack. */
  readonly toStack?: true;
  /** The port that announces itself by this. */
  readonly heard?: string;
}

/** What differs, as text; nothing: they agree. `input` is what went in. */
export function differences(kernel: PacketKernel, input: PacketInput, wanted: Wanted, got: PacketOutcome): string[] {
  const found: string[] = [];
  const { hook } = input;
  const { record, outputs } = wanted;
  const expected = kernel.expected(record);
  if (Object.entries(expected).some(([field, value]) => got.raw[field as keyof typeof expected] !== value)) {
    found.push(`record: ${kernel.describe(got.raw)}, not ${kernel.describe(expected)}`);
    return found;
  }
  const heard = wanted.heard === undefined ? [] : [wanted.heard];
  if (String(got.heard) !== String(heard)) found.push(`heard: ${got.heard}, not ${heard}`);
  if (!returnsOf(hook, wanted).includes(got.retval)) found.push(`it returned ${got.retval}`);
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
  for (const output of got.sent) found.push(`sent by ${line(output)}`);
  if (record.verdict === 'drop') return found;
  const { frame, tag } = outputs[0] ?? { frame: input.frame };
  if (Buffer.compare(frame, got.data) !== 0) found.push(`frame: ${toHex(got.data)}`, `not:   ${toHex(frame)}`);
  if (got.retval === TC_ACT_REDIRECT && !got.once && tag !== got.tag)
    found.push(`tag beside it: ${got.tag}, not ${tag}`);
  return found;
}

function returnsOf(hook: Hook, { record, toStack }: Wanted): readonly number[] {
  return RETURNS[hook][toStack === true ? 'stack' : record.verdict] ?? [];
}

function line({ device, frame, tag }: OutputFrame): string {
  return `${device} ${tag === undefined ? '' : `tag ${tag} `}${toHex(frame)}`;
}
