import type { Lab, Namespace } from '../../support/hosts.ts';

/** A host for one daemon: `eth0` with 192.0.2.1 on a wire to 192.0.2.2, and `port1`, whose other end `guest1` is in the same namespace. */
export async function daemonHost(lab: Lab): Promise<Namespace> {
  const host = await lab.namespace('a');
  const far = await lab.namespace('b');
  await host.ip(
    `link add eth0 type veth peer name eth0 netns ${far.name}`,
    'addr add 192.0.2.1/24 dev eth0',
    'link set eth0 up',
  );
  await far.ip('addr add 192.0.2.2/24 dev eth0', 'link set eth0 up');
  await host.ip('link add port1 type veth peer name guest1', 'link set port1 up', 'link set guest1 up');
  return host;
}
