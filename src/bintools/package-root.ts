import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MapwireError } from '../errors.ts';

/** The folder of this package, whether the code runs from src/ or dist/src/. Throws ERR_MW_TOOL when there is none. */
export function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'mapwire') return folder;
    if (folder === dirname(folder)) {
      throw new MapwireError('ERR_MW_TOOL', "no folder above this code has the package.json of 'mapwire'", {
        hint: 'run it from a checkout',
      });
    }
  }
}
