import { detachAll } from './attachments.ts';
import { putSettingsBack } from './device-settings.ts';
import { HostNetwork } from './host-network.ts';
import { removeDevices } from './merger.ts';
import { removeNeighbours } from './next-hops.ts';
import { PinDirectory, removeTree } from './pin-dir.ts';
import { removeReceptions } from './reception.ts';
import { removePairs } from './segmenter.ts';
import { StateFile } from './state-file.ts';
import type { DataplaneOptions, DownReport } from './types.ts';

/**
 * Takes an instance down. In this order, so that a crash leaves something a second run understands: programs are
 * detached, generations unpinned (the one in force last), neighbours, received MACs and groups removed, settings put back,
 * device pairs, devices and folders removed.
 *
 * @throws ERR_MW_BUSY while a daemon holds the pin directory
 */
export async function down(options: Pick<DataplaneOptions, 'pinDir' | 'stateDir' | 'onStep'>): Promise<DownReport> {
  const step = async (name: string): Promise<void> => options.onStep?.(`down:${name}`);
  const pins = PinDirectory.openExisting(options.pinDir);
  const network = new HostNetwork();
  try {
    const state = StateFile.open(options.stateDir);
    let links = 0;
    let generations = 0;
    if (pins !== undefined) {
      await step('links');
      links = await detachAll(pins.links, state);
      for (const number of pins.generations()) {
        await step('generation');
        removeTree(pins.generationPath(number));
        generations++;
      }
    }
    await step('neighbours');
    const neighbours = await removeNeighbours(network, state);
    await step('receptions');
    const receptions = await removeReceptions(network, state);
    await step('settings');
    const settings = await putSettingsBack(network, state);
    await step('pairs');
    const pairs = await removePairs(network, state);
    await step('devices');
    const devices = await removeDevices(network, state);
    await step('folders');
    state.remove();
    pins?.remove();
    return { links, generations, neighbours, receptions, settings, pairs, devices };
  } finally {
    network.close();
    pins?.close();
  }
}
