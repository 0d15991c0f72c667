import { fstatSync, readFileSync } from 'node:fs';
import { MapwireError } from '../errors.ts';
import { addon } from './addon.ts';
import type { Fd } from './fd.ts';
import { openDirectory } from './safe-path.ts';
import { checked, Errno } from './system-error.ts';

/**
 * Takes an exclusive flock(2) without waiting. It lives as long as the open file behind `fd`.
 *
 * @param fd any descriptor, e.g. of node:fs
 * @returns false when another open file holds one
 */
export function tryFlock(fd: number): boolean {
  const result = addon().tryLock(fd);
  if (result === -Errno.EAGAIN) return false;
  checked(result, 'flock', 'lock');
  return true;
}

/**
 * The process that holds an flock on the file behind `fd`, as /proc/locks says; undefined if there is none, or it is of
 * another pid namespace.
 */
export function flockHolder(fd: number): number | undefined {
  const { ino } = fstatSync(fd);
  // 1: FLOCK  ADVISORY  WRITE 1234 00:1c:42 0 EOF. Device numbers differ from stat's on some file systems.
  for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
    const match = /^\d+: FLOCK +\S+ +\S+ +(-?\d+) +[0-9a-f]+:[0-9a-f]+:(\d+) /.exec(line);
    if (match !== null && Number(match[2]) === ino && Number(match[1]) > 0) return Number(match[1]);
  }
  return undefined;
}

/** An exclusive lock on a directory, until close() or the end of the process. */
export class DirectoryLock implements Disposable {
  readonly path: string;
  readonly #fd: Fd;

  private constructor(path: string, fd: Fd) {
    this.path = path;
    this.#fd = fd;
  }

  /**
   * @throws ERR_MW_BUSY with the holder in `details.pid`; ERR_MW_NOT_FOUND; ERR_MW_PIN_DIR for a path with symbolic links
   */
  static acquire(path: string): DirectoryLock {
    const fd = openDirectory(path);
    try {
      if (tryFlock(fd.number)) return new DirectoryLock(path, fd);
      const pid = flockHolder(fd.number);
      throw new MapwireError(
        'ERR_MW_BUSY',
        `'${path}' is locked by ${pid === undefined ? 'another process' : `process ${pid}`}`,
        {
          hint: 'stop that process, or use another directory',
          details: { path, pid },
        },
      );
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  get closed(): boolean {
    return this.#fd.closed;
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
