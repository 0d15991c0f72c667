import { statfsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { addon } from './addon.ts';
import { Fd } from './fd.ts';
import { checked, Errno, invalidArgument } from './system-error.ts';

const BPF_FS_MAGIC = 0xcafe4a11;

/** Whether a path is on a bpffs. Follows symbolic links: see `openDirectory`. */
export function isBpffs(path: string): boolean {
  return statfsSync(path).type >>> 0 === BPF_FS_MAGIC;
}

/**
 * Opens a directory, refusing symbolic links in any part of the path (openat2(2) with RESOLVE_NO_SYMLINKS, kernel 5.6), so
 * that what is checked on the descriptor holds for what is used through it. Node's fstatSync(fd.number) asks about it,
 * `isBpffs('/proc/self/fd/<number>')` about its file system.
 *
 * @param path absolute
 * @throws ERR_MW_PIN_DIR for a symbolic link or something else than a directory, ERR_MW_NOT_FOUND
 */
export function openDirectory(path: string): Fd {
  if (!isAbsolute(path)) throw invalidArgument(`'${path}' is not an absolute path`);
  const result = addon().openNoSymlinks(path, true);
  const unsafe = result === -Errno.ELOOP || result === -Errno.ENOTDIR;
  checked(result, 'openat2', `open directory '${path}'`, {
    details: { path },
    ...(unsafe ? { code: 'ERR_MW_PIN_DIR' as const, hint: 'give the path of a directory without symbolic links' } : {}),
  });
  return new Fd(result, `directory '${path}'`);
}
