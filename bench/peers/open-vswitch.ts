/**
 * Open vSwitch with its userspace datapath and an OpenFlow rule for each endpoint. It runs on threads of its own, so on the other
 * cores too, which the others do not use.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OpenVSwitch } from '../../test/support/peers/open-vswitch.ts';
import { endpointMac, HOST, LOCAL, nodeAddress, nodesOf, SEGMENT, WIRE_MAC } from '../addressing.ts';
import type { Peer } from './peer.ts';

/** It keeps at most 200,000 flows in the datapath (other_config:flow-limit); beyond, every packet is an upcall. */
const MOST = 10_000;

export const openVSwitch: Peer = {
  names: ['ovs'],
  refuses: (encap, endpoints) => {
    if (encap !== 'vxlan') return 'measured with VXLAN alone';
    return endpoints > MOST ? `its flow cache is made for fewer than ${endpoints} random destinations` : undefined;
  },
  async start({ site, endpoints }) {
    const { here } = site;
    const ovs = await OpenVSwitch.start(here);
    const start = performance.now();
    await here.ip(`addr del ${HOST.address}/24 dev eth0`);
    await ovs.underlay('brphy', 'eth0', [`${HOST.address}/24`]);
    await here.ip(`link set brphy address ${HOST.mac}`);
    await ovs.vsctl('set', 'bridge', 'brphy', `other-config:hwaddr="${HOST.mac}"`);
    const nodes = nodesOf(endpoints);
    for (let n = 0; n < nodes; n++) await ovs.appctl('tnl/neigh/set', 'brphy', nodeAddress(n), WIRE_MAC);
    await ovs.vsctl('add-br', 'brint', '--', 'set', 'bridge', 'brint', 'datapath_type=netdev', 'fail_mode=secure');
    await ovs.vsctl('add-port', 'brint', 'port', '--', 'set', 'interface', 'port', 'ofport_request=1');
    await ovs.vsctl(
      ...['add-port', 'brint', 'vx0', '--', 'set', 'interface', 'vx0', 'type=vxlan', 'ofport_request=2'],
      ...['options:remote_ip=flow', `options:key=${SEGMENT}`, `options:local_ip=${HOST.address}`],
    );
    const flows = [`in_port=2,dl_dst=${LOCAL.mac},actions=output:1`];
    for (let n = 0; n < endpoints; n++)
      flows.push(`in_port=1,dl_dst=${endpointMac(n)},actions=set_field:${nodeAddress(n % nodes)}->tun_dst,output:2`);
    const file = join(await here.lab.folder(), 'flows');
    await writeFile(file, `${flows.join('\n')}\n`);
    await here.run(['ovs-ofctl', 'add-flows', `unix:${join(ovs.folder, 'brint.mgmt')}`, file], { timeout: 300_000 });
    return { loadSeconds: (performance.now() - start) / 1000, stop: async () => {} };
  },
};
