/**
 * A daemon under the bench: its host, two guests, a gateway behind which all other nodes are, and figures from its
 * process. Needs root; everything goes with `close`.
 */
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Lab, type Namespace } from '../test/support/hosts.ts';
import { Mapwire } from '../test/support/mapwire.ts';
import { LOCAL, NETWORK, SELF } from './daemon-table.ts';
import { LoopProbe, type ProcessFigures } from './loop-probe.ts';

const GATEWAY = '192.0.2.254';

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
  readonly #probe: LoopProbe;
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
    this.#probe = new LoopProbe(join(parts.folder, 'probe'));
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

  /** Sets the daemon up for a table (a file or a folder), replacing what was before. */
  async configure(table: string): Promise<void> {
    await this.#mapwire?.down();
    this.#mapwire = await Mapwire.configure(this.host, { node: SELF, table, hook: 'tc' });
  }

  /** Starts the daemon; milliseconds until it says `ready`. */
  async start(): Promise<number> {
    const begin = performance.now();
    const daemon = await this.mapwire.run(false, this.#probe.prefix);
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
  figures(): Promise<ProcessFigures> {
    return this.#probe.figures(this.pid);
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
