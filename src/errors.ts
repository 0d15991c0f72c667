/**
 * Every error this project throws on purpose: one table of codes. `docs/errors.md` has a row for each (a test binds
 * them). Match on `code`, never on the message.
 */

export const ERRORS = {
  // anything
  ERR_MW_INVALID_ARGUMENT: 'an argument has the wrong type, size or range',
  ERR_MW_CLOSED: 'the object was closed before this call',
  ERR_MW_UNSUPPORTED: 'this kernel, driver or libbpf cannot do it',
  // table and configuration
  ERR_MW_TABLE: 'the table has errors (see its diagnostics)',
  ERR_MW_CONFIG: 'the configuration has errors',
  ERR_MW_STATE: 'a file in the state directory is damaged or cannot be written',
  ERR_MW_UNSAFE_FILE: 'a file that root must trust can be changed by others',
  // bintools
  ERR_MW_ELF: 'not an ELF object this reader understands',
  ERR_MW_BTF: 'not BTF this reader understands',
  ERR_MW_LAYOUT: 'a C layout that cannot be represented',
  ERR_MW_TOOL: 'an external tool is missing, too old or failed',
  // kernel
  ERR_MW_ADDON: 'the native addon cannot be loaded',
  ERR_MW_SYSCALL: 'a system call failed (errno and syscall say which)',
  ERR_MW_VERIFIER: "the kernel refused a program (log holds the verifier's words)",
  ERR_MW_MAP_INCOMPATIBLE: 'a pinned map has another layout than this build expects',
  ERR_MW_MAP_FULL: 'a map has no room',
  ERR_MW_NOT_FOUND: 'the object does not exist in the kernel',
  ERR_MW_NETLINK: 'the kernel refused a netlink request',
  ERR_MW_PIN_DIR: 'the pin directory is not a safe bpffs folder',
  ERR_MW_FOREIGN_PROGRAM: 'another program is attached to the device',
  ERR_MW_BUSY: 'another process is at work on this pin directory',
  ERR_MW_PRIVILEGE: 'root (or the capabilities of the unit file) is needed',
  // daemon and command line
  ERR_MW_API: 'the daemon refused the request',
  ERR_MW_NO_DAEMON: 'no daemon answers on the socket',
  ERR_MW_REVISION: 'the expected revision is not the present one',
  ERR_MW_SEQUENCE: 'the change tells of an older move of a port than the one in force',
} as const;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetails {
  /** What to do about it, for people. */
  hint?: string;
  cause?: unknown;
  /** Facts for programs, by name. */
  details?: Readonly<Record<string, unknown>>;
}

/** Base of all errors thrown on purpose. `code` is stable. */
export class MapwireError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: ErrorDetails = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MapwireError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }
}
