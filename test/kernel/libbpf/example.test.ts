import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { compileBpf } from '../../../src/bintools/tools/llvm.ts';
import { Netlink } from '../../../src/libbpf/index.ts';
import { Background, run } from '../../support/process.ts';
import { Pair } from './support.ts';

test('the example counts, tells and leaves nothing behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mwlib-'));
  try {
    const output = join(folder, 'protocols.bpf.o');
    await compileBpf({ root: join(packageRoot(), 'examples/libbpf-ts'), source: 'protocols.bpf.c', output });
    await using pair = await Pair.create();
    await pair.configure();
    const main = join(packageRoot(), 'dist/examples/libbpf-ts/main.js');
    const example = new Background([process.execPath, main, output, pair.name, '5']);
    try {
      await example.waitFor(/attached to .* by (tcx|clsact)/);
      await run(['ping', '-c3', '-i0.2', '-I', pair.name, '198.51.100.2']);
      expect(await example.exit()).toBe(0);
    } finally {
      await example.stop();
    }
    expect(example.stderr).toBe('');
    expect(example.stdout).toMatch(/^new: 0x0800$/m);
    const [, frames, bytes] = example.stdout.match(/^0x0800: (\d+) frames, (\d+) bytes$/m) ?? [];
    expect([Number(frames), Number(bytes)]).toEqual([3, 3 * 98]);
    using netlink = new Netlink();
    expect(await netlink.attachedPrograms(pair.ifindex)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
