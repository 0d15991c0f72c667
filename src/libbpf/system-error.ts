import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { type ErrorCode, MapwireError } from '../errors.ts';

/** Error numbers that have a meaning of their own here. Linux numbers. */
export const Errno = {
  EPERM: constants.errno.EPERM,
  ENOENT: constants.errno.ENOENT,
  E2BIG: constants.errno.E2BIG,
  EBADF: constants.errno.EBADF,
  EAGAIN: constants.errno.EAGAIN,
  ENOMEM: constants.errno.ENOMEM,
  EACCES: constants.errno.EACCES,
  EBUSY: constants.errno.EBUSY,
  EEXIST: constants.errno.EEXIST,
  ENODEV: constants.errno.ENODEV,
  EINVAL: constants.errno.EINVAL,
  ENOSPC: constants.errno.ENOSPC,
  ERANGE: constants.errno.ERANGE,
  ELOOP: constants.errno.ELOOP,
  ENOTDIR: constants.errno.ENOTDIR,
  ENODATA: constants.errno.ENODATA,
  ENOBUFS: constants.errno.ENOBUFS,
  EMSGSIZE: constants.errno.EMSGSIZE,
  EOPNOTSUPP: constants.errno.EOPNOTSUPP,
  EPROTOTYPE: constants.errno.EPROTOTYPE,
  ESTALE: constants.errno.ESTALE,
  EADDRNOTAVAIL: constants.errno.EADDRNOTAVAIL,
  EADDRINUSE: constants.errno.EADDRINUSE,
  /** ENOTSUPP of the kernel: not in libc, yet bpf(2) returns it. */
  ENOTSUPP: 524,
} as const;

const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** `'ENOENT'` of 2. */
export function errnoName(errno: number): string {
  if (errno === Errno.ENOTSUPP) return 'ENOTSUPP';
  // Two names share a number: keep the ones man pages use.
  if (errno === Errno.EAGAIN) return 'EAGAIN';
  if (errno === Errno.EOPNOTSUPP) return 'EOPNOTSUPP';
  return names.get(errno) ?? `errno ${errno}`;
}

function errnoText(errno: number): string {
  // libuv's words are about sockets.
  if (errno === Errno.EOPNOTSUPP || errno === Errno.ENOTSUPP) return 'operation not supported';
  return getSystemErrorMap().get(-errno)?.[1] ?? errnoName(errno);
}

function codeOf(errno: number): ErrorCode {
  switch (errno) {
    case Errno.ENOENT:
    case Errno.ENODEV:
      return 'ERR_MW_NOT_FOUND';
    case Errno.EPERM:
    case Errno.EACCES:
      return 'ERR_MW_PRIVILEGE';
    case Errno.EOPNOTSUPP:
    case Errno.ENOTSUPP:
      return 'ERR_MW_UNSUPPORTED';
    default:
      return 'ERR_MW_SYSCALL';
  }
}

export interface SystemErrorOptions {
  /** Takes the place of the code that the errno would give. */
  readonly code?: ErrorCode;
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The error of a failed system call. `details` always has `errno` (positive), `errnoName` and `syscall`. The code follows
 * the errno: ENOENT and ENODEV ERR_MW_NOT_FOUND, EPERM and EACCES ERR_MW_PRIVILEGE, EOPNOTSUPP ERR_MW_UNSUPPORTED, others
 * ERR_MW_SYSCALL.
 *
 * @param errno positive or negative
 */
export function systemError(
  errno: number,
  syscall: string,
  what: string,
  options: SystemErrorOptions = {},
): MapwireError {
  const number = Math.abs(errno);
  const code = options.code ?? codeOf(number);
  const hint =
    options.hint ??
    (code === 'ERR_MW_PRIVILEGE' ? 'run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON' : undefined);
  return new MapwireError(code, `${what}: ${errnoText(number)} (${errnoName(number)}, ${syscall})`, {
    ...(hint === undefined ? {} : { hint }),
    details: { ...options.details, errno: number, errnoName: errnoName(number), syscall },
  });
}

/** `result` when it is not negative; else throws the error of that errno. */
export function checked(result: number, syscall: string, what: string, options?: SystemErrorOptions): number {
  if (result < 0) throw systemError(result, syscall, what, options);
  return result;
}

/** An error for a wrong argument. */
export function invalidArgument(message: string, hint?: string): MapwireError {
  return new MapwireError('ERR_MW_INVALID_ARGUMENT', message, hint === undefined ? {} : { hint });
}

/** True when `error` is a failed system call with that errno. */
export function hasErrno(error: unknown, errno: number): boolean {
  return error instanceof MapwireError && error.details.errno === errno;
}
