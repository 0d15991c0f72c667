/** Tables of any number of ports for the bench of the daemon: UUID ids, one MAC and one IPv4 address each. */
import { createHash } from 'node:crypto';
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface TableShape {
  readonly ports: number;
  /** Nodes that the ports are spread over, beside this one. */
  readonly nodes: number;
  /** Port `i` is at node `i + offset` of them (0). */
  readonly offset?: number;
}

/** The node of port `i`. */
export const nodeOf = (i: number, { nodes, offset = 0 }: TableShape): number => (i + offset) % nodes;

/** The node that the daemon under test runs on, and its one local port. */
export const SELF = 'self';
export const LOCAL = { id: 'local', mac: '02:00:00:00:00:01', ip4: '10.0.0.1', interface: 'guest' };
export const NETWORK = 'blue';

export const underlayOf = (node: number): string => `198.18.${(node + 1) >> 8}.${(node + 1) & 255}`;

/** UUID, MAC and address of port `i`. */
export function portOf(i: number): { readonly id: string; readonly mac: string; readonly ip4: string } {
  const hash = createHash('md5').update(`port ${i}`).digest('hex');
  const id = `${hash.slice(0, 8)}-${hash.slice(8, 12)}-${hash.slice(12, 16)}-${hash.slice(16, 20)}-${hash.slice(20)}`;
  const hex = i.toString(16).padStart(8, '0');
  const mac = `02:01:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}:${hex.slice(6)}`;
  const n = i + 0x10000;
  return { id, mac, ip4: `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` };
}

export function portLine(i: number, node: number): string {
  const { id, mac, ip4 } = portOf(i);
  return `{"port":"${id}","network":"${NETWORK}","mac":"${mac}","ips":["${ip4}"],"at":{"node":"node-${node}"}}\n`;
}

/** What comes before the ports. */
export function head({ nodes }: TableShape): string {
  let text = `{"mapwire":1}\n{"node":"${SELF}","underlay":"192.0.2.1"}\n`;
  for (let n = 0; n < nodes; n++) text += `{"node":"node-${n}","underlay":"${underlayOf(n)}"}\n`;
  text += `{"network":"${NETWORK}","encap":"vxlan","segment":5001,"flood":"none"}\n`;
  const { id, mac, ip4 } = LOCAL;
  text += `{"port":"${id}","network":"${NETWORK}","mac":"${mac}","ips":["${ip4}"],"at":{"node":"${SELF}","interface":"${LOCAL.interface}"}}\n`;
  return text;
}

/** The whole table as one file. */
export async function writeTable(path: string, shape: TableShape): Promise<void> {
  const file = await open(`${path}.new`, 'w');
  try {
    let text = head(shape);
    for (let i = 0; i < shape.ports; i++) {
      text += portLine(i, nodeOf(i, shape));
      if (text.length < 1 << 20) continue;
      await file.write(text);
      text = '';
    }
    await file.write(text);
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

export const PORTS_A_FILE = 1_000;
export const partName = (part: number): string => `part-${String(part).padStart(4, '0')}.ndjson`;

/** One file of a table in a folder. @param moved ports that are at another node than at first */
export function partText(part: number, shape: TableShape, moved: ReadonlyMap<number, number> = new Map()): string {
  let text = '{"mapwire":1}\n';
  const end = Math.min(shape.ports, (part + 1) * PORTS_A_FILE);
  for (let i = part * PORTS_A_FILE; i < end; i++) text += portLine(i, moved.get(i) ?? nodeOf(i, shape));
  return text;
}

/** The same table as a folder of files of 1,000 ports. */
export async function writeFolder(folder: string, shape: TableShape): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, '.head.new'), head(shape));
  await rename(join(folder, '.head.new'), join(folder, 'head.ndjson'));
  const parts = Math.ceil(shape.ports / PORTS_A_FILE);
  for (let part = 0; part < parts; part++) await writeFile(join(folder, partName(part)), partText(part, shape));
}

/** Replaces one file of the folder, as a careful writer does: beside it, then renamed. */
export async function replacePart(folder: string, part: number, text: string): Promise<void> {
  const fresh = join(folder, `.${partName(part)}.new`);
  await writeFile(fresh, text);
  await rename(fresh, join(folder, partName(part)));
}
