/**
 * A daemon under the bench: its host, two guests, a gateway behind which all other nodes are, and figures from its
 * process. Needs root; everything goes with `close`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab, type Namespace } from '../test/support/hosts.ts';
import { Mapwire } from '../test/support/mapwire.ts';
import { eventually } from '../test/support/process.ts';
import { LOCAL, NETWORK, SELF } from './daemon-table.ts';

/** What `loop-probe.mjs` tells; memory in bytes, times in milliseconds. */
export interface ProcessFigures {
  readonly uptime: number;
  readonly maxMs: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly active: number;
  readonly rss: number;
  readonly peak: number;
  readonly heapTotal: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
}

const GATEWAY = '192.0.2.254';
const probe = fileURLToPath(new URL('loop-probe.mjs', import.meta.url)).replace('/dist/bench/', '/bench/');

/** A second local port, to have a bystander that answers. */
export const BYSTANDER = { id: 'bystander', mac: '02:00:00:00:00:02', ip4: '10.0.0.2', interface: 'guest2' };

const bystanderLine = `${JSON.stringify({
  port: BYSTANDER.id,
  network: NETWORK,
  mac: BYSTANDER.mac,
  ips: [BYSTANDER.ip4],
  at: { node: SELF, interface: BYSTANDER.interface },
})}\n`;

export class DaemonScene {
  readonly lab: Lab;
  readonly wire: Namespace;
  readonly host: Namespace;
  readonly guest: Namespace;
  readonly bystander: Namespace;
  readonly folder: string;
  #mapwire: Mapwire | undefined;

  private constructor(parts: {
    lab: Lab;
    wire: Namespace;
    host: Namespace;
    guest: Namespace;
    bystander: Namespace;
    folder: string;
  }) {
    this.lab = parts.lab;
    this.wire = parts.wire;
    this.host = parts.host;
    this.guest = parts.guest;
    this.bystander = parts.bystander;
    this.folder = parts.folder;
  }

  static async build(): Promise<DaemonScene> {
    const lab = new Lab('mwb');
    try {
      const wire = await lab.wire();
      await wire.ip(`addr add ${GATEWAY}/24 dev br0`);
      const host = await lab.namespace(SELF);
      await lab.plug(wire, host, SELF, '192.0.2.1');
      await host.ip(`route add 198.18.0.0/15 via ${GATEWAY}`);
      const guestOf = (port: typeof LOCAL): Promise<Namespace> =>
        lab.guest(host, port.id, port.interface, { mac: port.mac, addresses: [`${port.ip4}/8`], mtu: 1400 });
      const guest = await guestOf(LOCAL);
      const bystander = await guestOf(BYSTANDER);
      return new DaemonScene({ lab, wire, host, guest, bystander, folder: await lab.folder() });
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get mapwire(): Mapwire {
    if (this.#mapwire === undefined) throw new Error('no daemon was configured');
    return this.#mapwire;
  }

  get probeFile(): string {
    return join(this.folder, 'probe');
  }

  /** Sets the daemon up for a table (a file or a folder), replacing what was before. */
  async configure(table: string): Promise<void> {
    await this.#mapwire?.down();
    this.#mapwire = await Mapwire.configure(this.host, { node: SELF, table, hook: 'tc' });
  }

  /** Starts the daemon; milliseconds until it says `ready`. */
  async start(): Promise<number> {
    const begin = performance.now();
    const env = ['env', `NODE_OPTIONS=--import=${probe}`, `MAPWIRE_PROBE=${this.probeFile}`];
    const daemon = await this.mapwire.run(false, env);
    await daemon.waitFor(/\bready\b/, 600_000);
    return performance.now() - begin;
  }

  get pid(): number {
    const pid = this.mapwire.daemon?.pid;
    if (pid === undefined) throw new Error('the daemon does not run');
    return pid;
  }

  /** Ends the daemon; what it forwards stays. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    // `env` became the daemon: no shell stands between.
    await this.mapwire.daemon?.stop(signal, 60_000);
  }

  /** Figures since the last call. */
  async figures(): Promise<ProcessFigures> {
    const lines = (): string[] =>
      existsSync(this.probeFile) ? readFileSync(this.probeFile, 'utf8').trimEnd().split('\n') : [];
    const before = lines().length;
    process.kill(this.pid, 'SIGUSR2');
    await eventually('the figures of the daemon', () => lines().length > before, 60_000);
    return JSON.parse(lines().at(-1)!) as ProcessFigures;
  }

  /** What the last apply did. */
  async lastApply(): Promise<{ revision: number; total: number; milliseconds: number }> {
    const { lastApply } = await this.mapwire.json<{
      lastApply: { revision: number; total: number; milliseconds: number };
    }>('status');
    return lastApply;
  }

  async close(): Promise<void> {
    await this.#mapwire?.down();
    await this.lab.close();
  }
}

/** Adds the bystander to a table that `writeTable` or `writeFolder` made. */
export async function addBystander(file: string): Promise<void> {
  await appendFile(file, bystanderLine);
}
