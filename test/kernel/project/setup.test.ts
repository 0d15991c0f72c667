import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const folder = `/sys/fs/bpf/mwproject-${process.pid}`;

function bpftool(...args: string[]): string {
  const result = spawnSync('bpftool', args, { encoding: 'utf8' });
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  return result.stdout;
}

describe('a machine after npm run setup', () => {
  beforeAll(() => {
    mkdirSync(folder);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('has a BPF file system on /sys/fs/bpf', () => {
    expect(statfsSync('/sys/fs/bpf').type).toBe(0xcafe4a11);
  });

  it('has a bpftool that makes, pins and reads a map', () => {
    const pin = `${folder}/map`;
    bpftool('map', 'create', pin, 'type', 'array', 'key', '4', 'value', '4', 'entries', '1', 'name', 'mwproject');
    bpftool('map', 'update', 'pinned', pin, 'key', '0', '0', '0', '0', 'value', '1', '2', '3', '4');
    const dump = JSON.parse(bpftool('-j', 'map', 'dump', 'pinned', pin)) as { value: string[] }[];
    expect(dump.map((entry) => entry.value)).toEqual([['0x01', '0x02', '0x03', '0x04']]);
  });
});
