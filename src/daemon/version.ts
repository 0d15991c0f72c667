import { existsSync, readFileSync } from 'node:fs';

let known: string | undefined;

/** The version of this package, e.g. `0.1.0`. */
export function version(): string {
  // From src/daemon/ and from dist/src/daemon/.
  const places = ['../../package.json', '../../../package.json'].map((path) => new URL(path, import.meta.url));
  const manifest = places.find((place) => existsSync(place));
  known ??=
    manifest === undefined ? 'unknown' : (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
  return known;
}
