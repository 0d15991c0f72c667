/**
 * Hosts in network namespaces: a switch, hosts behind it, guests behind hosts, and a host that is nothing but the
 * kernel's own bridge and VXLAN device. Names carry this process's id; `Lab.close()` removes all of it.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, rmdir, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kernelTunnel } from './peers/kernel-tunnel.ts';
import { Background, type RunOptions, type RunResult, run } from './process.ts';

/** Folder of what is not TypeScript (this file may run from `dist/`). */
export const support = fileURLToPath(new URL('.', import.meta.url)).replace('/dist/test/', '/test/');

/** A network namespace with a name. Commands in it keep this process's mounts, so bpffs stays visible. */
export class Namespace {
  readonly name: string;
  readonly lab: Lab;

  constructor(lab: Lab, name: string) {
    this.lab = lab;
    this.name = name;
  }

  /** `argv` with the prefix that enters this namespace. */
  enter(argv: readonly string[]): string[] {
    return ['nsenter', `--net=/run/netns/${this.name}`, '--', ...argv];
  }

  run(argv: readonly string[], options?: RunOptions): Promise<RunResult> {
    return run(this.enter(argv), options);
  }

  /** Runs `ip` with several commands, one a line (`ip -batch`). */
  async ip(...lines: string[]): Promise<void> {
    await this.run(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
  }

  async sysctl(settings: Readonly<Record<string, string | number>>): Promise<void> {
    await this.run(['sysctl', '-q', '-w', ...Object.entries(settings).map(([key, value]) => `${key}=${value}`)]);
  }

  /** Starts a process that ends with the lab at the latest. */
  start(argv: readonly string[], options?: RunOptions): Background {
    return this.lab.start(this.enter(argv), options);
  }

  /** Sets offload features of a device, e.g. `{ gro: 'on', tx: 'off' }`. */
  async offload(device: string, features: Readonly<Record<string, 'on' | 'off'>>): Promise<void> {
    await this.run(['ethtool', '-K', device, ...Object.entries(features).flat()]);
  }
}

export interface GuestOptions {
  readonly mac: string;
  /** With prefix length, e.g. `10.1.0.1/24`. */
  readonly addresses: readonly string[];
  readonly mtu?: number;
}

export interface PlugOptions {
  readonly mtu?: number;
  /** The host's end. Default eth0. */
  readonly device?: string;
  /** The switch's bridge; empty: none. Default br0. */
  readonly bridge?: string;
}

/** With the prefix length that the tests use where none is given; no duplicate detection, whose second nobody has. */
function withLength(address: string): string {
  const length = address.includes('/') ? '' : address.includes(':') ? '/64' : '/24';
  return `${address}${length}${address.includes(':') ? ' nodad' : ''}`;
}

export class Lab {
  readonly prefix: string;
  readonly #namespaces: Namespace[] = [];
  readonly #processes: Background[] = [];
  readonly #folders: string[] = [];
  readonly #closers: (() => Promise<void>)[] = [];
  static #count = 0;

  constructor(title = 'mw') {
    this.prefix = `${title}${process.pid}x${Lab.#count++}`;
  }

  async namespace(name: string): Promise<Namespace> {
    const namespace = new Namespace(this, `${this.prefix}-${name}`);
    await run(['ip', 'netns', 'add', namespace.name]);
    this.#namespaces.push(namespace);
    await namespace.ip('link set lo up');
    return namespace;
  }

  /** A namespace of this lab by its full name. */
  existing(name: string): Namespace {
    const found = this.#namespaces.find((namespace) => namespace.name === name);
    if (!found) throw new Error(`no namespace ${name} in this lab`);
    return found;
  }

  /** Removes a namespace before the lab goes, with everything that runs in it. */
  async remove(namespace: Namespace): Promise<void> {
    const at = this.#namespaces.indexOf(namespace);
    if (at < 0) return;
    const entering = (background: Background) => background.argv.includes(`--net=/run/netns/${namespace.name}`);
    for (const background of this.#processes.filter(entering).reverse()) await background.stop();
    this.#namespaces.splice(at, 1);
    await run(['ip', 'netns', 'del', namespace.name], { check: false });
  }

  start(argv: readonly string[], options?: RunOptions): Background {
    const background = new Background(argv, options);
    this.#processes.push(background);
    return background;
  }

  /** Runs before processes, namespaces and folders go, newest first. */
  atClose(closer: () => Promise<void>): void {
    this.#closers.push(closer);
  }

  /** A fresh folder, removed with the lab. */
  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), `${this.prefix}-`));
    this.#folders.push(folder);
    return folder;
  }

  /** A switch: a namespace with a bridge that hosts plug into with `plug`. */
  async wire(): Promise<Namespace> {
    const wire = await this.namespace('wire');
    await wire.ip('link add br0 type bridge forward_delay 0 mcast_snooping 0', 'link set br0 up');
    return wire;
  }

  /**
   * Joins a host to the switch: `device` in the host with the addresses (without a prefix length: 24 or 64), `p-<name>` at
   * the switch. GRO at the switch's end makes it a receiver with NAPI, as a physical port is, so XDP may transmit to it.
   */
  async plug(
    wire: Namespace,
    host: Namespace,
    name: string,
    addresses: string | readonly string[],
    { mtu = 1500, device = 'eth0', bridge = 'br0' }: PlugOptions = {},
  ): Promise<void> {
    await wire.ip(
      `link add p-${name} mtu ${mtu} type veth peer name ${device} mtu ${mtu} netns ${host.name}`,
      ...(bridge === undefined || bridge === '' ? [] : [`link set p-${name} master ${bridge}`]),
      `link set p-${name} up`,
    );
    await wire.offload(`p-${name}`, { gro: 'on' });
    await host.ip(...[addresses].flat().map((address) => `addr add ${withLength(address)} dev ${device}`));
    await host.ip(`link set ${device} up`);
  }

  /** A guest that is a namespace: `device` in the host, `eth0` in the guest, offloads as they come. */
  async guest(host: Namespace, name: string, device: string, options: GuestOptions): Promise<Namespace> {
    const guest = await this.namespace(name);
    await host.ip(`link add ${device} type veth peer name eth0 address ${options.mac} netns ${guest.name}`);
    await guest.ip(
      ...(options.mtu === undefined ? [] : [`link set eth0 mtu ${options.mtu}`]),
      ...options.addresses.map((address) => `addr add ${address} dev eth0${address.includes(':') ? ' nodad' : ''}`),
      'link set eth0 up',
    );
    await host.ip(`link set ${device} up`);
    return guest;
  }

  /**
   * A guest behind a tap with vnet_hdr, as a virtual machine is: `device` is the tap in the host, `eth0` the guest's.
   * Checksums and super-packets cross unfinished, as with vhost.
   */
  async tapGuest(host: Namespace, name: string, device: string, options: GuestOptions): Promise<Namespace> {
    const pump = join(await this.folder(), 'tap-pump');
    await run(['cc', '-O2', '-Wall', '-Werror', '-o', pump, join(support, 'tap-pump.c')]);
    const guest = await this.namespace(name);
    await this.start([pump, host.name, device, guest.name, 'eth0']).waitFor(/ready/);
    await guest.ip(
      `link set eth0 address ${options.mac}${options.mtu === undefined ? '' : ` mtu ${options.mtu}`}`,
      ...options.addresses.map((address) => `addr add ${address} dev eth0${address.includes(':') ? ' nodad' : ''}`),
      'link set eth0 up',
    );
    await host.ip(`link set ${device} up`);
    return guest;
  }

  /** Makes `host` a plain Linux VTEP: bridge `br0`, VXLAN device `vx0`, broadcast to `peers`. */
  async kernelVtep(
    host: Namespace,
    options: {
      readonly vni: number;
      readonly local: string;
      readonly peers: readonly string[];
      readonly port?: number;
      readonly mtu?: number;
    },
  ): Promise<void> {
    const { vni, local, peers, port, mtu } = options;
    await kernelTunnel(host, { kind: 'vxlan', bridge: 'br0', device: 'vx0', segment: vni, local, peers, port, mtu });
  }

  /** Ends processes (newest first), removes namespaces and folders. Idempotent. */
  async close(): Promise<void> {
    for (const closer of this.#closers.splice(0).reverse()) await closer();
    for (const background of this.#processes.splice(0).reverse()) {
      if (background.running) await background.stop();
    }
    for (const namespace of this.#namespaces.splice(0).reverse()) {
      await run(['ip', 'netns', 'del', namespace.name], { check: false });
    }
    for (const folder of this.#folders.splice(0)) await rm(folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Removes a folder of pins: bpffs knows files and folders only. */
export async function removePins(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await removePins(path);
    else await unlink(path);
  }
  await rmdir(folder).catch(() => {});
}

/** Removes namespaces and pins of labs whose process is gone (a run that was killed). Gives their names. */
export async function sweepLabs(title = 'mw'): Promise<string[]> {
  const swept = new Set<string>();
  const orphans = async (folder: string) => {
    const names = await readdir(folder).catch(() => [] as string[]);
    return names.filter((name) => {
      const pid = name.match(new RegExp(`^${title}(\\d+)x\\d+-`))?.[1];
      return pid !== undefined && !existsSync(`/proc/${pid}`);
    });
  };
  for (const name of await orphans('/run/netns')) {
    await run(['ip', 'netns', 'del', name], { check: false });
    swept.add(name);
  }
  for (const name of await orphans('/sys/fs/bpf')) {
    await removePins(`/sys/fs/bpf/${name}`);
    swept.add(name);
  }
  for (const name of await orphans(tmpdir())) await rm(join(tmpdir(), name), { recursive: true, force: true });
  return [...swept];
}
