/** Serves the API on a unix socket that only root may use. */
import { chmodSync, existsSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { createAdaptorServer } from '@hono/node-server';
import type { Hono } from 'hono';
import { MapwireError } from '../errors.ts';

export interface ApiServer {
  close(): Promise<void>;
}

/** Does somebody answer there? A socket file whose process is gone refuses. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function clear(path: string): Promise<void> {
  if (!existsSync(path)) return;
  if (!lstatSync(path).isSocket()) {
    throw new MapwireError('ERR_MW_CONFIG', `'${path}' is there and is no socket`, {
      hint: "remove it, or choose another 'socket'",
    });
  }
  if (await answers(path)) {
    throw new MapwireError('ERR_MW_BUSY', `another process answers on '${path}'`, {
      hint: "give each instance its own 'socket', 'pin-dir' and 'state-dir'",
    });
  }
  unlinkSync(path);
}

/** @throws ERR_MW_BUSY, ERR_MW_CONFIG; the plain system error when the path cannot be used */
export async function serve(api: Hono, path: string): Promise<ApiServer> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  await clear(path);
  const server = createAdaptorServer({ fetch: api.fetch }) as Server;
  // The socket is made with the mode it is to have: nobody slips in between.
  const before = process.umask(0o117);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(before);
  }
  chmodSync(path, 0o660);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), 1_000).unref();
      }),
  };
}
