import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  statfsSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { MapwireError } from '../errors.ts';
import { tryFlock } from '../libbpf/index.ts';

/** f_type of a bpffs (include/uapi/linux/magic.h). */
const BPF_FS_MAGIC = 0xcafe4a11;

/**
 * The pin directory: a folder in a bpffs that belongs to one instance, held by an exclusive flock while it is open. Its
 * layout is a protocol: docs/pin-directory.md.
 */
export class PinDirectory {
  readonly path: string;
  #fd: number | undefined;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /**
   * Opens, checks and locks it; makes it (mode 0700) when absent.
   *
   * @throws ERR_MW_PIN_DIR when it is not a safe folder of a bpffs, ERR_MW_BUSY when another process holds it
   */
  static open(path: string): PinDirectory {
    const full = resolve(path);
    if (!isThere(full)) make(full);
    const fd = openChecked(full);
    try {
      lock(fd, full);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return new PinDirectory(full, fd);
  }

  /** As `open`, but undefined when there is no such folder. */
  static openExisting(path: string): PinDirectory | undefined {
    return isThere(resolve(path)) ? PinDirectory.open(path) : undefined;
  }

  get links(): string {
    return join(this.path, 'links');
  }

  generationPath(number: number): string {
    return join(this.path, `g${number}`);
  }

  /** Numbers of the generations that have a folder, rising. */
  generations(): number[] {
    return list(this.path)
      .map((name) => /^g([1-9]\d{0,8})$/.exec(name)?.[1])
      .filter((number) => number !== undefined)
      .map(Number)
      .sort((a, b) => a - b);
  }

  /** `current`, for people and scripts; nothing here relies on it. */
  pointCurrent(number: number): void {
    const target = `g${number}`;
    const link = join(this.path, 'current');
    try {
      if (readlinkSync(link) === target) return;
    } catch {
      // absent
    }
    const fresh = join(this.path, 'current-new');
    unlinkQuietly(fresh);
    symlinkSync(target, fresh);
    renameSync(fresh, link);
  }

  /** Removes the folder itself with what this instance may have left in it; other people's files keep it alive. */
  remove(): void {
    unlinkQuietly(join(this.path, 'current-new'));
    unlinkQuietly(join(this.path, 'current'));
    rmdirQuietly(this.links);
    rmdirQuietly(this.path);
  }

  /** Lets go of the lock. Idempotent. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** Names in a folder; none when it is absent. */
export function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Makes a folder of the pin directory; one that is there is fine. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Removes a folder of pins and everything in it, one level of folders deep at a time. */
export function removeTree(path: string): void {
  for (const name of list(path)) {
    const child = join(path, name);
    try {
      unlinkSync(child);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EISDIR' || code === 'EPERM') removeTree(child);
      else if (code !== 'ENOENT') throw error;
    }
  }
  rmdirQuietly(path);
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // absent
  }
}

function rmdirQuietly(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // absent, or not ours to empty
  }
}

function refuse(path: string, problem: string, hint: string): MapwireError {
  return new MapwireError('ERR_MW_PIN_DIR', `pin directory '${path}': ${problem}`, { hint, details: { path } });
}

function isBpffs(path: string): boolean {
  // statfs gives a signed number on some systems.
  return statfsSync(path).type >>> 0 === BPF_FS_MAGIC;
}

function make(path: string): void {
  const parent = dirname(path);
  if (!existsSync(parent) || !isBpffs(parent)) {
    throw refuse(
      path,
      'it is absent, and its parent is no folder of a bpffs',
      'mount one: `mount -t bpf bpf /sys/fs/bpf`, and choose a folder in it, such as /sys/fs/bpf/mapwire',
    );
  }
  try {
    makeFolder(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new MapwireError('ERR_MW_PRIVILEGE', `cannot make pin directory '${path}'`, {
        cause,
        hint: 'run as root, or with the capabilities of the unit file',
      });
    }
    throw cause;
  }
}

/** Also true for a symbolic link that leads nowhere. */
function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EACCES') throw cause;
    throw new MapwireError('ERR_MW_PRIVILEGE', `pin directory '${path}' cannot be reached`, {
      cause,
      hint: 'run as root, or with the capabilities of the unit file',
    });
  }
}

function openChecked(path: string): number {
  if (lstatSync(path).isSymbolicLink()) throw refuse(path, 'it is a symbolic link', 'give the real path');
  const real = realpathSync(path);
  if (real !== path) throw refuse(path, `a symbolic link leads to '${real}'`, 'give the real path');
  const fd = openSync(path, 'r');
  try {
    const stat = fstatSync(fd);
    if (!stat.isDirectory()) throw refuse(path, 'it is not a folder', 'choose another path');
    if (!isBpffs(path)) {
      throw refuse(
        path,
        'it is not in a bpffs',
        'mount one: `mount -t bpf bpf /sys/fs/bpf`, and choose a folder in it',
      );
    }
    if (stat.uid !== process.geteuid?.()) {
      throw refuse(path, `user ${stat.uid} owns it`, `chown it to the user who runs this, or choose another`);
    }
    if ((stat.mode & 0o077) !== 0) {
      throw refuse(path, `others may use it (mode ${(stat.mode & 0o777).toString(8)})`, `chmod 0700 ${path}`);
    }
    const now = statSync(path);
    if (now.ino !== stat.ino || now.dev !== stat.dev) throw refuse(path, 'it was replaced meanwhile', 'try again');
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function lock(fd: number, path: string): void {
  if (tryFlock(fd)) return;
  const pid = holder(fd);
  const name = pid === undefined ? undefined : commandOf(pid);
  const who = pid === undefined ? 'another process' : `process ${pid}${name === undefined ? '' : ` (${name})`}`;
  throw new MapwireError('ERR_MW_BUSY', `${who} is at work on '${path}'`, {
    hint: 'one writer a pin directory: stop that process, or give this instance its own --pin-dir',
    details: { path, pid },
  });
}

/** Who holds the flock, as /proc/locks tells it; undefined when it is in another pid namespace or gone. */
function holder(fd: number): number | undefined {
  const { ino } = fstatSync(fd);
  for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
    const match = /^\d+: FLOCK\s+\S+\s+WRITE\s+(-?\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line);
    if (match !== null && Number(match[2]) === ino && Number(match[1]) > 0) return Number(match[1]);
  }
  return undefined;
}

function commandOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean).slice(0, 3).join(' ');
  } catch {
    return undefined;
  }
}
