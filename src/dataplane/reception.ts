import { MapwireError } from '../errors.ts';
import type { HostNetlink } from './host-netlink.ts';
import type { MadeReception, StateFile } from './state-file.ts';
import type { Problem } from './types.ts';
import type { Uplink } from './underlay.ts';

/** What comes to this node from the underlay beside what is addressed to the node itself. */
export interface Reception {
  /** MACs of the local ports of flat networks, in text. */
  readonly macs: ReadonlySet<string>;
  /** Underlay groups that networks here flood to. */
  readonly groups: ReadonlySet<string>;
}

export const NOTHING: Reception = { macs: new Set(), groups: new Set() };

type Target = Pick<MadeReception, 'device' | 'ifindex'>;

/**
 * Makes the uplink receive what is for this node: its NIC's filter takes the MACs of flat networks' ports, and groups are
 * joined by addresses with `autojoin`, which outlive every process. What is made is written down before; what somebody
 * else made is left to them.
 */
export class Receptions {
  readonly #netlink: HostNetlink;
  readonly #state: StateFile;
  readonly #step: (step: string) => Promise<void>;

  constructor(netlink: HostNetlink, state: StateFile, step: (step: string) => Promise<void>) {
    this.#netlink = netlink;
    this.#state = state;
    this.#step = step;
  }

  /**
   * Brings the host to what is wanted: first what is missing, then what is too much.
   *
   * @param uplink undefined: none is up; what was made stays until there is one
   * @returns what the kernel refused
   */
  async sync(uplink: Uplink | undefined, wanted: Reception): Promise<Problem[]> {
    const problems: Problem[] = [];
    const keep: MadeReception[] = [];
    if (uplink !== undefined) {
      const { link, face } = uplink;
      keep.push(...all('mac', { device: link.name, ifindex: link.ifindex }, wanted.macs));
      // The VLAN device for the tunnels' tag, if there is one: its reports carry the tag.
      keep.push(...all('group', { device: face.name, ifindex: face.ifindex }, wanted.groups));
    } else if (wanted.macs.size + wanted.groups.size > 0) {
      return [];
    }
    for (const kind of ['mac', 'group'] as const) {
      problems.push(
        ...(await this.#add(
          kind,
          keep.filter((one) => one.kind === kind),
        )),
      );
    }
    const gone = this.#state.receptions.filter((one) => !keep.some((other) => same(one, other)));
    if (gone.length > 0) await undo(gone, this.#netlink, this.#state, this.#step);
    return problems;
  }

  async #add(kind: MadeReception['kind'], wanted: readonly MadeReception[]): Promise<Problem[]> {
    const [first] = wanted;
    if (first === undefined) return [];
    const { ifindex } = first;
    let present: ReadonlySet<string>;
    try {
      present = await (kind === 'mac' ? this.#netlink.receivedMacs(ifindex) : this.#netlink.joinedGroups(ifindex));
    } catch (error) {
      return [problemOf(first, error)];
    }
    const missing = wanted.filter(({ address }) => !present.has(address));
    if (missing.length === 0) return [];
    this.#state.addReceptions(missing);
    const problems: Problem[] = [];
    for (const one of missing) {
      await this.#step(`receive ${kind} ${one.address}`);
      try {
        if (kind === 'mac') await this.#netlink.receiveMac(ifindex, one.address);
        else await this.#netlink.joinGroup(ifindex, one.address);
      } catch (error) {
        problems.push(problemOf(one, error));
      }
    }
    return problems;
  }
}

/** Undoes everything that was made: for `down`. Gives how many. */
export async function removeReceptions(netlink: HostNetlink, state: StateFile): Promise<number> {
  const made = [...state.receptions];
  if (made.length > 0) await undo(made, netlink, state, async () => {});
  return made.length;
}

async function undo(
  made: readonly MadeReception[],
  netlink: HostNetlink,
  state: StateFile,
  step: (step: string) => Promise<void>,
): Promise<void> {
  // An index may be another device's by now; a name may have changed. Both together are the same device.
  const present = new Map((await netlink.links()).map((link) => [link.ifindex, link.name]));
  for (const { device, ifindex, kind, address } of made) {
    if (present.get(ifindex) !== device) continue;
    await step(`forget ${kind} ${address}`);
    if (kind === 'mac') await netlink.forgetMac(ifindex, address);
    else await netlink.leaveGroup(ifindex, address);
  }
  state.removeReceptions(made);
}

function all(kind: MadeReception['kind'], target: Target, addresses: Iterable<string>): MadeReception[] {
  return [...addresses].map((address) => ({ ...target, kind, address }));
}

function same(a: MadeReception, b: MadeReception): boolean {
  return a.kind === b.kind && a.address === b.address && a.ifindex === b.ifindex && a.device === b.device;
}

function problemOf({ kind, device, address }: MadeReception, error: unknown): Problem {
  if (!(error instanceof MapwireError)) throw error;
  const what = kind === 'mac' ? `receive frames to ${address}` : `join the group ${address}`;
  return {
    code: error.code,
    message: `${device} cannot ${what}: ${error.message}`,
    hint:
      error.hint ??
      (kind === 'mac'
        ? `see \`bridge fdb show dev ${device}\`; \`ip link set ${device} promisc on\` receives everything`
        : address.includes(':')
          ? `is IPv6 switched off on ${device}? See \`sysctl net.ipv6.conf.${device}.disable_ipv6\` and \`ip maddr show dev ${device}\``
          : `see \`ip maddr show dev ${device}\` and \`sysctl net.ipv4.igmp_max_memberships\``),
    subject: kind === 'mac' ? `port MAC ${address}` : `group ${address}`,
  };
}
