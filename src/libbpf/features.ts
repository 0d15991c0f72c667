import { addon } from './addon.ts';
import { LITTLE_ENDIAN } from './byte-order.ts';
import { AttachType, ProgramType } from './constants.ts';
import { hasTcx, Link } from './link.ts';
import { encodeAttributes, u32 } from './netlink/attributes.ts';
import { familyId } from './netlink/generic.ts';
import { NetlinkSocket, Protocol } from './netlink/socket.ts';
import { Program } from './program.ts';
import { RawMap } from './raw-map.ts';
import { Errno, hasErrno } from './system-error.ts';

/** What a kernel may have or lack, the version that brought it, and what it is for. */
export const FEATURES = {
  'xdp-link': { kernel: '5.9', what: 'XDP programs attached by links, replaced atomically' },
  'xdp-frags': { kernel: '5.18', what: 'XDP on frames larger than a page' },
  'xdp-live-frames': { kernel: '5.18', what: 'test runs that really send frames' },
  'xdp-features': { kernel: '6.3', what: "drivers tell their XDP features ('netdev' netlink family)" },
  tcx: { kernel: '6.6', what: 'TC programs attached by links' },
  'redirect-peer': { kernel: '5.10', what: 'bpf_redirect_peer()' },
  'decap-l3': { kernel: '6.3', what: 'bpf_skb_adjust_room() that changes the IP version when decapsulating' },
  'batch-hash': { kernel: '5.6', what: 'batched operations on hash maps' },
  ringbuf: { kernel: '5.8', what: 'ring buffers' },
  'managed-neighbours': { kernel: '5.16', what: 'neighbour entries that the kernel keeps resolved' },
  'ethtool-netlink': { kernel: '5.7', what: 'offloads read and set through netlink' },
} as const;

export type Feature = keyof typeof FEATURES;

/** `'unknown'` when it could not be found out, mostly for want of privilege. */
export type Support = boolean | 'unknown';

const cache = new Map<Feature, Promise<Support>>();

/** Whether the running kernel has a feature: tried out, not concluded from its version. The answer is kept. */
export function probe(feature: Feature): Promise<Support> {
  let answer = cache.get(feature);
  if (answer === undefined) {
    answer = PROBES[feature]().catch((): Support => 'unknown');
    cache.set(feature, answer);
  }
  return answer;
}

export async function probeAll(): Promise<Readonly<Record<Feature, Support>>> {
  const names = Object.keys(FEATURES) as Feature[];
  const answers = await Promise.all(names.map(async (name) => [name, await probe(name)] as const));
  return Object.fromEntries(answers) as Record<Feature, Support>;
}

/** struct bpf_insn */
function instruction(code: number, destination: number, source: number, offset: number, immediate: number): number[] {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint8(0, code);
  view.setUint8(1, LITTLE_ENDIAN ? (source << 4) | destination : (destination << 4) | source);
  view.setInt16(2, offset, LITTLE_ENDIAN);
  view.setInt32(4, immediate, LITTLE_ENDIAN);
  return [...new Uint8Array(view.buffer)];
}

const move = (register: number, value: number): number[] => instruction(0xb7, register, 0, 0, value);
const call = (helper: number): number[] => instruction(0x85, 0, 0, 0, helper);
const exit = (): number[] => instruction(0x95, 0, 0, 0, 0);

function load(type: number, instructions: number[][], flags = 0): Program | number {
  const fd = addon().programLoad({
    type,
    name: 'mw_probe',
    license: 'GPL',
    instructions: Uint8Array.from(instructions.flat()),
    flags,
    ...(type === ProgramType.xdp ? { expectedAttachType: AttachType.XDP } : {}),
  });
  return fd < 0 ? fd : Program.own(fd, 'mw_probe');
}

const XDP_PASS = [move(0, 2), exit()];
const LOOPBACK = 1;
const XDP_FLAGS_DRV_MODE = 1 << 2;
const NO_DEVICE = 0x7fffffff;

/** False for the errno that a kernel without the feature gives, unknown for others. */
function refused(result: number, errno: number): Support {
  return result === -errno ? false : 'unknown';
}

async function withXdp(use: (program: Program) => Promise<Support>): Promise<Support> {
  const program = load(ProgramType.xdp, XDP_PASS);
  if (typeof program === 'number') return 'unknown';
  using held = program;
  return await use(held);
}

async function withGeneric(name: string): Promise<Support> {
  using socket = new NetlinkSocket(Protocol.GENERIC);
  return (await familyId(socket, name)) !== undefined;
}

/** How much bpf_skb_adjust_room() likes BPF_F_ADJ_ROOM_DECAP_L3_IPV4: flags are looked at when it runs. */
function decapL3(): Support {
  const BPF_ADJ_ROOM_MAC = 1;
  const BPF_F_ADJ_ROOM_DECAP_L3_IPV4 = 1 << 7;
  const program = load(ProgramType.sched_cls, [
    move(2, -20),
    move(3, BPF_ADJ_ROOM_MAC),
    move(4, BPF_F_ADJ_ROOM_DECAP_L3_IPV4),
    call(50),
    exit(),
  ]);
  if (typeof program === 'number') return 'unknown';
  using held = program;
  // Ethernet, IPv4 in IPv4, nothing more
  const frame = new Uint8Array(74);
  frame.set([0x08, 0x00, 0x45], 12);
  frame.set([0x45], 34);
  const answer = held.testRun({ data: frame }).retval | 0;
  return answer === 0 ? true : refused(answer, Errno.EINVAL);
}

const PROBES: Readonly<Record<Feature, () => Promise<Support>>> = {
  'xdp-link': () =>
    withXdp(async (program) => {
      // The loopback device has no native XDP: a kernel that gets as far as that knows the links.
      const options = { ifindex: LOOPBACK, attachType: AttachType.XDP, flags: XDP_FLAGS_DRV_MODE };
      const result = await addon().linkCreate(program.fd, options);
      if (result >= 0) Link.own(result).close();
      return result === -Errno.EINVAL ? false : result >= 0 || result === -Errno.EOPNOTSUPP ? true : 'unknown';
    }),
  'xdp-frags': async () => {
    const BPF_F_XDP_HAS_FRAGS = 1 << 5;
    const program = load(ProgramType.xdp, XDP_PASS, BPF_F_XDP_HAS_FRAGS);
    if (typeof program === 'number') return refused(program, Errno.EINVAL);
    program.close();
    return true;
  },
  'xdp-live-frames': () =>
    withXdp(async (program) => {
      // A batch beyond the limit is refused after the flag and before any frame is made.
      const run = addon().programTestRun(program.fd, { data: new Uint8Array(64), flags: 1 << 1, batchSize: 1 << 20 });
      return run.error === Errno.E2BIG ? true : refused(-run.error, Errno.EINVAL);
    }),
  'xdp-features': () => withGeneric('netdev'),
  'ethtool-netlink': () => withGeneric('ethtool'),
  tcx: async () => hasTcx(),
  'redirect-peer': async () => {
    const program = load(ProgramType.sched_cls, [move(1, 1), move(2, 0), call(155), exit()]);
    if (typeof program === 'number') return refused(program, Errno.EINVAL);
    program.close();
    return true;
  },
  'decap-l3': async () => decapL3(),
  'batch-hash': async () => {
    using map = RawMap.create({ type: 'hash', name: 'mw_probe', keySize: 4, valueSize: 4, maxEntries: 1 });
    try {
      map.lookupBatch({ count: 1 });
      return true;
    } catch (error) {
      if (hasErrno(error, Errno.EINVAL) || hasErrno(error, Errno.ENOTSUPP)) return false;
      throw error;
    }
  },
  ringbuf: async () => {
    try {
      using _map = RawMap.create({ type: 'ringbuf', name: 'mw_probe', keySize: 0, valueSize: 0, maxEntries: 65536 });
      return true;
    } catch (error) {
      if (hasErrno(error, Errno.EINVAL)) return false;
      throw error;
    }
  },
  'managed-neighbours': async () => {
    // A bit that no kernel defines: refused (EINVAL) where the attribute is known, else the missing device is.
    const RTM_NEWNEIGH = 28;
    const NDA_FLAGS_EXT = 15;
    const ndmsg = new DataView(new ArrayBuffer(12));
    ndmsg.setUint8(0, 2);
    ndmsg.setInt32(4, NO_DEVICE, LITTLE_ENDIAN);
    using socket = new NetlinkSocket(Protocol.ROUTE);
    try {
      await socket.request(
        'probe managed neighbours',
        RTM_NEWNEIGH,
        0,
        new Uint8Array(ndmsg.buffer),
        encodeAttributes([
          [1, Uint8Array.of(192, 0, 2, 1)],
          [NDA_FLAGS_EXT, u32(0x80000000)],
        ]),
      );
      return 'unknown';
    } catch (error) {
      if (hasErrno(error, Errno.EINVAL)) return true;
      if (hasErrno(error, Errno.ENODEV)) return false;
      throw error;
    }
  },
};
