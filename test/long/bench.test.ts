/** The whole bench, small: every part measures something, loses nothing, and leaves nothing. No figure is judged. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { goals } from '../../bench/goals.ts';
import type { Run } from '../../bench/report.ts';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { Lab } from '../support/hosts.ts';

const lab = new Lab('mwbl');
afterAll(() => lab.close());

test('npm run bench -- --quick', async () => {
  const folder = await lab.folder();
  const main = join(packageRoot(), 'dist', 'bench', 'main.js');
  const bench = lab.start([process.execPath, main, '--quick', '--output', folder]);
  expect(await bench.exit(), bench.stderr).toBe(0);
  const { packets, sockets, updates, failover } = JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8')) as Run;
  const mapwire = packets.filter(({ peer }) => peer.startsWith('mapwire'));
  expect(mapwire.filter(({ absent }) => absent !== undefined)).toEqual([]);
  for (const row of mapwire) expect(row.delivered, JSON.stringify(row)).toBeGreaterThan(0.5);
  for (const { tcp } of sockets) expect(tcp['1']?.rate.median).toBeGreaterThan(0);
  expect(updates?.edits.map(({ how }) => how)).toEqual(['file', 'api']);
  expect(updates?.loops).toHaveLength(5);
  expect(updates?.bystanders.map(({ lost }) => lost)).toEqual([0, 0, 0, 0]);
  expect(failover.map(({ peer, writes }) => [peer, writes])).toEqual([
    ['mapwire-xdp', 1],
    ['mapwire-compact', 1],
  ]);
  const figures = { packets, sockets, updates, failover };
  expect(goals(figures).filter(({ measured }) => measured !== undefined).length).toBeGreaterThan(5);
  const names = readdirSync(folder);
  expect(names).toEqual(expect.arrayContaining(['results.md', 'packets-encap.svg', 'tcp.svg', 'load.svg']));
  for (const path of ['/run/netns', '/sys/fs/bpf'])
    expect(readdirSync(path).filter((name) => name.startsWith(`mwbench${bench.pid}x`))).toEqual([]);
}, 900_000);
