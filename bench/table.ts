/** The mapping table of a measurement, as a cloud would write it: NDJSON. */
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
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
export function endpointLine(n: number, nodes: number, node = n % nodes): string {
  return lineAt(n, `{"node":"n${node}"}`);
}

/** The same of one that is behind node 0, and on node 1 while that is down. */
export function standbyLine(n: number): string {
  return lineAt(n, '[{"node":"n0","priority":1},{"node":"n1","priority":2}]');
}

function lineAt(n: number, at: string): string {
  return `{"port":"${endpointId(n)}","network":"blue","mac":"${endpointMac(n)}","ips":["${endpointAddress(n)}"],"at":${at}}\n`;
}

/** Writes it into a folder of the lab; gives the file's name. */
export async function writeTable(
  lab: Lab,
  options: TableOptions,
  line: (n: number, nodes: number) => string = (n, nodes) => endpointLine(n, nodes),
): Promise<string> {
  const path = join(await lab.folder(), 'table.ndjson');
  await using file = await open(path, 'w', 0o600);
  const nodes = nodesOf(options.endpoints);
  let text = frontRecords(options)
    .map((record) => `${JSON.stringify(record)}\n`)
    .join('');
  for (let n = 0; n < options.endpoints; n++) {
    text += line(n, nodes);
    if (text.length > PIECE) {
      await file.write(text);
      text = '';
    }
  }
  await file.write(text);
  return path;
}

/** The same as a directory of files with so many endpoints each, as several writers would keep it. */
export class TableDirectory {
  readonly path: string;
  readonly files: number;
  readonly #endpoints: number;
  readonly #nodes: number;
  readonly #each: number;
  /** Endpoints that are elsewhere than behind node n % nodes. */
  readonly moved = new Map<number, number>();
  #shift = 0;

  private constructor(path: string, endpoints: number, each: number) {
    this.path = path;
    this.#endpoints = endpoints;
    this.#nodes = nodesOf(endpoints);
    this.#each = each;
    this.files = Math.ceil(endpoints / each);
  }

  static async write(lab: Lab, { encap, endpoints }: TableOptions, each: number): Promise<TableDirectory> {
    const directory = new TableDirectory(join(await lab.folder(), 'table'), endpoints, each);
    await mkdir(directory.path, { mode: 0o700 });
    const front = frontRecords({ encap, endpoints });
    await directory.#replace('front.ndjson', front.map((record) => `${JSON.stringify(record)}\n`).join(''));
    await directory.writeAll();
    return directory;
  }

  nodeOf(endpoint: number): number {
    return this.moved.get(endpoint) ?? (endpoint + this.#shift) % this.#nodes;
  }

  /** The node after the one that it is behind. */
  next(endpoint: number): number {
    return (this.nodeOf(endpoint) + 1) % this.#nodes;
  }

  /** Moves an endpoint and prepares its file; the result puts it in place, by a rename. */
  async move(endpoint: number, node: number): Promise<() => Promise<void>> {
    this.moved.set(endpoint, node);
    return this.#prepare(Math.floor(endpoint / this.#each));
  }

  /** Another node for every endpoint but those that `move` moved. */
  shift(): void {
    this.#shift++;
  }

  async writeAll(): Promise<void> {
    for (let file = 0; file < this.files; file++) await (await this.#prepare(file))();
  }

  #prepare(file: number): Promise<() => Promise<void>> {
    let text = '{"mapwire":1}\n';
    const end = Math.min(this.#endpoints, (file + 1) * this.#each);
    for (let n = file * this.#each; n < end; n++) text += endpointLine(n, this.#nodes, this.nodeOf(n));
    return this.#prepareFile(`ports-${file}.ndjson`, text);
  }

  async #replace(name: string, text: string): Promise<void> {
    await (await this.#prepareFile(name, text))();
  }

  async #prepareFile(name: string, text: string): Promise<() => Promise<void>> {
    const path = join(this.path, name);
    // beside the directory: what is not finished is no part of the table
    const fresh = `${this.path}.${name}`;
    await writeFile(fresh, text, { mode: 0o600 });
    return () => rename(fresh, path);
  }
}
