/**
 * Open vSwitch with its userspace datapath (`datapath_type=netdev`), in a namespace and a folder of its own: nothing of a system
 * service is used or touched. How it wants to be handled:
 *
 * - A tunnel's address must be on the internal port of a bridge that holds the underlay device (`underlay()`).
 * - It reads frames with AF_PACKET, and a veth hands it checksums that nobody finished and super-packets: the device at the other
 *   end of each veth to it needs `tx off` (`offload(device, { tx: 'off' })`), or ping works and TCP hangs. At the lab's
 *   switch that is its port, which also merges what it receives (GRE, whose offload needs no socket) and forwards it merged.
 * - It neither fragments nor answers "too big": guests behind it need a small enough MTU.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Namespace } from '../hosts.ts';
import { type Background, eventually, run } from '../process.ts';

export interface OvsTunnel {
  readonly type: 'vxlan' | 'geneve' | 'gre';
  readonly local?: string;
  readonly remote: string;
  readonly key: number;
  readonly port?: number;
  /** More options of the interface, e.g. `csum=true`. */
  readonly options?: readonly string[];
}

/** Where Debian and Ubuntu keep the schema. */
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';

export class OpenVSwitch {
  readonly host: Namespace;
  readonly folder: string;
  readonly #processes: Background[] = [];

  private constructor(host: Namespace, folder: string) {
    this.host = host;
    this.folder = folder;
  }

  /** Starts a database and a switch in the namespace; both end with the lab. */
  static async start(host: Namespace): Promise<OpenVSwitch> {
    const ovs = new OpenVSwitch(host, await host.lab.folder());
    const { folder } = ovs;
    const env = { OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder, OVS_SYSCONFDIR: folder };
    await run(['ovsdb-tool', 'create', join(folder, 'conf.db'), SCHEMA], { env });
    const control = (name: string) => `--unixctl=${join(folder, name)}`;
    const wait = (name: string, process: Background) =>
      eventually(`${process.argv.join(' ')} listens`, () => {
        if (!process.running) throw new Error(process.stderr);
        return existsSync(join(folder, name));
      });
    const database = ['ovsdb-server', `--remote=punix:${join(folder, 'db.sock')}`, control('db.ctl')];
    ovs.#processes.push(host.start([...database, join(folder, 'conf.db')], { env }));
    await wait('db.sock', ovs.#processes[0]!);
    await ovs.vsctl('--no-wait', 'init');
    ovs.#processes.push(host.start(['ovs-vswitchd', `unix:${join(folder, 'db.sock')}`, control('vs.ctl')], { env }));
    await wait('vs.ctl', ovs.#processes[1]!);
    return ovs;
  }

  /** Runs ovs-vsctl with the words; several commands are separated by `--`. */
  async vsctl(...words: string[]): Promise<string> {
    const argv = ['ovs-vsctl', '--timeout=30', `--db=unix:${join(this.folder, 'db.sock')}`, ...words];
    return (await this.host.run(argv)).stdout;
  }

  async appctl(...words: string[]): Promise<string> {
    return (await this.host.run(['ovs-appctl', '-t', join(this.folder, 'vs.ctl'), ...words])).stdout;
  }

  /** A learning bridge. */
  async bridge(name: string): Promise<void> {
    await this.vsctl('add-br', name, '--', 'set', 'bridge', name, 'datapath_type=netdev', 'fail_mode=standalone');
  }

  /** A port of a bridge: a device of the namespace; `tag` makes it an access port, `trunks` one that carries these tags. */
  async port(bridge: string, device: string, vlan: { tag?: number; trunks?: readonly number[] } = {}): Promise<void> {
    const words = ['add-port', bridge, device];
    if (vlan.tag !== undefined) words.push(`tag=${vlan.tag}`);
    if (vlan.trunks !== undefined) words.push(`trunks=${vlan.trunks.join(',')}`);
    await this.vsctl(...words);
  }

  /** Makes the device the underlay: bridge `name` with the addresses on its internal port (of VLAN `tag`, the device carries it tagged). */
  async underlay(name: string, device: string, addresses: readonly string[], tag?: number): Promise<void> {
    await this.bridge(name);
    await this.port(name, device, tag === undefined ? {} : { trunks: [tag] });
    if (tag !== undefined) await this.vsctl('set', 'port', name, `tag=${tag}`);
    await this.host.ip(
      ...addresses.map((address) => `addr add ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}`),
      `link set ${name} up`,
    );
  }

  async tunnel(bridge: string, name: string, tunnel: OvsTunnel): Promise<void> {
    const options = [
      `remote_ip=${tunnel.remote}`,
      `key=${tunnel.key}`,
      ...(tunnel.local === undefined ? [] : [`local_ip=${tunnel.local}`]),
      ...(tunnel.port === undefined ? [] : [`dst_port=${tunnel.port}`]),
      ...(tunnel.options ?? []),
    ].map((option) => `options:${option.replace(/=(.*:.*)$/, '="$1"')}`);
    const words = ['add-port', bridge, name, '--', 'set', 'interface', name, `type=${tunnel.type}`, ...options];
    await this.vsctl(...words);
    const error = (await this.vsctl('get', 'interface', name, 'error')).trim();
    if (error !== '[]') throw new Error(`Open vSwitch refuses ${name}: ${error}`);
  }

  /** What it counted of drops and tunnels, as text: for the messages of failing tests. */
  async report(): Promise<string> {
    const parts = ['coverage/show', 'tnl/neigh/show', 'tnl/ports/show', 'ovs/route/show', 'dpctl/dump-flows'];
    const said: string[] = [];
    for (const part of parts) {
      const text = await this.appctl(part).catch((error: Error) => error.message);
      said.push(`${part}\n${text}`);
    }
    return said.join('\n');
  }
}
