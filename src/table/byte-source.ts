/** Bytes of a table that can be read again from any place: a file that stays open, or memory. */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

export interface ByteSource {
  /** Bytes in all, where that is known. */
  readonly size?: number;
  /** Reads up to `length` bytes at a position into a buffer, from its start; 0 at the end. */
  read(into: Buffer, length: number, position: number): number;
  close(): void;
}

export function bytesOf(content: Uint8Array): ByteSource {
  return {
    size: content.length,
    read(into, length, position) {
      const part = content.subarray(position, position + length);
      into.set(part);
      return part.length;
    },
    close() {},
  };
}

/** What tells one state of a file from the next. */
export interface FileStamp {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  readonly modified: bigint;
  readonly changed: bigint;
}

export interface OpenFile extends ByteSource {
  readonly fd: number;
  readonly stamp: FileStamp;
  readonly kind: 'file' | 'directory' | 'other';
}

export function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return (
    a.inode === b.inode &&
    a.size === b.size &&
    a.modified === b.modified &&
    a.changed === b.changed &&
    a.device === b.device
  );
}

/**
 * Opens a file for reading, following symbolic links. A FIFO or a device is opened without waiting and reported as
 * `other`. Throws the system's error (ENOENT, EACCES, …).
 */
export function openFile(path: string): OpenFile {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const stat = fstatSync(fd, { bigint: true });
    let kind: OpenFile['kind'] = 'other';
    if (stat.isFile()) kind = 'file';
    else if (stat.isDirectory()) kind = 'directory';
    return {
      fd,
      kind,
      size: Number(stat.size),
      stamp: { device: stat.dev, inode: stat.ino, size: stat.size, modified: stat.mtimeNs, changed: stat.ctimeNs },
      read: (into, length, position) => readSync(fd, into, 0, length, position),
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The whole content, or undefined when it is more than `limit` bytes. */
export function readWhole(source: ByteSource, limit: number): Buffer | undefined {
  const parts: Buffer[] = [];
  let total = 0;
  for (;;) {
    const part = Buffer.allocUnsafe(256 * 1024);
    const got = source.read(part, part.length, total);
    if (got === 0) return Buffer.concat(parts, total);
    total += got;
    if (total > limit) return undefined;
    parts.push(part.subarray(0, got));
  }
}
