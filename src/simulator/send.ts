/** One packet to one node, group or the wire: packet-rules.md §4. */
import { formatMac, macOfMulticast, parseIp } from '../table/address.ts';
import type { TableNetwork } from '../table/model.ts';
import { encapsulate, flowLabel, sourcePort, withTag } from './encap.ts';
import type { Inner } from './inner.ts';
import type { Run } from './run.ts';
import { portOf, tunnelHeader } from './tunnel-headers.ts';
import type { NextHop, OutputFrame } from './types.ts';
import type { NodeEntry } from './world.ts';

export type ResolvedHop = NextHop & { readonly device: string };

/** The next hop of a flow: of two that are resolved, by the highest bit of its hash. */
export function chooseHop(entry: NodeEntry, hash: number): ResolvedHop | undefined {
  return entry.hops[entry.hops.length > 1 && hash >>> 31 === 1 ? 1 : 0];
}

/** The frame that leaves; `bytes` is the inner frame whole, which flat sends as it is. */
export function send(
  run: Run,
  network: TableNetwork,
  entry: NodeEntry,
  hop: ResolvedHop,
  segment: number,
  inner: Inner,
): OutputFrame {
  const { environment } = run.world;
  const { device } = hop;
  if (network.encap === 'flat') {
    run.trace.note('4', 'on the wire', segment === 0 ? 'as it is, untagged' : `with a tag, VLAN ${segment}`);
    return { device, ...withTag(run.hook, inner.bytes, segment) };
  }
  const { family, remote, local } = entry.ends!;
  const group = entry.kind === 'group';
  const dscp = environment.dscp === 'uniform' ? inner.dscp : environment.dscp;
  const header = tunnelHeader(network.encap);
  const frame = encapsulate(inner, {
    destinationMac: group ? formatMac(macOfMulticast(parseIp(remote)!)) : hop.destination,
    sourceMac: hop.source,
    family,
    source: local,
    destination: remote,
    ttl: environment.ttl,
    dscp,
    port: portOf(environment.ports, network.encap),
    header,
    segment,
    checksum: entry.checksum,
  });
  const flow = [
    ...(header.carrier === 17 ? [`UDP port ${sourcePort(inner.hash)}`] : []),
    ...(family === 6 ? [`flow label 0x${flowLabel(inner.hash).toString(16).padStart(5, '0')}`] : []),
  ];
  const details = [
    `${network.encap} over IPv${family}, ${local} > ${remote}`,
    `segment ${segment}`,
    `TTL ${environment.ttl}`,
    `DSCP ${dscp}`,
    `ECN ${inner.ecn}`,
    ...flow,
    ...(header.carrier === 17 && family === 6 ? [entry.checksum ? 'UDP checksum' : 'no UDP checksum'] : []),
    ...(environment.underlayVlan === 0 ? [] : [`VLAN ${environment.underlayVlan}`]),
  ];
  run.trace.note('4', 'outer header', details.join(', '));
  return { device, ...withTag(run.hook, frame, environment.underlayVlan) };
}

/** Does this packet need an outer checksum to get there? */
export function needsChecksum(network: TableNetwork, entry: NodeEntry): boolean {
  return entry.checksum && network.encap !== 'flat' && tunnelHeader(network.encap).carrier === 17;
}
