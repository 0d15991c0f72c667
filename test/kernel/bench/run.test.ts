/** The bench itself, as small as it gets: what it measures comes through, and nothing is left. No figure is judged. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Run } from '../../../bench/report.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { Lab } from '../../support/hosts.ts';

const main = join(packageRoot(), 'dist', 'bench', 'main.js');
const STATS = '/proc/sys/kernel/bpf_stats_enabled';
const lab = new Lab('mwbt');
let folder: string;

beforeAll(async () => {
  folder = await lab.folder();
});

afterAll(() => lab.close());

/** Namespaces and pins of benches whose process was this one. */
function left(pid: number): string[] {
  return ['/run/netns', '/sys/fs/bpf']
    .flatMap((path) => readdirSync(path))
    .filter((name) => name.startsWith(`mwbench${pid}x`));
}

describe('npm run bench', () => {
  test('measures what comes through', async () => {
    const words = ['--only', 'encap,decap', '--rounds', '1', '--ms', '10', '--endpoints', '20', '--output', folder];
    const bench = lab.start([process.execPath, main, ...words, '--peers', 'redirect,mapwire-xdp,kernel-tuned']);
    expect(await bench.exit(), bench.stderr).toBe(0);
    const result = JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8')) as Run;
    expect(result.packets.filter((row) => row.absent !== undefined)).toEqual([]);
    expect(result.packets).toHaveLength(2 * 3);
    for (const row of result.packets) {
      expect(row.rate?.median, JSON.stringify(row)).toBeGreaterThan(0);
      expect(row.delivered, JSON.stringify(row)).toBeGreaterThan(0.5);
      if (row.peer.startsWith('mapwire')) expect(row.programNs?.median, row.peer).toBeGreaterThan(0);
    }
    expect(readdirSync(folder)).toContain('results.md');
    expect(left(bench.pid)).toEqual([]);
  }, 120_000);

  test('leaves nothing behind when it is interrupted', async () => {
    const before = readFileSync(STATS, 'utf8');
    const bench = lab.start([
      process.execPath,
      main,
      '--only',
      'encap',
      '--endpoints',
      '1',
      '--peers',
      'drop',
      '--rounds',
      '500',
    ]);
    await bench.waitFor(/round 1 of/);
    expect(left(bench.pid)).not.toEqual([]);
    expect(await bench.stop('SIGINT', 30_000)).not.toBe(0);
    expect(left(bench.pid)).toEqual([]);
    expect(readFileSync(STATS, 'utf8')).toBe(before);
  });
});
