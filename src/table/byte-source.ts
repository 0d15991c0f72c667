/** Bytes of a table that can be read again from any place: a file that stays open, or memory. */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Steps } from './steps.ts';

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

const READ_AT_ONCE = 256 * 1024;

/** The whole content, or undefined when it is more than `limit` bytes. */
export function* wholeSteps(source: ByteSource, limit: number): Steps<Buffer | undefined> {
  // One byte more, so that the end is found without making room once more.
  let bytes = Buffer.allocUnsafeSlow(Math.min(source.size ?? READ_AT_ONCE, limit) + 1);
  let total = 0;
  for (;;) {
    if (total === bytes.length) {
      if (total > limit) return undefined;
      const more = Buffer.allocUnsafeSlow(Math.min(total * 2, limit + 1));
      more.set(bytes);
      bytes = more;
    }
    const part = bytes.subarray(total, total + READ_AT_ONCE);
    const got = source.read(part, part.length, total);
    if (got === 0) return bytes.subarray(0, total);
    total += got;
    yield;
  }
}
