/** What `mapwire doctor` says about the underlay: devices, tags, addresses, MTU. */
import { IdBook, overhead, pairFamily, plan } from '../compiler/index.ts';
import type { ConfigUnderlay, Place } from '../daemon/config-schema.ts';
import { chooseHook } from '../dataplane/index.ts';
import { MapwireError } from '../errors.ts';
import { type Address, AddressFlag, type AttachedProgram, type Device, Netlink } from '../libbpf/index.ts';
import { ipFromBytes } from '../table/address.ts';
import type { Table, TableNode } from '../table/index.ts';
import type { Finding } from './doctor-finding.ts';

/** The least MTU of a link that carries IPv6 (RFC 8200 section 5). */
const LEAST_MTU = 1280;
const ETH_P_8021Q = 0x8100;

export async function underlayFindings(place: Place, table: Table | undefined): Promise<Finding[]> {
  if (place.underlay === undefined) {
    const remedy = 'name it with --underlay or in the configuration';
    return [{ what: 'underlay', state: 'warn', found: 'not configured', remedy }];
  }
  using netlink = new Netlink();
  const devices = await netlink.devices();
  const findings: Finding[] = [];
  for (const uplink of place.underlay) {
    const device = devices.find((one) => one.name === uplink.device);
    if (device === undefined) {
      const others = devices.map((one) => one.name).filter((one) => one !== 'lo');
      const remedy = `the devices here are: ${others.slice(0, 8).join(', ')}`;
      findings.push({ what: `device ${uplink.device}`, state: 'fail', found: 'absent', remedy });
      continue;
    }
    findings.push(...(await deviceFindings(netlink, device, place)), ...tagFindings(uplink, device, devices));
  }
  const self = place.node === undefined ? undefined : table?.nodes.get(place.node);
  if (self === undefined || table === undefined) return findings;
  const addresses = await netlink.addresses();
  return [
    ...findings,
    ...addressFindings(self, addresses, place.underlay, devices),
    ...mtuFindings(table, self, place.underlay, devices),
  ];
}

async function deviceFindings(netlink: Netlink, device: Device, place: Place): Promise<Finding[]> {
  const what = `device ${device.name}`;
  const findings: Finding[] = [];
  if (!device.up) findings.push({ what, state: 'fail', found: 'down', remedy: `ip link set ${device.name} up` });
  else if (!device.carrier) {
    findings.push({ what, state: 'fail', found: 'no carrier', remedy: 'look at the cable, or at the other end' });
  }
  const { xdp, why } = chooseHook(place.hook ?? 'auto', {
    kind: device.kind,
    peerElsewhere: device.linkNetnsid !== undefined,
    xdp: await netlink.xdpFeatures(device.ifindex),
  });
  findings.push({ what, state: 'ok', found: `MTU ${device.mtu}, hook ${xdp ? 'xdp' : 'tc'} (${why})` });
  findings.push(...(await foreignPrograms(netlink, device)));
  return findings;
}

async function foreignPrograms(netlink: Netlink, device: Device): Promise<Finding[]> {
  const what = `device ${device.name}`;
  let attached: readonly AttachedProgram[];
  try {
    attached = await netlink.attachedPrograms(device.ifindex);
  } catch (error) {
    if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_PRIVILEGE') throw error;
    const found = 'what is attached to it could not be found out';
    return [{ what, state: 'warn', found, remedy: 'run doctor as root' }];
  }
  return attached
    .filter(({ hook, programName }) => hook.startsWith('xdp') && !programName?.startsWith('mw_'))
    .map(({ programId, programName }) => ({
      what,
      state: 'warn',
      found: `another XDP program is attached: '${programName ?? '?'}' (id ${programId}); Mapwire forwards through TC there`,
      remedy: `ip link set dev ${device.name} xdp off, if nothing needs it`,
    }));
}

/** The device for the tag on an underlay device: its neighbours and MAC are those of the tunnels. */
function vlanDevice(uplink: ConfigUnderlay, devices: readonly Device[]): Device | undefined {
  const device = devices.find((one) => one.name === uplink.device);
  if (device === undefined || uplink.vlan === 0) return undefined;
  return devices.find((one) => isVlanOn(one, device) && one.vlanId === uplink.vlan);
}

function isVlanOn(one: Device, device: Device): boolean {
  return one.link === device.ifindex && one.linkNetnsid === undefined && one.vlanProtocol === ETH_P_8021Q;
}

function tagFindings(uplink: ConfigUnderlay, device: Device, devices: readonly Device[]): Finding[] {
  const what = `device ${device.name}`;
  const { vlan } = uplink;
  if (vlan === 0) return [];
  const tagged = vlanDevice(uplink, devices);
  if (tagged?.up === true) return [{ what, state: 'ok', found: `VLAN ${vlan}: neighbours of ${tagged.name}` }];
  if (tagged !== undefined) {
    return [{ what, state: 'fail', found: `${tagged.name} is down`, remedy: `ip link set ${tagged.name} up` }];
  }
  return [
    {
      what,
      state: 'warn',
      found: `VLAN ${vlan}: no device for it, so the kernel cannot resolve next hops there`,
      remedy: `ip link add link ${device.name} name ${device.name}.${vlan} type vlan id ${vlan}, with this node's address; or permanent neighbours on ${device.name}`,
    },
  ];
}

/** Tunnels leave from this node's addresses, whatever device has them: one that is nowhere gets no answer. */
export function addressFindings(
  self: TableNode,
  addresses: readonly Address[],
  underlay: readonly ConfigUnderlay[],
  devices: readonly Device[],
): Finding[] {
  return self.underlay.map((text): Finding => {
    const what = `address ${text}`;
    const found = addresses.find(({ address }) => ipFromBytes(address) === text);
    const [first] = underlay;
    if (found === undefined) {
      const remedy = `ip addr add ${text}/${text.includes(':') ? 64 : 24} dev ${first?.device ?? 'eth0'}, or mend the table`;
      return { what, state: 'fail', found: 'on no device here', remedy };
    }
    const device = devices.find(({ ifindex }) => ifindex === found.ifindex);
    const name = device?.name ?? String(found.ifindex);
    if ((found.flags & AddressFlag.DADFAILED) !== 0) {
      const remedy = 'another host of the link has it: give each its own';
      return { what, state: 'fail', found: `on ${name}, and twice in its network`, remedy };
    }
    if ((found.flags & AddressFlag.TENTATIVE) !== 0) {
      const remedy = 'wait a second; if it stays so, the link is down';
      return { what, state: 'warn', found: `on ${name}, not usable yet (tentative)`, remedy };
    }
    const lower = devices.find((one) => device !== undefined && isVlanOn(device, one));
    const uplink = underlay.find((one) => one.device === lower?.name);
    if (device?.vlanId !== undefined && uplink !== undefined && uplink.vlan !== device.vlanId) {
      const remedy = `say {device: ${uplink.device}, vlan: ${device.vlanId}} in 'underlay'`;
      const tag = uplink.vlan === 0 ? 'untagged' : `VLAN ${uplink.vlan}`;
      return { what, state: 'warn', found: `on ${name}, while the underlay is ${uplink.device} ${tag}`, remedy };
    }
    return { what, state: 'ok', found: `on ${name}` };
  });
}

/** Every network's MTU with its overhead, held against what the underlay devices take. */
export function mtuFindings(
  table: Table,
  self: TableNode,
  underlay: readonly ConfigUnderlay[],
  devices: readonly Device[],
): Finding[] {
  const found = underlay.flatMap((uplink) => {
    const device = vlanDevice(uplink, devices) ?? devices.find((one) => one.name === uplink.device);
    return device === undefined ? [] : [device];
  });
  const [first] = found;
  if (first === undefined) return [];
  const least = found.reduce((a, b) => (b.mtu < a.mtu ? b : a), first);
  const findings: Finding[] = [];
  for (const { network, definition, mtu, nodes } of plan(table, self.id, new IdBook()).networks()) {
    const { encap, group } = definition;
    const families = nodes.map((id) => pairFamily(self, table.nodes.get(id) ?? self));
    const over6 = families.includes(6) || group?.includes(':') === true;
    const more = overhead(encap, over6 ? 6 : 4);
    const what = `network ${network}`;
    const how = encap === 'flat' ? 'flat' : `${more} of ${encap} over ${over6 ? 'IPv6' : 'IPv4'}`;
    if (mtu + more > least.mtu) {
      findings.push({
        what,
        state: nodes.length > 0 ? 'fail' : 'warn',
        found: `MTU ${mtu} and ${how} are more than the ${least.mtu} of ${least.name}`,
        remedy: `ip link set ${least.name} mtu ${mtu + more}; or in the table 'mtu: ${least.mtu}' for this node, and no more than 'mtu: ${least.mtu - more}' for the network`,
      });
    } else if (mtu < LEAST_MTU) {
      findings.push({
        what,
        state: 'warn',
        found: `MTU ${mtu} (${how}) is less than the ${LEAST_MTU} that IPv6 needs`,
        remedy: `ip link set ${least.name} mtu ${LEAST_MTU + more} or more, on all nodes, and say so in the table`,
      });
    } else findings.push({ what, state: 'ok', found: `MTU ${mtu}, ${how}, of ${least.mtu}` });
  }
  return findings;
}
