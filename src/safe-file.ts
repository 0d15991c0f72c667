/**
 * Files that steer root must not be writable by anyone else: the table, the configuration, the addon and the BPF
 * objects. The check follows what sshd calls StrictModes: the file, and every folder on the way to it, both as it is
 * written and with symbolic links resolved, belongs to root and cannot be changed by others.
 */

import { closeSync, fstatSync, lstatSync, openSync, readFileSync, realpathSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { MapwireError } from './errors.ts';

/** Why `stat` lets somebody other than root change the thing, or undefined when it does not. */
function weakness(stat: Stats): string | undefined {
  if (stat.uid !== 0) return `it belongs to user ${stat.uid}`;
  if (stat.isSymbolicLink()) return undefined;
  // A sticky folder (/tmp) may be written by all: nobody can replace root's own entries in it.
  if (stat.isDirectory() && (stat.mode & 0o1000) !== 0) return undefined;
  if ((stat.mode & 0o002) !== 0) return 'everybody may write it';
  if ((stat.mode & 0o020) !== 0 && stat.gid !== 0) return `group ${stat.gid} may write it`;
  return undefined;
}

function refuse(path: string, file: string, why: string): MapwireError {
  const inside = path === file ? '' : ` (on the way to '${file}')`;
  return new MapwireError('ERR_MW_UNSAFE_FILE', `'${path}'${inside} can be changed by others: ${why}`, {
    hint: `chown root:root '${path}' && chmod go-w '${path}', or move the file to a folder that only root can write`,
    details: { path, file },
  });
}

function folders(path: string): string[] {
  const list: string[] = [];
  for (let at = dirname(path); ; at = dirname(at)) {
    list.push(at);
    if (at === dirname(at)) return list;
  }
}

function assertTrustedWay(file: string): void {
  const written = resolve(file);
  const real = realpathSync(written);
  for (const path of new Set([...folders(real), ...folders(written)])) {
    const why = weakness(lstatSync(path));
    if (why !== undefined) throw refuse(path, written, why);
  }
}

/** True when this process must distrust files of others: it runs as root. */
export function distrusts(): boolean {
  return process.geteuid?.() === 0;
}

/**
 * Throws when somebody other than root can change `path` (a file or a folder). Does nothing unless this process runs
 * as root.
 *
 * @throws ERR_MW_UNSAFE_FILE with the weak path in `details.path`; the plain `ENOENT` and the like when it is absent.
 */
export function assertTrustedFile(path: string): void {
  if (!distrusts()) return;
  assertTrustedWay(path);
  const real = realpathSync(path);
  const why = weakness(lstatSync(real));
  if (why !== undefined) throw refuse(real, resolve(path), why);
}

/**
 * `assertTrustedFile` for a file or folder that is open: what is checked is what will be read.
 *
 * @throws ERR_MW_UNSAFE_FILE with the weak path in `details.path`.
 */
export function assertTrustedDescriptor(fd: number, path: string): void {
  if (!distrusts()) return;
  assertTrustedWay(path);
  const why = weakness(fstatSync(fd));
  if (why !== undefined) throw refuse(resolve(path), resolve(path), why);
}

/**
 * Reads a file of which `assertTrustedFile` holds. The check is made on the opened file, so that what was checked is
 * what is read.
 *
 * @throws ERR_MW_UNSAFE_FILE; the plain system error when it cannot be read.
 */
export function readTrustedFile(path: string): Buffer {
  const fd = openSync(path, 'r');
  try {
    assertTrustedDescriptor(fd, path);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}
