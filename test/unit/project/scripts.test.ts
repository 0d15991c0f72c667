import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const scratch = mkdtempSync(join(tmpdir(), 'mwproject-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('bin/mapwire', () => {
  it('names the remedy where nothing is built', () => {
    mkdirSync(join(scratch, 'bin'));
    copyFileSync('bin/mapwire', join(scratch, 'bin', 'mapwire'));
    copyFileSync('package.json', join(scratch, 'package.json'));
    const result = spawnSync(process.execPath, [join(scratch, 'bin', 'mapwire'), '--version'], { encoding: 'utf8' });
    expect(result.stderr).toContain('hint: in ');
    expect(result.stderr).toContain('npm run setup && npm run build');
    expect(result.status).toBe(1);
  });
});
