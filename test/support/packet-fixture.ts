/** Packet fixtures: what they are, and how their short texts are read. */
import type { OutputFrame, ReasonName, Tag, VerdictRecord } from '../../src/simulator/types.ts';
import { frame } from './packet.ts';
import { concat } from './packet-layer.ts';
import type { Scene, SceneChange } from './scene.ts';

/** A frame as text for the packet builder, or as bytes. */
export type FrameText = string | Uint8Array;

/** A frame that leaves; with `tag`, the 16 bits of a tag 0x8100 that TC sends beside it and XDP in it. */
export type OutText = readonly [device: string, frame: FrameText, tag?: number];

export interface PacketFixture {
  readonly name: string;
  readonly scene: Scene;
  readonly change?: SceneChange;
  /** Device that the frame comes from. */
  readonly from: string;
  readonly frame: FrameText;
  /** TC: segment size of a super-packet. */
  readonly gsoSize?: number;
  /** TC: a tag beside the frame (a number: 0x8100 with these 16 bits). XDP does not see such a tag: not run there. */
  readonly metadataTag?: number | Tag;
  /** XDP: bytes in the first buffer. */
  readonly firstBuffer?: number;
  /**
   * The verdict record:
   * `drop REASON [NETWORK]` · `stack` · `left` · `deliver NETWORK PORT DEVICE` · `encap NETWORK NODE SEGMENT DEVICE [MEMBER]` ·
   * (both: ` twice` when a copy goes to where the port moves to) ·
   * `answer NETWORK PORT DEVICE` (port `-`: of a balanced address; network, too: of a probe) · `answer too-big NETWORK DEVICE` · `flood NETWORK COPIES`
   */
  readonly expect: string;
  /** The same for XDP, where it differs. */
  readonly xdp?: string;
  /** Frames that leave, by device. Default for deliver: the frame as it came. */
  readonly out?: readonly OutText[];
  /** TC: the frame is the copy that came back for the place that its destination moves to. */
  readonly second?: true;
  /** Beside `out`: what leaves when the copy for the second place comes back. */
  readonly copy?: readonly OutText[];
  /** The port that announces itself by this (TC). */
  readonly heard?: string;
  /** The same for XDP, where it differs. */
  readonly xdpOut?: readonly OutText[];
  /** Why the kernel's test run cannot be given this packet. */
  readonly notInKernel?: string;
}

export function frameOf(text: FrameText): Uint8Array {
  return typeof text === 'string' ? frame(text) : text;
}

export function recordOf(text: string): VerdictRecord {
  if (text.endsWith(' twice')) return { ...recordOf(text.slice(0, -' twice'.length)), copies: 1 };
  const [verdict, ...words] = text.split(' ');
  const [first, second, third, fourth, fifth] = words;
  switch (verdict) {
    case 'drop':
      return { verdict, reason: first as ReasonName, ...(second !== undefined && { network: second }) };
    case 'stack':
    case 'left':
      return { verdict, reason: 'none' };
    case 'deliver':
      return { verdict, reason: 'none', network: first!, port: second!, device: third! };
    case 'encap':
      return {
        verdict,
        reason: 'none',
        network: first!,
        node: second!,
        segment: Number(third),
        device: fourth!,
        ...(fifth !== undefined && { port: fifth }),
      };
    case 'answer':
      if (first === 'too-big') return { verdict, reason: first, network: second!, device: third! };
      if (first === '-') return { verdict, reason: 'none', device: third! };
      if (second === '-') return { verdict, reason: 'none', network: first!, device: third! };
      return { verdict, reason: 'none', network: first!, port: second!, device: third! };
    case 'flood':
      return { verdict, reason: 'none', network: first!, copies: Number(second) };
    default:
      throw new Error(`no expectation: ${text}`);
  }
}

/** The hooks that a fixture is for. */
export function hooksOf(fixture: PacketFixture): readonly ('xdp' | 'tc')[] {
  return fixture.metadataTag === undefined && fixture.second === undefined ? ['xdp', 'tc'] : ['tc'];
}

export interface Expectation {
  readonly record: VerdictRecord;
  readonly outputs: readonly OutputFrame[];
  /** Of a flood from the wire of a flat network: the packet itself goes on to the stack. */
  readonly toStack?: true;
  readonly heard?: string;
}

export function expectationOf(fixture: PacketFixture, hook: 'xdp' | 'tc'): Expectation {
  const record = recordOf(hook === 'xdp' ? (fixture.xdp ?? fixture.expect) : fixture.expect);
  const own = hook === 'xdp' ? (fixture.xdpOut ?? fixture.out) : fixture.out;
  const outputs = outputsOf(fixture, record, own);
  const sorted = (hook === 'xdp' ? outputs.map(withTagInside) : outputs).sort(byDeviceAndBytes);
  const heard = hook === 'tc' ? fixture.heard : undefined;
  return {
    record,
    outputs: sorted,
    ...(isFromWire(fixture, record) && { toStack: true }),
    ...(heard !== undefined && { heard }),
  };
}

function isFromWire({ scene, from }: PacketFixture, { verdict, network }: VerdictRecord): boolean {
  return (
    verdict === 'flood' &&
    scene.devices[from]?.is === 'underlay' &&
    scene.table.networks.get(network!)?.encap === 'flat'
  );
}

function outputsOf(fixture: PacketFixture, record: VerdictRecord, out: PacketFixture['out']): OutputFrame[] {
  switch (record.verdict) {
    case 'drop':
    case 'stack':
    case 'left':
      return [];
    case 'deliver':
      if (out === undefined) return [{ device: record.device!, frame: frameOf(fixture.frame) }];
      break;
  }
  if (out === undefined) throw new Error(`${fixture.name}: ${record.verdict} needs 'out'`);
  return out.map(([device, text, tag]) => ({ device, frame: frameOf(text), ...(tag !== undefined && { tag }) }));
}

/** The tag put where it is on the wire. */
export function withTagInside({ device, frame, tag }: OutputFrame): OutputFrame {
  if (tag === undefined) return { device, frame };
  const inserted = Uint8Array.of(0x81, 0x00, tag >>> 8, tag & 0xff);
  return { device, frame: concat(frame.subarray(0, 12), inserted, frame.subarray(12)) };
}

/** Copies of a flood come in no particular order. */
export function byDeviceAndBytes(one: OutputFrame, other: OutputFrame): number {
  if (one.device !== other.device) return one.device < other.device ? -1 : 1;
  return Buffer.compare(one.frame, other.frame) || (one.tag ?? 0) - (other.tag ?? 0);
}
