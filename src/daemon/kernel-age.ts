/** The oldest kernel that Mapwire runs on. What a newer one has or lacks is tried out: `probe` of libbpf-ts. */
import { MapwireError } from '../errors.ts';
import { kernelVersion, parseKernelRelease } from '../libbpf/index.ts';

/** The oldest kernel that the tests run under (docs/testing.md). */
export const OLDEST_KERNEL = '6.1';

export type KernelAge = 'ok' | 'too old' | 'unknown';

/** By the release as uname(2) says it; `unknown` for a text that does not begin with a version. */
export function kernelAge(release: string): KernelAge {
  const version = parseKernelRelease(release);
  const oldest = parseKernelRelease(OLDEST_KERNEL);
  if (version === undefined || oldest === undefined) return 'unknown';
  const newer = version.major - oldest.major || version.minor - oldest.minor;
  return newer < 0 ? 'too old' : 'ok';
}

/** @throws ERR_MW_UNSUPPORTED when the running kernel is known to be too old */
export function assertKernel(): void {
  const { release } = kernelVersion();
  if (kernelAge(release) !== 'too old') return;
  throw new MapwireError('ERR_MW_UNSUPPORTED', `the kernel ${release} is too old`, {
    hint: `Mapwire needs Linux ${OLDEST_KERNEL} or later`,
    details: { release, oldest: OLDEST_KERNEL },
  });
}
