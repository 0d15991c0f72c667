/**
 * What a Linux host does without Mapwire: a bridge and a VXLAN device with an entry for each endpoint, as an agent or a routing daemon
 * writes them. `kernel` is that as it comes, with bridge netfilter; `kernel-tuned` has it switched off.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Namespace } from '../../test/support/hosts.ts';
import { kernelTunnel } from '../../test/support/peers/kernel-tunnel.ts';
import { endpointMac, HOST, LOCAL, nodeAddress, nodesOf, SEGMENT } from '../addressing.ts';
import { bridgeNetfilter } from '../pair.ts';
import type { Peer } from './peer.ts';

/** Bytes of text that are put together at a time. */
const PIECE = 1 << 16;

export const kernel: Peer = {
  names: ['kernel', 'kernel-tuned'],
  refuses: (encap) => (encap === 'vxlan' ? undefined : 'only VXLAN is in every kernel'),
  async start({ site, endpoints }) {
    const { here } = site;
    await kernelHost(here);
    const batch = join(await here.lab.folder(), 'fdb');
    await writeFile(batch, fdbCommands(endpoints));
    const start = performance.now();
    await here.run(['bridge', '-batch', batch], { timeout: 300_000 });
    return {
      loadSeconds: (performance.now() - start) / 1000,
      activate: (peer) => bridgeNetfilter(here, peer === 'kernel'),
      stop: async () => {},
    };
  },
};

/** The bridge with the local port, and the VXLAN device without entries. */
export async function kernelHost(here: Namespace): Promise<void> {
  await kernelTunnel(here, { kind: 'vxlan', segment: SEGMENT, local: HOST.address, options: ['nolearning'] });
  await here.ip('link set port master br0');
  await here.run(['bridge', 'link', 'set', 'dev', 'vx0', 'learning', 'off']);
  await here.run(['bridge', 'fdb', 'replace', LOCAL.mac, 'dev', 'port', 'master', 'static']);
}

/** For `bridge -batch`, in pieces. */
export function* fdbCommands(endpoints: number): Generator<string> {
  const nodes = nodesOf(endpoints);
  let text = '';
  for (let n = 0; n < endpoints; n++) {
    text += `fdb add ${endpointMac(n)} dev vx0 dst ${nodeAddress(n % nodes)} self static\n`;
    if (text.length > PIECE) {
      yield text;
      text = '';
    }
  }
  yield text;
}
