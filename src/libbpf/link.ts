import { unlinkSync } from 'node:fs';
import { addon } from './addon.ts';
import { LITTLE_ENDIAN } from './byte-order.ts';
import { AttachType, LinkType, ProgramType, type ProgramTypeName } from './constants.ts';
import { Fd } from './fd.ts';
import { Kind, objectInfo, openById, openPinned, pin } from './kernel-object.ts';
import { getDevice } from './netlink/devices.ts';
import { NetlinkSocket, Protocol } from './netlink/socket.ts';
import type { Program } from './program.ts';
import { checked, Errno, invalidArgument, systemError } from './system-error.ts';

export type LinkKind = 'xdp' | 'tcx' | 'netkit' | 'other';

export interface LinkInfo {
  readonly id: number;
  /** `LinkType` */
  readonly type: number;
  readonly kind: LinkKind;
  readonly programId: number;
  /** 0 when the device is gone (the link is defunct) or the kind has none. */
  readonly ifindex: number;
  /** tcx only */
  readonly direction?: Direction;
}

export type Direction = 'ingress' | 'egress';

export interface XdpOptions {
  readonly ifindex: number;
  /**
   * `native`: in the driver, or fail. `generic`: in the stack, any device. `any`: native if the driver can, else generic.
   */
  readonly mode: 'native' | 'generic' | 'any';
}

export interface TcxOptions {
  readonly ifindex: number;
  readonly direction: Direction;
  /** Before (`first`) or after (`last`) the programs that are there; last unless said otherwise. */
  readonly position?: 'first' | 'last';
}

const XDP_FLAGS = { any: 0, generic: 1 << 1, native: 1 << 2 } as const;
const BPF_F_BEFORE = 1 << 3;
const BPF_F_AFTER = 1 << 4;

/**
 * A program's attachment, held by a bpf_link. Without a pin it goes with its last descriptor: a process that ends
 * detaches. update() replaces the program atomically: every packet sees one or the other.
 */
export class Link implements Disposable {
  readonly id: number;
  readonly kind: LinkKind;
  readonly #fd: Fd;
  readonly #what: string;

  private constructor(fd: number) {
    this.#fd = new Fd(fd, 'link');
    try {
      const { id, kind } = this.info();
      this.id = id;
      this.kind = kind;
    } catch (error) {
      this.#fd.close();
      throw error;
    }
    this.#what = `${this.kind} link ${this.id}`;
  }

  /** Wraps a descriptor of the addon and owns it. For this folder only. @internal */
  static own(fd: number): Link {
    return new Link(fd);
  }

  /** @throws ERR_MW_NOT_FOUND; ERR_MW_INVALID_ARGUMENT if something else is pinned there */
  static openPinned(path: string): Link {
    return new Link(openPinned('link', path));
  }

  /** @throws ERR_MW_NOT_FOUND, ERR_MW_PRIVILEGE: every kernel wants CAP_SYS_ADMIN for this. */
  static fromId(id: number): Link {
    return new Link(openById('link', id));
  }

  /** @throws ERR_MW_CLOSED */
  get fd(): number {
    return this.#fd.number;
  }

  get closed(): boolean {
    return this.#fd.closed;
  }

  /** A second handle of the same link. */
  dup(): Link {
    return new Link(checked(addon().duplicate(this.fd, Kind.link), 'fcntl(F_DUPFD)', this.#what));
  }

  /**
   * Replaces the program in place. The new one must have the type and the expected attach type of the old; XDP on a device
   * with a large MTU also its `frags`.
   *
   * @param old replace only this one
   * @throws ERR_MW_SYSCALL: EPERM if another than `old` runs there, ENOLINK if the link is defunct
   */
  async update(program: Program, old?: Program): Promise<void> {
    const result = await addon().linkUpdate(this.fd, program.fd, old?.fd);
    checked(result, 'bpf(BPF_LINK_UPDATE)', `update ${this.#what}`, {
      details: { link: this.id },
      ...(result === -Errno.EPERM && old !== undefined
        ? { code: 'ERR_MW_SYSCALL' as const, hint: 'the program attached there is not the expected one' }
        : {}),
    });
  }

  /** Detaches at once, whoever else holds the link; what stays is a defunct link without a device. */
  async detach(): Promise<void> {
    checked(await addon().linkDetach(this.fd), 'bpf(BPF_LINK_DETACH)', `detach ${this.#what}`);
  }

  info(): LinkInfo {
    const view = objectInfo(this.fd, this.#what ?? 'link');
    const type = view.getUint32(0, LITTLE_ENDIAN);
    const kind =
      type === LinkType.XDP ? 'xdp' : type === LinkType.TCX ? 'tcx' : type === LinkType.NETKIT ? 'netkit' : 'other';
    return {
      type,
      kind,
      id: view.getUint32(4, LITTLE_ENDIAN),
      programId: view.getUint32(8, LITTLE_ENDIAN),
      ifindex: kind === 'other' ? 0 : view.getUint32(16, LITTLE_ENDIAN),
      ...(kind === 'tcx'
        ? {
            direction:
              view.getUint32(20, LITTLE_ENDIAN) === AttachType.TCX_INGRESS ? ('ingress' as const) : ('egress' as const),
          }
        : {}),
    };
  }

  pin(path: string): void {
    pin(this.fd, this.#what, path);
  }

  /** Removes a pin of it; absent is fine. */
  unpin(path: string): void {
    removePin(path);
  }

  /** Idempotent. Detaches unless the link is pinned or held elsewhere. */
  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Removes a pin; absent is fine. */
export function removePin(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw systemError((error as NodeJS.ErrnoException).errno ?? 0, 'unlink', `unpin '${path}'`, { details: { path } });
  }
}

/** @throws ERR_MW_INVALID_ARGUMENT */
export function checkIfindex(ifindex: number): void {
  if (!Number.isInteger(ifindex) || ifindex <= 0 || ifindex > 0x7fffffff) {
    throw invalidArgument(`${ifindex} is not an interface index`);
  }
}

/** @throws ERR_MW_INVALID_ARGUMENT for a program of another type */
export function checkType(program: Program, wanted: ProgramTypeName): void {
  if (program.type !== ProgramType[wanted]) {
    throw invalidArgument(`program '${program.name}' is of type ${program.typeName}, not ${wanted}`);
  }
}

/** The kernel says EINVAL for a device that is not there; this says it better. */
async function assertDevice(ifindex: number): Promise<void> {
  using socket = new NetlinkSocket(Protocol.ROUTE);
  await getDevice(socket, ifindex);
}

/**
 * Attaches an XDP program by a bpf_link (kernel 5.9).
 *
 * @throws ERR_MW_FOREIGN_PROGRAM when a program is attached already (EBUSY, EEXIST), ERR_MW_NOT_FOUND without such a device,
 * ERR_MW_UNSUPPORTED when the driver has no native XDP or the program does not suit the device
 */
export async function attachXdp(program: Program, options: XdpOptions): Promise<Link> {
  checkIfindex(options.ifindex);
  checkType(program, 'xdp');
  const result = await addon().linkCreate(program.fd, {
    ifindex: options.ifindex,
    attachType: AttachType.XDP,
    flags: XDP_FLAGS[options.mode],
  });
  if (result >= 0) return Link.own(result);
  const what = `attach XDP program '${program.name}' to device ${options.ifindex}`;
  if (result === -Errno.EINVAL) await assertDevice(options.ifindex);
  const details = { ifindex: options.ifindex, mode: options.mode };
  switch (-result) {
    case Errno.EBUSY:
    case Errno.EEXIST:
      throw systemError(result, 'bpf(BPF_LINK_CREATE)', what, {
        code: 'ERR_MW_FOREIGN_PROGRAM',
        details,
        hint: 'another XDP program is attached: see `bpftool net`, detach it, or choose the tc hook',
      });
    case Errno.EOPNOTSUPP:
    case Errno.ERANGE:
      throw systemError(result, 'bpf(BPF_LINK_CREATE)', what, {
        code: 'ERR_MW_UNSUPPORTED',
        details,
        hint: "the driver refuses native XDP as the device is now (see dmesg; often its MTU or queues): use mode 'generic' or tc",
      });
    default:
      throw systemError(result, 'bpf(BPF_LINK_CREATE)', what, { details });
  }
}

/** The loopback device of every network namespace. */
const LOOPBACK = 1;
let tcx: boolean | undefined;

/** Whether the kernel has TCX (6.6): it then knows the attach type in a query. */
export function hasTcx(): boolean {
  tcx ??= addon().programQuery(LOOPBACK, AttachType.TCX_INGRESS) !== -Errno.EINVAL;
  return tcx;
}

/**
 * Attaches a TC program by a TCX link.
 *
 * @throws ERR_MW_UNSUPPORTED before kernel 6.6, ERR_MW_NOT_FOUND without such a device
 */
export async function attachTcx(program: Program, options: TcxOptions): Promise<Link> {
  checkIfindex(options.ifindex);
  checkType(program, 'sched_cls');
  const result = await addon().linkCreate(program.fd, {
    ifindex: options.ifindex,
    attachType: options.direction === 'ingress' ? AttachType.TCX_INGRESS : AttachType.TCX_EGRESS,
    flags: options.position === 'first' ? BPF_F_BEFORE : options.position === 'last' ? BPF_F_AFTER : 0,
  });
  if (result >= 0) return Link.own(result);
  throw systemError(
    result,
    'bpf(BPF_LINK_CREATE)',
    `attach TC program '${program.name}' to device ${options.ifindex} (${options.direction})`,
    {
      details: { ifindex: options.ifindex, direction: options.direction },
      ...(result === -Errno.EINVAL && !hasTcx()
        ? {
            code: 'ERR_MW_UNSUPPORTED' as const,
            hint: 'TCX needs kernel 6.6: use attachTc, which falls back to clsact',
          }
        : {}),
    },
  );
}
