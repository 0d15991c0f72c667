/**
 * A file of named arrays with a head of JSON: magic, length and CRC-32 of the head, the head, the arrays (each at a multiple of 8 bytes, with a CRC-32
 * of its own in the head). Little endian, as the arrays lie in memory: it is read on the machine that wrote it. Written beside its place
 * and renamed; whatever does not fit makes it worthless, and worthless is all that it then is.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { assertTrustedDescriptor } from './safe-file.ts';

const MAGIC = 'MWSNAP1\n';
const HEAD_AT = 16;
/** Bytes that are copied and written at a time: no step takes milliseconds. */
const SLICE = 1 << 20;
const MOST_HEAD = 1 << 30;

type NamedArray = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

interface ArrayPlace {
  readonly name: string;
  /** Bytes of an element. */
  readonly width: 1 | 2 | 4;
  /** Bytes in all. */
  readonly size: number;
  readonly crc: number;
}

interface Head {
  readonly meta: unknown;
  readonly arrays: readonly ArrayPlace[];
}

const padded = (size: number): number => (size + 7) & ~7;

function bytesOf(array: NamedArray): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/**
 * Writes the file (mode 0600). `isStale` is asked between any two steps: true gives the writing up, because the arrays are not what they
 * were any more. Returns whether the file is there.
 */
export async function writeSnapshot(
  path: string,
  meta: unknown,
  arrays: Readonly<Record<string, NamedArray>>,
  isStale: () => boolean,
): Promise<boolean> {
  const fresh = `${path}.new`;
  const file = await open(
    fresh,
    constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
    0o600,
  );
  try {
    const places: ArrayPlace[] = [];
    const buffer = new Uint8Array(SLICE);
    // The head comes last, when the checksums are known, and stands behind the arrays.
    let at = HEAD_AT;
    for (const [name, array] of Object.entries(arrays)) {
      const bytes = bytesOf(array);
      let crc = 0;
      for (let from = 0; from < bytes.length; from += SLICE) {
        if (isStale()) return false;
        // A copy: what is written is what was added up, whatever happens meanwhile.
        const part = bytes.subarray(from, from + SLICE);
        buffer.set(part);
        const slice = buffer.subarray(0, part.length);
        crc = crc32(slice, crc);
        await file.write(slice, 0, slice.length, at + from);
      }
      places.push({ name, width: array.BYTES_PER_ELEMENT as 1 | 2 | 4, size: bytes.length, crc });
      at += padded(bytes.length);
    }
    const head = Buffer.from(JSON.stringify({ meta, arrays: places } satisfies Head));
    await file.write(head, 0, head.length, at);
    const start = Buffer.alloc(HEAD_AT);
    start.write(MAGIC, 'latin1');
    start.writeUInt32LE(head.length, 8);
    start.writeUInt32LE(crc32(head), 12);
    await file.write(start, 0, HEAD_AT, 0);
    if (isStale()) return false;
    await file.close();
    await rename(fresh, path);
    return true;
  } finally {
    await file.close().catch(() => {});
    await rm(fresh, { force: true });
  }
}

export interface Snapshot {
  readonly meta: unknown;
  readonly arrays: Readonly<Record<string, NamedArray>>;
}

/** Reads the file; undefined when it is not there, is another's, or anything in it is not as it was written. */
export function readSnapshot(path: string): Snapshot | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    assertTrustedDescriptor(fd, path);
    const stat = fstatSync(fd);
    if (!stat.isFile() || (stat.mode & 0o077) !== 0 || stat.size < HEAD_AT) return undefined;
    return parse(fd, stat.size);
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

function readAt(fd: number, size: number, at: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size; ) {
    const got = readSync(fd, bytes, done, size - done, at + done);
    if (got === 0) throw new RangeError('the file ends too soon');
    done += got;
  }
  return bytes;
}

function parse(fd: number, size: number): Snapshot | undefined {
  const start = Buffer.from(readAt(fd, HEAD_AT, 0).buffer);
  const headSize = start.readUInt32LE(8);
  if (start.toString('latin1', 0, 8) !== MAGIC || headSize > MOST_HEAD || headSize > size - HEAD_AT) return undefined;
  const headBytes = Buffer.from(readAt(fd, headSize, size - headSize).buffer);
  if (crc32(headBytes) !== start.readUInt32LE(12)) return undefined;
  const head = JSON.parse(headBytes.toString('utf8')) as Head;
  const arrays: Record<string, NamedArray> = {};
  let at = HEAD_AT;
  for (const { name, width, size: bytes, crc } of head.arrays) {
    if (at + bytes > size - headSize) return undefined;
    const read = readAt(fd, bytes, at);
    if (crc32(read) !== crc) return undefined;
    arrays[name] = width === 4 ? new Uint32Array(read.buffer) : width === 2 ? new Uint16Array(read.buffer) : read;
    at += padded(bytes);
  }
  return at === size - headSize ? { meta: head.meta, arrays } : undefined;
}
