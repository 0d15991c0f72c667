// A transfer whose ends compare SHA-256, over any stream socket. Plain JavaScript: Node alone runs it, in guests.
import { createHash } from 'node:crypto';

/** Blocks of reproducible pseudo-random bytes (xorshift32), so that a shifted or repeated block shows in the digest. */
function* blocks(total) {
  let state = 0x9e3779b9;
  for (let left = total; left > 0; ) {
    const size = Math.min(left, 65536);
    const words = new Uint32Array(16384);
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    yield Buffer.from(words.buffer, 0, size);
    left -= size;
  }
}

async function send(socket, total) {
  const hash = createHash('sha256');
  for (const block of blocks(total)) {
    hash.update(block);
    if (!socket.write(block)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  return hash.digest('hex');
}

/** Each side sends a header of 8 bytes (the length), the data, and the digest as 64 characters: takes that in. */
export function receive(socket) {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    let header = Buffer.alloc(0);
    let left = -1;
    let tail = Buffer.alloc(0);
    const take = (chunk) => {
      if (left < 0) {
        header = Buffer.concat([header, chunk]);
        if (header.length < 8) return;
        left = Number(header.readBigUInt64BE(0));
        chunk = header.subarray(8);
      }
      const data = chunk.subarray(0, left);
      hash.update(data);
      left -= data.length;
      tail = Buffer.concat([tail, chunk.subarray(data.length)]);
      if (left === 0 && tail.length >= 64) {
        socket.off('data', take);
        const digest = hash.digest('hex');
        if (digest === tail.subarray(0, 64).toString()) resolve(digest);
        else reject(new Error('the digest differs'));
      }
    };
    socket.on('data', take);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed with ${left} bytes missing`)));
    const patience = 10 * Number(process.env.MAPWIRE_SLOW ?? 1);
    socket.setTimeout(patience * 1_000, () =>
      reject(new Error(`nothing moved for ${patience} s, ${left} bytes missing`)),
    );
  });
}

/** Sends `total` bytes with header and digest. */
export async function sendAll(socket, total) {
  const header = Buffer.alloc(8);
  header.writeBigUInt64BE(BigInt(total));
  socket.write(header);
  socket.write(await send(socket, total));
}

/** Serves one transfer: takes it in, then sends as much back. Rejects when a digest differs. */
export async function serve(socket) {
  let size = 0;
  socket.once('data', (chunk) => {
    size = Number(chunk.readBigUInt64BE(0));
  });
  await receive(socket);
  await sendAll(socket, size);
}

/** The bytes of a datagram of `size` in the echo tests. */
export function datagram(size) {
  const data = Buffer.alloc(size);
  for (let i = 0; i < size; i++) data[i] = (i * 31 + size) & 0xff;
  return data;
}

/**
 * Sends datagrams of each size to an echo server and compares the answers; false for a size without a right answer in `attempts`.
 * The first of a size that is too big only teaches the sender the path's MTU.
 */
export async function echoed(socket, address, port, size, { attempts = 5, wait = 500 } = {}) {
  const data = datagram(size);
  for (let attempt = 0; attempt < attempts; attempt++) {
    const right = await new Promise((resolve) => {
      const timer = setTimeout(() => {
        socket.removeAllListeners('message');
        resolve(false);
      }, wait);
      socket.once('message', (message) => {
        clearTimeout(timer);
        resolve(message.equals(data));
      });
      socket.send(data, port, address);
    });
    if (right) return true;
  }
  return false;
}
