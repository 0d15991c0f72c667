import { MapwireError } from '../errors.ts';
import type { HostNetlink } from './host-netlink.ts';
import type { ChangedSetting, OffloadSetting, StateFile } from './state-file.ts';

const OFFLOADS: Readonly<Record<OffloadSetting, string>> = {
  gro: 'rx-gro',
  'rx-vlan-hw-parse': 'rx-vlan-hw-parse',
  'rx-vlan-filter': 'rx-vlan-filter',
  'tx-udp-segmentation': 'tx-udp-segmentation',
};

/** Offloads of devices that this instance changes: written down before, put back afterwards. */
export class DeviceSettings {
  readonly #netlink: HostNetlink;
  readonly #state: StateFile;
  readonly #step: (step: string) => Promise<void>;

  constructor(netlink: HostNetlink, state: StateFile, step: (step: string) => Promise<void>) {
    this.#netlink = netlink;
    this.#state = state;
    this.#step = step;
  }

  /** Brings an offload to what is wanted. Gives whether it is so now: a fixed one stays. */
  async set(
    device: { readonly ifindex: number; readonly name: string },
    setting: OffloadSetting,
    on: boolean,
  ): Promise<boolean> {
    const { ifindex, name } = device;
    const now = await this.#netlink.offload(ifindex, OFFLOADS[setting]);
    if (now.active === on) return true;
    if (!now.changeable) return false;
    this.#state.addSetting({ device: name, ifindex, setting, before: now.active });
    await this.#step(`setting ${setting}-${ifindex}`);
    return this.#netlink.setOffload(ifindex, OFFLOADS[setting], on);
  }

  /** Puts back what was changed of a device, or these settings of it. */
  async putBack(ifindex: number, which: readonly OffloadSetting[]): Promise<void> {
    const changes = this.#state.settings.filter(
      (change) => change.ifindex === ifindex && change.setting !== 'clsact' && which.includes(change.setting),
    );
    if (changes.length === 0) return;
    await putBack(changes, this.#netlink, this.#state);
  }
}

/** Puts everything back that was changed on devices that are still there: for `down`. Gives how many settings. */
export async function putSettingsBack(netlink: HostNetlink, state: StateFile): Promise<number> {
  return putBack(state.settings, netlink, state);
}

async function putBack(changes: readonly ChangedSetting[], netlink: HostNetlink, state: StateFile): Promise<number> {
  if (changes.length === 0) return 0;
  const present = new Map((await netlink.links()).map((link) => [link.ifindex, link.name]));
  let restored = 0;
  for (const change of [...changes]) {
    const { ifindex, setting } = change;
    // An index may be another device's by now; a name may have changed. Both together are the same device.
    if (setting !== 'clsact' && present.get(ifindex) === change.device) {
      try {
        const now = await netlink.offload(ifindex, OFFLOADS[setting]);
        if (now.active !== change.before) await netlink.setOffload(ifindex, OFFLOADS[setting], change.before);
        restored++;
      } catch (error) {
        if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_NOT_FOUND') throw error;
      }
    }
    state.removeSetting(change);
  }
  return restored;
}
