/**
 * A process with a data plane whose table has any number of ports behind one other node. Commands are JSON lines; it runs
 * compiled, inside a network namespace, from the checkout that is measured.
 */
import { createInterface } from 'node:readline';
import { plan } from '../src/compiler/index.ts';
import { Dataplane, type DataplaneOptions } from '../src/dataplane/index.ts';
import { tableFromObject } from '../src/table/index.ts';
import { LOCAL_IP, LOCAL_MAC, NODES, remoteIp, remoteMac, SEGMENT } from './program-cost-frames.ts';

export interface PlaneCommand {
  readonly options: DataplaneOptions;
  readonly entries: number;
}

let plane: Dataplane | undefined;

function table(entries: number): ReturnType<typeof tableFromObject> {
  const ports: Record<string, unknown> = {
    here: { network: 'blue', mac: LOCAL_MAC, ips: [LOCAL_IP], at: { node: 'a', interface: 'p1' } },
  };
  for (let i = 0; i < entries; i++) {
    ports[`r-${i}`] = { network: 'blue', mac: remoteMac(i), ips: [remoteIp(i)], at: { node: 'b' } };
  }
  return tableFromObject({
    mapwire: 1,
    nodes: { a: { underlay: NODES.a.ip }, b: { underlay: NODES.b.ip } },
    networks: { blue: { encap: 'vxlan', segment: SEGMENT } },
    ports,
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const { options, entries } = JSON.parse(line) as PlaneCommand;
  plane = await Dataplane.open(options);
  await plane.apply(plan(table(entries), 'a', plane.ids));
  const missing = await plane.waitForNextHops(5000);
  if (missing.length > 0) throw new Error('the next hop is not resolved');
  // What follows (specialisation) happens behind it.
  await new Promise((done) => setTimeout(done, 1000));
  process.stdout.write(`${JSON.stringify(plane.status().devices)}\n`);
}
await plane?.close();
