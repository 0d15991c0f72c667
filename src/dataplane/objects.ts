import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../bintools/package-root.ts';
import { MapwireError } from '../errors.ts';
import { readTrustedFile } from '../safe-file.ts';
import type { ObjectFiles } from './types.ts';

/** The compiled programs, in memory. */
export interface ProgramObjects {
  readonly xdp: Uint8Array;
  readonly tc: Uint8Array;
  /** XDP for devices that are asked for VLAN tags; undefined: such devices get TC alone. */
  readonly bound: Uint8Array | undefined;
  /** Of all: 16 hex digits of SHA-256. Another hash means other programs. */
  readonly hash: string;
}

/** Names of the programs in the objects: `mw_<object>_<role>`. */
export const PROGRAMS = {
  xdp: { port: 'mw_xdp_port', underlay: 'mw_xdp_underlay' },
  tc: { port: 'mw_tc_port', underlay: 'mw_tc_underlay' },
} as const;

export function defaultObjectFiles(): ObjectFiles {
  const folder = join(packageRoot(), 'dist', 'bpf');
  return {
    xdp: join(folder, 'xdp.bpf.o'),
    tc: join(folder, 'tc.bpf.o'),
    bound: join(folder, 'xdp_bound.bpf.o'),
  };
}

/** @throws ERR_MW_NOT_FOUND when they were not built, ERR_MW_UNSAFE_FILE when others may write them */
export function readObjects(files: ObjectFiles): ProgramObjects {
  const read = (path: string): Uint8Array => {
    if (!existsSync(path)) {
      throw new MapwireError('ERR_MW_NOT_FOUND', `the compiled object '${path}' is absent`, {
        hint: 'run `npm run build`',
        details: { path },
      });
    }
    return new Uint8Array(readTrustedFile(path));
  };
  const [xdp, tc] = [read(files.xdp), read(files.tc)];
  const bound = files.bound === undefined ? undefined : read(files.bound);
  const hash = createHash('sha256').update(xdp).update(tc);
  if (bound !== undefined) hash.update(bound);
  return { xdp, tc, bound, hash: hash.digest('hex').slice(0, 16) };
}
