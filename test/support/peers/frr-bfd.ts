/**
 * FRR's bfdd in a host, and the zebra that tells it of interfaces. Both give up root, so their folder belongs to `frr`, the
 * user that Debian's package makes; they run in the foreground and end with the lab.
 */
import { chmod, chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Namespace } from '../hosts.ts';
import { run } from '../process.ts';

const DAEMONS = '/usr/lib/frr';

export interface FrrPeer {
  readonly address: string;
  /** The host's own address of the session; several hops only. */
  readonly local?: string;
  /** Milliseconds. */
  readonly interval: number;
  readonly multiplier?: number;
  /** Over routers (RFC 5883); else a neighbour on `eth0`. */
  readonly multihop?: boolean;
}

/** What `show bfd peers json` says of one. */
export interface FrrStatus {
  readonly peer: string;
  readonly status: 'up' | 'down' | 'init' | 'shutdown';
  readonly diagnostic: string;
  readonly 'remote-diagnostic': string;
  readonly 'remote-detect-multiplier': number;
  readonly 'remote-transmit-interval': number;
}

export class FrrBfd {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start(host: Namespace): Promise<FrrBfd> {
    const folder = await host.lab.folder();
    const { stdout } = await run(['id', '-u', 'frr']);
    const group = await run(['id', '-g', 'frr']);
    await chown(folder, Number(stdout), Number(group.stdout));
    await chmod(folder, 0o755);
    const common = (name: string) => [
      ...['-z', join(folder, 'zserv.api'), '--vty_socket', folder, '-i', join(folder, `${name}.pid`)],
      ...['-P', '0', '-u', 'frr', '-g', 'frr', '-f', join(folder, `${name}.conf`), '--log', 'stdout'],
    ];
    for (const name of ['zebra', 'bfdd']) await writeFile(join(folder, `${name}.conf`), '', { mode: 0o644 });
    host.start([join(DAEMONS, 'zebra'), ...common('zebra')]);
    host.start([join(DAEMONS, 'bfdd'), ...common('bfdd'), '--bfdctl', join(folder, 'bfdd.sock')]);
    const frr = new FrrBfd(folder);
    for (let i = 0; ; i++) {
      const interfaces = await frr.#vtysh(['show interface brief'], false);
      const peers = await frr.#vtysh(['show bfd peers json'], false);
      if (interfaces.includes('eth0') && peers.includes('[')) return frr;
      if (i === 100) throw new Error(`bfdd does not begin: ${interfaces}${peers}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  async set(peer: FrrPeer): Promise<void> {
    await this.#configure(peer, [
      `receive-interval ${peer.interval}`,
      `transmit-interval ${peer.interval}`,
      `detect-multiplier ${peer.multiplier ?? 3}`,
      'no shutdown',
    ]);
  }

  async shutdown(peer: FrrPeer): Promise<void> {
    await this.#configure(peer, ['shutdown']);
  }

  async status(address: string): Promise<FrrStatus | undefined> {
    const peers = JSON.parse(await this.#vtysh(['show bfd peers json'])) as FrrStatus[];
    return peers.find(({ peer }) => peer === address);
  }

  async #configure({ address, local, multihop = false }: FrrPeer, lines: readonly string[]): Promise<void> {
    const where = multihop ? `multihop local-address ${local}` : 'interface eth0';
    await this.#vtysh(['configure terminal', 'bfd', `peer ${address} ${where}`, ...lines]);
  }

  async #vtysh(commands: readonly string[], check = true): Promise<string> {
    const words = commands.flatMap((command) => ['-c', command]);
    const { stdout, stderr } = await run(['vtysh', '--vty_socket', this.#folder, ...words], { check });
    // what it refuses it says with a percent sign, and exits with 0
    if (check && /^%/m.test(stdout)) throw new Error(`vtysh: ${stdout}${stderr}`);
    return stdout;
  }
}
