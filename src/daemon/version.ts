import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../bintools/package-root.ts';

let known: string | undefined;

/** The version of this package, e.g. `0.1.0`. */
export function version(): string {
  known ??= (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version;
  return known;
}
