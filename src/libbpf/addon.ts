import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageRoot } from '../bintools/package-root.ts';
import { MapwireError } from '../errors.ts';
import { assertTrustedFile } from '../safe-file.ts';
import type { NativeAddon } from './addon-types.ts';

let loaded: NativeAddon | undefined;

/** Where the addon is looked for: `MAPWIRE_ADDON` (a file), else build/Release of the package. */
export function addonPath(): string {
  return process.env.MAPWIRE_ADDON ?? join(packageRoot(), 'build', 'Release', 'mapwire.node');
}

/** Turns what dlopen(3) says into a remedy. Exported for its test. */
export function addonError(path: string, cause: unknown): MapwireError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const missing = /(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(text)?.[1];
  let hint = 'build it again with: npm run build';
  if (missing?.startsWith('libbpf')) {
    hint = 'install libbpf 1.1 or newer: apt install libbpf1 (Debian, Ubuntu), dnf install libbpf (Fedora)';
  } else if (missing !== undefined) {
    hint = `install the package that holds ${missing}`;
  } else if (/LIBBPF_\d/.test(text)) {
    hint = 'the libbpf of this system is older than 1.1: upgrade it, or build with -DMAPWIRE_STATIC_LIBBPF=<libbpf.a>';
  } else if (/GLIBC|GLIBCXX/.test(text)) {
    hint = 'the addon was built on a newer system: build it here with: npm run build';
  } else if (/invalid ELF header|wrong ELF class|file too short/.test(text)) {
    hint = 'the file is damaged or of another architecture: build it here with: npm run build';
  }
  return new MapwireError('ERR_MW_ADDON', `the native addon cannot be loaded: ${text}`, {
    hint,
    cause,
    details: { path, ...(missing === undefined ? {} : { missing }) },
  });
}

/** Loads an addon file, without the cache. Exported for its test. */
export function loadAddon(path: string): NativeAddon {
  if (!existsSync(path)) {
    throw new MapwireError('ERR_MW_ADDON', `the native addon is not built: '${path}' does not exist`, {
      hint: 'build it with: npm run build',
      details: { path },
    });
  }
  assertTrustedFile(path);
  try {
    return createRequire(import.meta.url)(path) as NativeAddon;
  } catch (cause) {
    throw addonError(path, cause);
  }
}

/**
 * The native addon, loaded at the first call: what needs no kernel (checking, compiling, simulating, inspecting) never
 * gets here and runs without it.
 *
 * @throws ERR_MW_ADDON with the remedy; ERR_MW_UNSAFE_FILE when root runs and others can change the file.
 */
export function addon(): NativeAddon {
  loaded ??= loadAddon(addonPath());
  return loaded;
}
