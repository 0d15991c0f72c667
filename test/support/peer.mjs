// The two ends of a checked transfer, run inside guests. Plain JavaScript: Node alone runs it.
import { createHash } from 'node:crypto';
import dgram from 'node:dgram';
import net from 'node:net';

const [mode, address, port, amount] = process.argv.slice(2);
const fail = (message) => {
  console.error(message);
  process.exit(1);
};

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

// Each side sends a header of 8 bytes (the length), the data, and the digest as 64 characters.
function receive(socket) {
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
    socket.setTimeout(10_000, () => reject(new Error(`nothing moved for 10 s, ${left} bytes missing`)));
  });
}

async function sendAll(socket, total) {
  const header = Buffer.alloc(8);
  header.writeBigUInt64BE(BigInt(total));
  socket.write(header);
  socket.write(await send(socket, total));
}

if (mode === 'tcp-serve') {
  const server = net.createServer(async (socket) => {
    try {
      let size = 0;
      socket.once('data', (chunk) => {
        size = Number(chunk.readBigUInt64BE(0));
      });
      await receive(socket);
      await sendAll(socket, size);
      console.log('verified');
    } catch (error) {
      fail(error.message);
    }
  });
  server.listen(0, address, () => console.log(`listening ${server.address().port}`));
} else if (mode === 'tcp-send') {
  const total = Number(amount);
  const started = process.hrtime.bigint();
  const socket = net.connect(Number(port), address);
  socket.on('error', (error) => fail(error.message));
  const back = receive(socket);
  back.catch((error) => fail(error.message));
  await sendAll(socket, total);
  await back;
  console.log(JSON.stringify({ bytes: 2 * total, seconds: Number(process.hrtime.bigint() - started) / 1e9 }));
  process.exit(0);
} else if (mode === 'udp-serve') {
  const socket = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4');
  socket.on('message', (message, from) => socket.send(message, from.port, from.address));
  socket.bind(0, address, () => console.log(`listening ${socket.address().port}`));
} else if (mode === 'udp-send') {
  const socket = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4');
  for (const size of amount.split(',').map(Number)) {
    const data = Buffer.alloc(size);
    for (let i = 0; i < size; i++) data[i] = (i * 31 + size) & 0xff;
    let answered = false;
    for (let attempt = 0; attempt < 5 && !answered; attempt++) {
      answered = await new Promise((resolve) => {
        const timer = setTimeout(() => {
          socket.removeAllListeners('message');
          resolve(false);
        }, 500);
        socket.once('message', (message) => {
          clearTimeout(timer);
          resolve(message.equals(data));
        });
        socket.send(data, Number(port), address);
      });
    }
    if (!answered) fail(`no right answer to a datagram of ${size} bytes`);
  }
  socket.close();
} else {
  fail(`unknown mode ${mode}`);
}
