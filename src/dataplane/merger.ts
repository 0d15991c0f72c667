import { createHash } from 'node:crypto';
import { MapwireError } from '../errors.ts';
import { ipBytes } from '../table/address.ts';
import type { HostNetlink } from './host-netlink.ts';
import type { StateFile } from './state-file.ts';

/** The same after a restart, and no other instance's. */
export function mergerName(pinDir: string, port: number, family: 4 | 6): string {
  return `mwgro${createHash('sha256').update(`${pinDir} ${port}`).digest('hex').slice(0, 8)}${family}`;
}

/** From the digits of the name: two instances of a host have two. */
function vniOf(name: string): number {
  return FIRST_VNI + (Number.parseInt(name.slice(5, 9), 16) ^ (name.endsWith('6') ? 1 : 0));
}

/** Where the VNIs of mergers begin: 16 of 24 bits are the instance's. */
const FIRST_VNI = 0xf00000;

/**
 * A VXLAN device that nobody uses. Its socket makes the kernel's GRO look into VXLAN packets (net/ipv4/udp_offload.c: only a
 * socket with `gro_receive` has datagrams merged), so that TCP which comes in frames of the wire's size is merged to
 * super-packets before the TC program sees it: one run of the program, and one of the guest's stack, for forty frames.
 * Nothing gets to the device: the TC program has taken what belongs to a network of the table.
 */
export class Merger {
  readonly #netlink: HostNetlink;
  readonly #state: StateFile;
  readonly #step: (step: string) => Promise<void>;
  readonly #pinDir: string;

  constructor(pinDir: string, netlink: HostNetlink, state: StateFile, step: (step: string) => Promise<void>) {
    this.#pinDir = pinDir;
    this.#netlink = netlink;
    this.#state = state;
    this.#step = step;
  }

  /**
   * Makes one for each family of these addresses, and removes what was made for another port or family. Where the kernel
   * refuses, packets come unmerged: there is no VXLAN in it, or another VXLAN device has the port, whose socket does the same.
   *
   * @param addresses this node's own; none: nothing is to be merged
   */
  async sync(addresses: readonly string[], port: number): Promise<void> {
    const wanted = new Map(
      ([4, 6] as const).flatMap((family) => {
        const local = addresses.find((address) => address.includes(':') === (family === 6));
        return local === undefined ? [] : [[mergerName(this.#pinDir, port, family), local] as const];
      }),
    );
    const links = await this.#netlink.links();
    const find = (name: string) => links.find((link) => link.name === name);
    for (const name of this.#state.devices) if (!wanted.has(name)) await this.#remove(name, find(name)?.ifindex);
    for (const [name, local] of wanted) {
      const present = find(name);
      if (present === undefined) await this.#add(name, local, port);
      else if (!present.up) await this.#netlink.bringUp(present.ifindex);
    }
  }

  async #add(name: string, local: string, port: number): Promise<void> {
    this.#state.addDevice(name);
    await this.#step(`merger add ${name}`);
    try {
      await this.#netlink.addVxlan({ name, vni: vniOf(name), port, local: ipBytes(local) });
      const made = (await this.#netlink.links()).find((link) => link.name === name);
      if (made !== undefined) await this.#netlink.bringUp(made.ifindex);
    } catch (error) {
      if (!(error instanceof MapwireError)) throw error;
      const left = (await this.#netlink.links()).find((link) => link.name === name);
      await this.#remove(name, left?.ifindex);
    }
  }

  async #remove(name: string, ifindex: number | undefined): Promise<void> {
    if (ifindex !== undefined) {
      await this.#step(`merger remove ${name}`);
      await this.#netlink.removeDevice(ifindex);
    }
    this.#state.removeDevice(name);
  }
}

/** Removes every device that was made: for `down`. Gives how many there were. */
export async function removeDevices(netlink: HostNetlink, state: StateFile): Promise<number> {
  const made = [...state.devices];
  if (made.length === 0) return 0;
  const links = await netlink.links();
  let removed = 0;
  for (const name of made) {
    const link = links.find((one) => one.name === name);
    if (link !== undefined) {
      await netlink.removeDevice(link.ifindex);
      removed++;
    }
    state.removeDevice(name);
  }
  return removed;
}
