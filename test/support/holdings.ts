/** What an instance holds: what must not grow while it comes and goes. Seen from outside. */
import { readdir, readlink } from 'node:fs/promises';
import type { Mapwire } from './mapwire.ts';
import { dumpMap } from './pinned-maps.ts';

/** Maps whose entries follow from the table and the devices; the others are arrays. */
const TABLES = 'ip4 ip6 mac source_mac allow4 allow6 port network segment vtep node link local dev flood balance'.split(
  ' ',
);

export interface Holdings {
  /** Map -> entries. */
  readonly entries: Readonly<Record<string, number>>;
  /** Below the pin directory, without the numbers of the generation and of devices. */
  readonly pins: readonly string[];
  /** Neighbour entries that the kernel was told to keep resolved. */
  readonly neighbours: number;
  /** Below the state directory. */
  readonly files: number;
  /** Descriptors of the daemon, by what they are. */
  readonly descriptors: Readonly<Record<string, number>>;
}

export async function holdings(mapwire: Mapwire): Promise<Holdings> {
  const entries: Record<string, number> = {};
  for (const name of TABLES) entries[name] = (await dumpMap(mapwire, name)).length;
  const { stdout } = await mapwire.host.run(['ip', 'neigh', 'show']);
  const { pid } = await mapwire.json<{ pid: number }>('status');
  return {
    entries,
    pins: (await mapwire.pinned())
      .map((path) =>
        path
          .slice(mapwire.pinDir.length)
          .replace(/\/g\d+/, '/gN')
          .replace(/-\d+$/, '-N')
          .replace(/@\d+$/, '@N'),
      )
      .sort(),
    neighbours: stdout.split('\n').filter((line) => /managed|extern_learn/.test(line)).length,
    files: (await readdir(mapwire.stateDir, { recursive: true })).length,
    descriptors: await descriptors(pid),
  };
}

/** A log of edits has up to 16 segments before a snapshot takes their place, and one or two beside. */
const MOST_FILES = 22;

/** Programs and maps that the daemon loaded itself: once, or twice, with those made for the plan beside the generic ones (it adopts what is pinned). */
const OF_PROGRAMS = ['anon_inode:bpf-prog', 'anon_inode:bpf-map'];

/** What has become more, or is another: nothing, if nothing leaks. */
export function grown(before: Holdings, now: Holdings): string[] {
  const found: string[] = [];
  for (const [map, count] of Object.entries(before.entries)) {
    if (now.entries[map] !== count) found.push(`${now.entries[map]} entries in ${map}, not ${count}`);
  }
  for (const [kind, count] of Object.entries(now.descriptors)) {
    const most = (before.descriptors[kind] ?? 0) * (OF_PROGRAMS.includes(kind) ? 2 : 1);
    if (count > most) found.push(`${count} descriptors of ${kind}, not ${most}`);
  }
  const pins = now.pins.join(' ');
  if (pins !== before.pins.join(' ')) found.push(`pins ${pins}, not ${before.pins.join(' ')}`);
  if (now.neighbours !== before.neighbours) found.push(`${now.neighbours} neighbours, not ${before.neighbours}`);
  if (now.files > MOST_FILES) found.push(`${now.files} files in the state directory`);
  return found;
}

async function descriptors(pid: number): Promise<Record<string, number>> {
  const folder = `/proc/${pid}/fd`;
  const kinds: Record<string, number> = {};
  for (const fd of await readdir(folder)) {
    const target = await readlink(`${folder}/${fd}`).catch(() => undefined);
    if (target === undefined) continue;
    const kind = target.replace(/:\[\d+\]$/, '').replace(/^\/.*/, 'file');
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}
