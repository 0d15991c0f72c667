/** The mapping table of a measurement, as a cloud would write it: NDJSON. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Lab } from '../test/support/hosts.ts';
import { endpointAddress, endpointId, endpointMac, HOST, LOCAL, nodeAddress, nodesOf, SEGMENT } from './addressing.ts';
import type { Encap } from './frames.ts';

/** Bytes of text that are put together at a time. */
const PIECE = 1 << 20;

export interface TableOptions {
  readonly encap: Encap;
  readonly endpoints: number;
}

/** Records, one a line: everything but the endpoints. */
export function frontRecords({ encap, endpoints }: TableOptions): object[] {
  const nodes = Array.from({ length: nodesOf(endpoints) }, (_, n) => ({ node: `n${n}`, underlay: nodeAddress(n) }));
  return [
    { mapwire: 1 },
    { node: HOST.id, underlay: HOST.address },
    ...nodes,
    { network: 'blue', encap, ...(encap === 'flat' ? {} : { segment: SEGMENT }) },
    {
      port: LOCAL.id,
      network: 'blue',
      mac: LOCAL.mac,
      ips: [LOCAL.address],
      at: { node: HOST.id, interface: 'port' },
    },
  ];
}

/** The record of an endpoint, as text: a million of them are written faster so than by JSON.stringify(). */
export function endpointLine(n: number, nodes: number): string {
  return `{"port":"${endpointId(n)}","network":"blue","mac":"${endpointMac(n)}","ips":["${endpointAddress(n)}"],"at":{"node":"n${n % nodes}"}}\n`;
}

/** Writes it into a folder of the lab; gives the file's name. */
export async function writeTable(lab: Lab, options: TableOptions): Promise<string> {
  const path = join(await lab.folder(), 'table.ndjson');
  await using file = await open(path, 'w', 0o600);
  const nodes = nodesOf(options.endpoints);
  let text = frontRecords(options)
    .map((record) => `${JSON.stringify(record)}\n`)
    .join('');
  for (let n = 0; n < options.endpoints; n++) {
    text += endpointLine(n, nodes);
    if (text.length > PIECE) {
      await file.write(text);
      text = '';
    }
  }
  await file.write(text);
  return path;
}
