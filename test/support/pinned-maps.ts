/** What the kernel's maps hold, read by somebody else: `bpftool map dump pinned`. */
import type { Mapwire } from './mapwire.ts';
import { run } from './process.ts';

export interface DumpedEntry {
  readonly formatted: { readonly key: Record<string, unknown>; readonly value: Record<string, unknown> };
}

/** Path of the pin of a map, by its name without version: `mac`. Throws unless there is just one. */
export async function pinnedMap(mapwire: Mapwire, name: string): Promise<string> {
  const paths = (await mapwire.pinned()).filter((path) => new RegExp(`/mw\\d+_${name}$`).test(path));
  if (paths.length !== 1) throw new Error(`${paths.length} pinned maps ${name}: ${paths.join(', ')}`);
  return paths[0]!;
}

async function dump(path: string): Promise<DumpedEntry[]> {
  const { stdout } = await run(['bpftool', '-j', 'map', 'dump', 'pinned', path]);
  return JSON.parse(stdout) as DumpedEntry[];
}

/** The mappings that `layout: compact` has in buckets, and their keys beside the network. */
const IN_BUCKETS: Readonly<Record<string, string>> = { ip4: 'addr_be', ip6: 'addr', mac: 'mac' };
/** MW_MARK_FLAGS of bpf/types.h */
const MARK_FLAGS = 0xf;

/** A map by its name without version; the address mappings whatever the layout is, as hashes have them. */
export async function dumpMap(mapwire: Mapwire, name: string): Promise<DumpedEntry[]> {
  const entries = await dump(await pinnedMap(mapwire, name));
  const address = IN_BUCKETS[name];
  if (address === undefined) return entries;
  // two empty ones, with hashes
  for (const { formatted } of await dump(await pinnedMap(mapwire, `${name}_bucket`))) {
    for (const slot of formatted.value.slot as Record<string, unknown>[]) {
      if (slot.port === 0) continue;
      const key = { network: slot.network, [address]: slot[address] };
      const flags = Number(slot.mark) & MARK_FLAGS;
      entries.push({ formatted: { key, value: { port: slot.port, ...key, flags } } });
    }
  }
  return entries;
}

/** An array of bytes as bpftool prints it. */
export function bytesOf(value: unknown): number[] {
  return (value as (string | number)[]).map(Number);
}

export function macOf(value: unknown): string {
  return bytesOf(value)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(':');
}

/** bpftool prints __be32 as the host's integer: its bytes in memory are the address. */
export function ip4Of(value: unknown): string {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(Number(value) >>> 0);
  return [...buffer].join('.');
}

export function ip6Of(value: unknown): string {
  const hex = Buffer.from(bytesOf(value)).toString('hex');
  return new URL(`http://[${hex.match(/.{4}/g)!.join(':')}]`).hostname.slice(1, -1);
}

/** How many TC programs of ours are loaded on a pinned map: those in force, and those for any plan. */
export async function tcProgramsOn(path: string): Promise<number> {
  const { stdout } = await run(['bpftool', '-j', 'map', 'show', 'pinned', path]);
  const { id } = JSON.parse(stdout) as { id: number };
  const shown = await run(['bpftool', '-j', 'prog', 'show']);
  const all = JSON.parse(shown.stdout) as { name?: string; map_ids?: number[] }[];
  return all.filter(({ name, map_ids }) => name?.startsWith('mw_tc') && map_ids?.includes(id)).length;
}
