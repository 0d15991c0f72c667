import { addon } from './addon.ts';
import type { NativeTestRun, NativeTestRunOptions } from './addon-types.ts';
import { LITTLE_ENDIAN } from './byte-order.ts';
import { ProgramType, programTypeName } from './constants.ts';
import { Fd } from './fd.ts';
import { Kind, nameAt, objectInfo, openById, openPinned, pin } from './kernel-object.ts';
import { attachTcx, attachXdp, type Link, type TcxOptions, type XdpOptions } from './link.ts';
import type { RawMap } from './raw-map.ts';
import { checked, Errno, invalidArgument, systemError } from './system-error.ts';
import { attachTc, type TcAttachment, type TcOptions } from './tc-filter.ts';

export interface ProgramInfo {
  readonly id: number;
  readonly name: string;
  /** `ProgramType` */
  readonly type: number;
  /** Hash of the instructions, in hex. */
  readonly tag: string;
  /** CLOCK_BOOTTIME in nanoseconds. */
  readonly loadTime: bigint;
  readonly createdByUid: number;
  /** 0 without BTF. */
  readonly btfId: number;
  /** Instructions the verifier walked. */
  readonly verifiedInstructions: number;
  /** Counted only while kernel.bpf_stats_enabled is 1. */
  readonly runTimeNs: bigint;
  readonly runCount: bigint;
  readonly mapIds: readonly number[];
}

export interface TestRunOptions {
  /** The frame, from the Ethernet header on. */
  readonly data?: Uint8Array;
  /** `struct xdp_md` or `struct __sk_buff`: see `xdpContext` and `skbContext`. */
  readonly ctx?: Uint8Array;
  /** Runs in a row on the same buffer; 1 unless said otherwise. */
  readonly repeat?: number;
  /** XDP: the frames are really sent or passed up (`BPF_F_TEST_XDP_LIVE_FRAMES`, kernel 5.18). Nothing is returned. */
  readonly liveFrames?: boolean;
  /** Live frames a NAPI round; at most 256, 64 unless said otherwise. */
  readonly batchSize?: number;
  /** Room for the resulting frame; the size of `data` and 4 KiB more unless said otherwise. */
  readonly dataOutSize?: number;
  /** Whether the context afterwards is wanted; yes when one was given. */
  readonly ctxOut?: boolean;
}

export interface TestRunResult {
  /** What the program returned. */
  readonly retval: number;
  /** The frame afterwards. */
  readonly data: Uint8Array;
  /** Mean time of a run, in nanoseconds. */
  readonly duration: number;
  /** The context afterwards; empty unless wanted. */
  readonly ctx: Uint8Array;
}

const LIVE_FRAMES = 1 << 1;
const MOST_INLINE_REPEATS = 1000;

/**
 * A loaded program. Every method throws ERR_MW_CLOSED after close().
 */
export class Program implements Disposable {
  readonly name: string;
  /** `ProgramType` */
  readonly type: number;
  readonly id: number;
  readonly #fd: Fd;

  private constructor(fd: number, name: string | undefined) {
    this.#fd = new Fd(fd, `program ${name ?? ''}`.trimEnd());
    try {
      const view = objectInfo(fd, this.#fd.what);
      this.type = view.getUint32(0, LITTLE_ENDIAN);
      this.id = view.getUint32(4, LITTLE_ENDIAN);
      this.name = name ?? nameAt(view, 64);
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  /** Wraps a descriptor of the addon and owns it. For this folder only. @internal */
  static own(fd: number, name?: string): Program {
    return new Program(fd, name);
  }

  /** @throws ERR_MW_NOT_FOUND; ERR_MW_INVALID_ARGUMENT if something else is pinned there */
  static openPinned(path: string): Program {
    return new Program(openPinned('program', path), undefined);
  }

  /** @throws ERR_MW_NOT_FOUND, ERR_MW_PRIVILEGE: every kernel wants CAP_SYS_ADMIN for this. */
  static fromId(id: number): Program {
    return new Program(openById('program', id), undefined);
  }

  /** @throws ERR_MW_CLOSED */
  get fd(): number {
    return this.#fd.number;
  }

  get closed(): boolean {
    return this.#fd.closed;
  }

  get typeName(): string {
    return programTypeName(this.type);
  }

  /** A second handle of the same program, with its own lifetime. */
  dup(): Program {
    const fd = checked(addon().duplicate(this.fd, Kind.program), 'fcntl(F_DUPFD)', this.#what());
    return new Program(fd, this.name);
  }

  /**
   * Runs it on a frame, without attaching it (`BPF_PROG_TEST_RUN`). For up to 1,000 repeats without live frames; else
   * use `testRunAsync`.
   *
   * XDP: `data` up to a page less headroom, more for `xdp.frags` programs. TC: the kernel makes an skb of it, whose protocol
   * and IP headers it fills from the frame.
   *
   * @throws ERR_MW_INVALID_ARGUMENT; ERR_MW_SYSCALL: EINVAL for a frame or context the kernel refuses, ENOSPC when the result
   * is larger than `dataOutSize` (`details.needed`)
   */
  testRun(options: TestRunOptions): TestRunResult {
    if (options.liveFrames === true || (options.repeat ?? 1) > MOST_INLINE_REPEATS) {
      throw invalidArgument('a test run with live frames or many repeats would block the process', 'use testRunAsync');
    }
    return this.#result(addon().programTestRun(this.fd, this.#options(options)));
  }

  /** `testRun` on a pool thread. */
  async testRunAsync(options: TestRunOptions): Promise<TestRunResult> {
    return this.#result(await addon().programTestRunAsync(this.fd, this.#options(options)));
  }

  #options(options: TestRunOptions): NativeTestRunOptions {
    const live = options.liveFrames === true;
    if (live && this.type !== ProgramType.xdp)
      throw invalidArgument(`${this.#what()} is no XDP program: no live frames`);
    if (options.batchSize !== undefined && !live) throw invalidArgument('batchSize is for live frames');
    const ctxOut = options.ctxOut ?? options.ctx !== undefined;
    return {
      data: options.data,
      ctx: options.ctx,
      repeat: options.repeat ?? 1,
      flags: live ? LIVE_FRAMES : 0,
      batchSize: options.batchSize ?? 0,
      dataOutSize: live ? 0 : (options.dataOutSize ?? (options.data?.byteLength ?? 0) + 4096),
      ctxOutSize: live || !ctxOut ? 0 : Math.max(options.ctx?.byteLength ?? 0, 192),
    };
  }

  #result(run: NativeTestRun): TestRunResult {
    if (run.error !== 0) {
      const space = run.error === Errno.ENOSPC;
      throw systemError(run.error, 'bpf(BPF_PROG_TEST_RUN)', `test run of ${this.#what()}`, {
        details: space ? { needed: run.dataSize } : {},
        ...(space ? { hint: `give dataOutSize ${run.dataSize}` } : {}),
      });
    }
    return { retval: run.retval, duration: run.duration, data: run.data!, ctx: run.ctx! };
  }

  /** Attaches it to a device by a link; see `attachXdp`. */
  attachXdp(options: XdpOptions): Promise<Link> {
    return attachXdp(this, options);
  }

  /** Attaches it by a TCX link (kernel 6.6). */
  attachTcx(options: TcxOptions): Promise<Link> {
    return attachTcx(this, options);
  }

  /** Attaches it by TCX where the kernel has it, else as a filter of the device's clsact qdisc. */
  attachTc(options: TcOptions): Promise<TcAttachment> {
    return attachTc(this, options);
  }

  info(): ProgramInfo {
    const view = objectInfo(this.fd, this.#what());
    const mapIds = addon().programMapIds(this.fd);
    if (typeof mapIds === 'number') throw systemError(mapIds, 'bpf(BPF_OBJ_GET_INFO_BY_FD)', this.#what());
    return {
      type: view.getUint32(0, LITTLE_ENDIAN),
      id: view.getUint32(4, LITTLE_ENDIAN),
      tag: Buffer.from(view.buffer, 8, 8).toString('hex'),
      loadTime: view.getBigUint64(40, LITTLE_ENDIAN),
      createdByUid: view.getUint32(48, LITTLE_ENDIAN),
      name: nameAt(view, 64),
      btfId: view.getUint32(128, LITTLE_ENDIAN),
      runTimeNs: view.getBigUint64(192, LITTLE_ENDIAN),
      runCount: view.getBigUint64(200, LITTLE_ENDIAN),
      verifiedInstructions: view.getUint32(216, LITTLE_ENDIAN),
      mapIds,
    };
  }

  /** Makes the program hold a map it does not use (`BPF_PROG_BIND_MAP`, kernel 5.10). */
  bindMap(map: RawMap): void {
    checked(addon().programBindMap(this.fd, map.fd), 'bpf(BPF_PROG_BIND_MAP)', `bind map to ${this.#what()}`);
  }

  pin(path: string): void {
    pin(this.fd, this.#what(), path);
  }

  /** Idempotent. The kernel frees a program when its last holder (descriptor, pin, link, filter) goes. */
  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #what(): string {
    return `program '${this.name}'`;
  }
}
