import { MapwireError } from '../errors.ts';
import type { HostNetlink } from './host-netlink.ts';
import type { StateFile } from './state-file.ts';

/** Puts back what was changed on devices that are still there. Gives how many settings. */
export async function putSettingsBack(netlink: HostNetlink, state: StateFile): Promise<number> {
  const present = new Map((await netlink.links()).map((link) => [link.ifindex, link.name]));
  let restored = 0;
  for (const change of [...state.settings]) {
    // An index may be another device's by now; a name may have changed. Both together are the same device.
    if (change.setting === 'gro' && present.get(change.ifindex) === change.device) {
      try {
        if ((await netlink.gro(change.ifindex)) !== change.before) await netlink.setGro(change.ifindex, change.before);
        restored++;
      } catch (error) {
        if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_NOT_FOUND') throw error;
      }
    }
    state.removeSetting(change);
  }
  return restored;
}
