import { MapwireError } from '../errors.ts';
import { attachTcx, checkType, type Direction, hasTcx, type Link } from './link.ts';
import { NetlinkSocket, Protocol } from './netlink/socket.ts';
import { addClsact, type Filter, filters, putBpfFilter, removeClsact, removeFilter } from './netlink/tc.ts';
import type { Program } from './program.ts';
import { Errno, hasErrno, invalidArgument } from './system-error.ts';

export interface TcFilterOptions {
  readonly ifindex: number;
  readonly direction: Direction;
  /** Lower runs first; 1 unless said otherwise. */
  readonly priority?: number;
  /** 1 unless said otherwise. */
  readonly handle?: number;
}

export interface TcOptions extends TcFilterOptions {
  /** TCX only: before or after the programs that are there. */
  readonly position?: 'first' | 'last';
}

export interface TcFilterInfo {
  readonly kind: 'clsact';
  readonly ifindex: number;
  readonly direction: Direction;
  readonly priority: number;
  readonly handle: number;
  readonly programId: number;
}

/** What `attachTc` gives: TCX or clsact. Both update() and detach(). */
export type TcAttachment = Link | TcFilter;

/**
 * A BPF program as a filter of a device's clsact qdisc: what TC had before TCX. It is identified by device, direction,
 * priority and handle, needs no pin and no process, and stays until it is detached or the device goes.
 */
export class TcFilter implements Disposable {
  readonly kind = 'clsact';
  readonly ifindex: number;
  readonly direction: Direction;
  readonly priority: number;
  readonly handle: number;
  #ownsQdisc: boolean;
  #closed = false;

  private constructor(options: TcFilterOptions, ownsQdisc: boolean) {
    this.ifindex = options.ifindex;
    this.direction = options.direction;
    this.priority = options.priority ?? 1;
    this.handle = options.handle ?? 1;
    this.#ownsQdisc = ownsQdisc;
    if (!Number.isInteger(this.priority) || this.priority < 1 || this.priority > 0xffff) {
      throw invalidArgument(`${this.priority} is not a priority from 1 to 65535`);
    }
    if (!Number.isInteger(this.handle) || this.handle < 1 || this.handle > 0xffffffff) {
      throw invalidArgument(`${this.handle} is not a filter handle`);
    }
  }

  /**
   * Attaches a program at a free place; the device gets a clsact qdisc if it has none.
   *
   * @throws ERR_MW_FOREIGN_PROGRAM when the place is taken, ERR_MW_NOT_FOUND without such a device
   */
  static async attach(program: Program, options: TcFilterOptions): Promise<TcFilter> {
    checkType(program, 'sched_cls');
    const filter = new TcFilter(options, false);
    await withSocket(async (socket) => {
      filter.#ownsQdisc = await addClsact(socket, filter.ifindex);
      try {
        await putBpfFilter(socket, filter, program, true);
      } catch (error) {
        if (filter.#ownsQdisc) await removeClsact(socket, filter.ifindex);
        if (!hasErrno(error, Errno.EEXIST)) throw error;
        throw new MapwireError(
          'ERR_MW_FOREIGN_PROGRAM',
          `device ${filter.ifindex} has a ${filter.direction} filter with priority ${filter.priority} and handle ${filter.handle}`,
          { hint: 'see `tc filter show dev … ingress`; choose another priority or handle', cause: error },
        );
      }
    });
    return filter;
  }

  /**
   * Takes over a filter that is there, e.g. one attached before a restart.
   *
   * @throws ERR_MW_NOT_FOUND
   */
  static async open(options: TcFilterOptions): Promise<TcFilter> {
    const filter = new TcFilter(options, false);
    await filter.info();
    return filter;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Replaces the program in place; every packet sees one or the other.
   *
   * @param old replace only this one. The kernel has no such condition here: it is looked at just before.
   * @throws ERR_MW_SYSCALL with EPERM in `details` when another than `old` runs there; ERR_MW_NOT_FOUND
   */
  async update(program: Program, old?: Program): Promise<void> {
    this.#open();
    const { programId } = await this.info();
    if (old !== undefined && programId !== old.id) {
      throw new MapwireError(
        'ERR_MW_SYSCALL',
        `filter on device ${this.ifindex}: program ${programId} runs, not ${old.id}`,
        {
          hint: 'the program attached there is not the expected one',
          details: { errno: Errno.EPERM, errnoName: 'EPERM', syscall: 'netlink', programId },
        },
      );
    }
    await withSocket((socket) => putBpfFilter(socket, this, program, false));
  }

  /** Removes the filter, and the clsact qdisc if this object added it and nothing else uses it. */
  async detach(): Promise<void> {
    this.#open();
    await withSocket(async (socket) => {
      await removeFilter(socket, this);
      if (!this.#ownsQdisc) return;
      const left = [
        ...(await filters(socket, this.ifindex, 'ingress')),
        ...(await filters(socket, this.ifindex, 'egress')),
      ];
      if (left.length === 0) await removeClsact(socket, this.ifindex);
    });
    this.#closed = true;
  }

  /** @throws ERR_MW_NOT_FOUND when it is gone */
  async info(): Promise<TcFilterInfo> {
    this.#open();
    const found = await withSocket((socket) => filters(socket, this.ifindex, this.direction));
    const own = found.find(
      (filter): filter is Filter & { programId: number } =>
        filter.priority === this.priority && filter.handle === this.handle && filter.programId !== undefined,
    );
    if (own === undefined) {
      throw new MapwireError(
        'ERR_MW_NOT_FOUND',
        `device ${this.ifindex} has no BPF ${this.direction} filter with priority ${this.priority} and handle ${this.handle}`,
      );
    }
    const { ifindex, direction, priority, handle } = this;
    return { kind: 'clsact', ifindex, direction, priority, handle, programId: own.programId };
  }

  /** Forgets it; the filter stays attached. */
  close(): void {
    this.#closed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): void {
    if (this.#closed) throw new MapwireError('ERR_MW_CLOSED', `filter on device ${this.ifindex} is closed`);
  }
}

async function withSocket<T>(work: (socket: NetlinkSocket) => Promise<T>): Promise<T> {
  using socket = new NetlinkSocket(Protocol.ROUTE);
  return await work(socket);
}

/**
 * Attaches a TC program: by a TCX link where the kernel has it (6.6), else as a clsact filter.
 *
 * @throws what `attachTcx` and `TcFilter.attach` throw
 */
export function attachTc(program: Program, options: TcOptions): Promise<TcAttachment> {
  return hasTcx() ? attachTcx(program, options) : TcFilter.attach(program, options);
}
