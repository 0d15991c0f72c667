// What a guest does, on request: one process a guest, a JSON object a line in, one out. Plain JavaScript: Node alone runs
// it. `test/support/agent.ts` holds the other end.
import dgram from 'node:dgram';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { echoed, receive, sendAll, serve } from './checked-stream.mjs';

/** A machine this many times slower (software emulation) gets as much more time. */
const SLOW = Number(process.env.MAPWIRE_SLOW ?? 1);

/** Listeners by name: socket and how often each text came. */
const listeners = new Map();
/** TCP connections that are kept, by name. */
const kept = new Map();
/** Streams of numbered datagrams by name. */
const streams = new Map();

const bound = (family, address, port, options = {}) =>
  new Promise((resolve, reject) => {
    const socket = dgram.createSocket({ type: family === 6 ? 'udp6' : 'udp4', reuseAddr: true, ...options });
    socket.once('error', reject);
    socket.bind(port, address, () => resolve(socket));
  });

/** A socket that sends to one guest, to all, or to a group, and never hears itself. */
async function sender({ from, to, device }) {
  const family = net.isIPv6(to) ? 6 : 4;
  const socket = await bound(family, from, 0);
  if (family === 4) {
    socket.setBroadcast(true);
    socket.setMulticastInterface(from);
  } else socket.setMulticastInterface(`::%${device}`);
  socket.setMulticastLoopback(false);
  socket.setMulticastTTL(4);
  return socket;
}

const sendOne = (socket, text, port, to) =>
  new Promise((resolve, reject) => socket.send(text, port, to, (error) => (error ? reject(error) : resolve())));

const actions = {
  /** Listens on every address, in groups if told; remembers how often each text came. */
  async listen({ name, family, port, groups = [], device, address }) {
    const options = family === 6 ? { ipv6Only: true, recvBufferSize: 4 << 20 } : { recvBufferSize: 4 << 20 };
    const socket = await bound(family, family === 6 ? '::' : '0.0.0.0', port, options);
    for (const group of groups) socket.addMembership(group, family === 6 ? `::%${device}` : address);
    const counts = new Map();
    socket.on('message', (message) => {
      const text = message.toString();
      counts.set(text, (counts.get(text) ?? 0) + 1);
    });
    listeners.set(name, { socket, counts });
    return {};
  },
  async heard({ name }) {
    return { counts: Object.fromEntries(listeners.get(name).counts) };
  },
  async unlisten({ name }) {
    listeners.get(name).socket.close();
    listeners.delete(name);
    return {};
  },
  async send({ from, to, port, device, texts }) {
    const socket = await sender({ from, to, device });
    for (const text of texts) await sendOne(socket, text, port, to);
    socket.close();
    return {};
  },
  /** Numbered datagrams, one every `interval` ms, until told to stop. */
  async stream({ name, from, to, port, device, interval }) {
    const socket = await sender({ from, to, device });
    const stream = { sent: 0, socket, timer: undefined };
    stream.timer = setInterval(() => {
      socket.send(`${name} ${stream.sent}`, port, to);
      stream.sent++;
    }, interval);
    streams.set(name, stream);
    return {};
  },
  async sent({ name }) {
    return { sent: streams.get(name).sent };
  },
  async unstream({ name }) {
    const { timer, socket, sent } = streams.get(name);
    clearInterval(timer);
    socket.close();
    streams.delete(name);
    return { sent };
  },
  async echo({ name, address }) {
    const socket = await bound(net.isIPv6(address) ? 6 : 4, address, 0);
    socket.on('message', (message, { port, address: to }) => socket.send(message, port, to));
    listeners.set(name, { socket, counts: new Map() });
    return { port: socket.address().port };
  },
  async compare({ from, to, port, sizes }) {
    const socket = await bound(net.isIPv6(to) ? 6 : 4, from, 0);
    for (const size of sizes) {
      if (!(await echoed(socket, to, port, size, { attempts: 8, wait: 250 * SLOW })))
        throw new Error(`no right answer to a datagram of ${size} bytes from ${to}`);
    }
    socket.close();
    return {};
  },
  /** Serves one checked transfer; `served` says what became of it. */
  async serve({ name, address }) {
    const server = net.createServer();
    const done = new Promise((resolve, reject) => {
      server.once('connection', (socket) => {
        socket.on('error', reject);
        serve(socket).then(resolve, reject);
      });
      server.once('close', () => reject(new Error('nobody connected')));
    });
    done.catch(() => {});
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, address, resolve);
    });
    listeners.set(name, { socket: server, done });
    return { port: server.address().port };
  },
  async served({ name }) {
    await listeners.get(name).done;
    return {};
  },
  /** Answers every line over TCP, and every datagram, with its own name, at these addresses. */
  async serveName({ name, port, addresses }) {
    for (const address of addresses) {
      const server = net.createServer((socket) => {
        socket.on('error', () => socket.destroy());
        socket.on('data', (data) => socket.write(`${name}\n`.repeat(data.toString().split('\n').length - 1)));
      });
      await new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, address, resolve);
      });
      const socket = await bound(net.isIPv6(address) ? 6 : 4, address, port);
      socket.on('message', (_, { port: to, address: host }) => socket.send(name, to, host));
    }
    return {};
  },
  /** Opens connections, one after the other, and keeps them. */
  async keep({ name, to, port, count }) {
    const connections = [];
    for (let i = 0; i < count; i++) {
      const socket = net.connect({ port, host: to });
      const connection = { socket, heard: '', error: undefined };
      socket.on('error', (error) => {
        connection.error ??= error.message;
      });
      socket.on('data', (data) => {
        connection.heard += data.toString();
      });
      await new Promise((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      });
      connections.push(connection);
    }
    kept.set(name, connections);
    return {};
  },
  /** Says something on each of them: who answers within `wait` ms ('' or an error: nobody). */
  async poll({ name, wait }) {
    const connections = kept.get(name);
    for (const connection of connections) {
      connection.heard = '';
      if (connection.error === undefined) connection.socket.write('who\n');
    }
    const end = Date.now() + wait;
    while (Date.now() < end && connections.some(({ heard, error }) => heard === '' && error === undefined))
      await new Promise((resolve) => setTimeout(resolve, 10));
    return { answers: connections.map(({ heard, error }) => error ?? heard.split('\n')[0]) };
  },
  async unkeep({ name }) {
    for (const { socket } of kept.get(name)) socket.destroy();
    kept.delete(name);
    return {};
  },
  /** One datagram from each of so many ports: who answers. */
  async askNames({ to, port, count, first, wait }) {
    const answers = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const socket = await bound(net.isIPv6(to) ? 6 : 4, undefined, first + i);
        const answer = await new Promise((resolve) => {
          const timer = setTimeout(() => resolve(''), wait);
          socket.once('message', (message, { address }) => {
            clearTimeout(timer);
            resolve(address === to ? message.toString() : `from ${address}`);
          });
          socket.send('who', port, to);
        });
        socket.close();
        return answer;
      }),
    );
    return { answers };
  },
  async transfer({ from, to, port, bytes }) {
    const started = process.hrtime.bigint();
    const socket = net.connect({ port, host: to, localAddress: from });
    const failed = new Promise((_, reject) => {
      socket.on('error', reject);
    });
    failed.catch(() => {});
    const back = receive(socket);
    back.catch(() => {});
    await Promise.race([failed, sendAll(socket, bytes).then(() => back)]);
    socket.destroy();
    return { bytes: 2 * bytes, seconds: Number(process.hrtime.bigint() - started) / 1e9 };
  },
};

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const { id, action, ...rest } = JSON.parse(line);
    try {
      console.log(JSON.stringify({ id, ...(await actions[action](rest)) }));
    } catch (error) {
      console.log(JSON.stringify({ id, error: error.message }));
    }
  })
  .on('close', () => process.exit(0));
console.log('ready');
