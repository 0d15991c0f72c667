// The two ends of a checked transfer, run inside guests. Plain JavaScript: Node alone runs it.
import dgram from 'node:dgram';
import net from 'node:net';
import { echoed, receive, sendAll, serve } from './checked-stream.mjs';

const [mode, address, port, amount] = process.argv.slice(2);
const fail = (message) => {
  console.error(message);
  process.exit(1);
};

if (mode === 'tcp-serve') {
  const server = net.createServer(async (socket) => {
    try {
      await serve(socket);
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
    const answered = await echoed(socket, address, Number(port), size);
    if (!answered) fail(`no right answer to a datagram of ${size} bytes`);
  }
  socket.close();
} else {
  fail(`unknown mode ${mode}`);
}
