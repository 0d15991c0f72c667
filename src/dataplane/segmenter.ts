import { createHash } from 'node:crypto';
import { MapwireError } from '../errors.ts';
import type { HostDevice } from './device-table.ts';
import type { HostLink, HostNetlink } from './host-netlink.ts';
import type { StateFile } from './state-file.ts';

/** Larger than any super-packet's segment. */
const MTU = 65535;

export interface SegmenterPair {
  /** Indexes of the end that super-packets are sent to, and of the one where their segments come out. */
  readonly near: number;
  readonly far: number;
}

/** Names of the pair of an instance: the same after a restart, and no other instance's. */
export function pairNames(pinDir: string): { readonly near: string; readonly far: string } {
  const digest = createHash('sha256').update(pinDir).digest('hex').slice(0, 8);
  return { near: `mwseg${digest}n`, far: `mwseg${digest}f` };
}

/**
 * A veth pair whose near end has no segmentation offload: what is sent to it comes out at the far end cut into segments, by
 * the kernel's own code. For super-packets to nodes that want a checksum in every outer header.
 */
export class Segmenter {
  readonly names: { readonly near: string; readonly far: string };
  readonly #netlink: HostNetlink;
  readonly #state: StateFile;
  readonly #step: (step: string) => Promise<void>;

  constructor(pinDir: string, netlink: HostNetlink, state: StateFile, step: (step: string) => Promise<void>) {
    this.names = pairNames(pinDir);
    this.#netlink = netlink;
    this.#state = state;
    this.#step = step;
  }

  /**
   * Makes the pair, or finishes one that an earlier process began. It carries nothing until `raise`.
   *
   * @param wanted index that programs know the near end by: it gets that again, if it is free
   * @throws ERR_MW_NETLINK and others: the kernel refused; ERR_MW_BUSY: one of the names is another device's
   */
  async ensure(wanted: number | undefined): Promise<SegmenterPair> {
    const { near: name, far: peer } = this.names;
    let [near, far] = await this.#find();
    if (near === undefined && far === undefined) {
      this.#state.addPair({ name, peer });
      await this.#step('segmenter add');
      await this.#netlink.addPair({ name, peer, mtu: MTU, ifindex: wanted });
      [near, far] = await this.#find();
    }
    if (near === undefined || far === undefined) {
      throw new MapwireError('ERR_MW_BUSY', `only one of the devices ${name} and ${peer} is there`, {
        hint: `is it a device of yours? Rename it, or remove it with \`ip link del ${near === undefined ? peer : name}\``,
      });
    }
    this.#state.addPair({ name, peer });
    await this.#step('segmenter offloads');
    for (const offload of await this.#netlink.switchable(near.ifindex)) {
      if (isSegmentation(offload)) await this.#netlink.setOffload(near.ifindex, offload, false);
    }
    return { near: near.ifindex, far: far.ifindex };
  }

  /** Brings both ends up: once the far one has its program, so that no segment gets past it. */
  async raise(): Promise<void> {
    await this.#step('segmenter up');
    for (const end of await this.#find()) if (end?.up === false) await this.#netlink.bringUp(end.ifindex);
  }

  /** Is this pair as it should be? */
  isWhole(pair: SegmenterPair | undefined, devices: readonly HostDevice[]): boolean {
    return [
      [this.names.near, pair?.near],
      [this.names.far, pair?.far],
    ].every(([wanted, index]) => devices.some(({ name, ifindex, up }) => name === wanted && ifindex === index && up));
  }

  /** Removes the pair if this instance made one. */
  async remove(): Promise<void> {
    if (this.#state.pairs.some(({ name }) => name === this.names.near)) await removePairs(this.#netlink, this.#state);
  }

  async #find(): Promise<[HostLink | undefined, HostLink | undefined]> {
    const links = await this.#netlink.links();
    const named = (wanted: string): HostLink | undefined => links.find(({ name }) => name === wanted);
    return [named(this.names.near), named(this.names.far)];
  }
}

/** By the kernel's names: `tx-tcp-segmentation`, `tx-generic-segmentation`, `tx-gso-list` … */
function isSegmentation(offload: string): boolean {
  return /^tx-(.*-segmentation|gso-.*)$/.test(offload);
}

/** Removes every pair that was made: for `down`. Gives how many. */
export async function removePairs(netlink: HostNetlink, state: StateFile): Promise<number> {
  const made = [...state.pairs];
  if (made.length === 0) return 0;
  const links = await netlink.links();
  for (const { name, peer } of made) {
    // Either end takes the other along.
    const end = links.find((link) => link.name === name || link.name === peer);
    if (end !== undefined) await netlink.removeDevice(end.ifindex);
    state.removePair(name);
  }
  return made.length;
}
