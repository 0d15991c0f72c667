/**
 * Kernels of the distribution for QEMU guests: downloaded with apt and unpacked into a cache folder, never installed.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { run } from '../process.ts';

/** One unpacked kernel. */
export interface KernelImage {
  /** As `uname -r` says in the guest, e.g. `6.1.0-56-amd64`. */
  readonly release: string;
  /** Holds `boot/` and `lib/modules/RELEASE/`. */
  readonly folder: string;
  readonly vmlinuz: string;
}

/** Where unpacked kernels are kept: `npm run clean` leaves them alone. */
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mapwire', 'kernels');

/** Newest installable release of a series (`6.1`, `6.12`) among Debian's plain flavour: the `-cloud-` one lacks 9p. */
async function newestRelease(series: string): Promise<string | undefined> {
  const { stdout } = await run([
    'apt-cache',
    'search',
    '--names-only',
    `^linux-image-${series.replace('.', '\\.')}\\.`,
  ]);
  const releases = stdout
    .split('\n')
    .map((line) => /^linux-image-(\S+?-amd64) /.exec(line)?.[1])
    .filter(
      (release): release is string => release !== undefined && /^\d+\.\d+\.\d+(-\d+|\+deb\d+)-amd64$/.test(release),
    );
  return releases.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
}

async function unpack(release: string, folder: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const scratch = await mkdtemp(join(cache, 'incoming-'));
  try {
    await run(['apt-get', 'download', '-q', `linux-image-${release}`], { cwd: scratch, timeout: 600_000 });
    const [archive] = await readdir(scratch);
    if (archive === undefined) throw new Error(`apt-get download left no file for linux-image-${release}`);
    const tree = join(scratch, 'tree');
    await run(['dpkg', '-x', join(scratch, archive), tree], { timeout: 600_000 });
    await run(['depmod', '-b', tree, release], { timeout: 120_000 });
    await rename(tree, folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const images = new Map<string, Promise<KernelImage>>();

/** The newest kernel of a series, from the cache or from apt; asked for several times at once, it is looked for once. */
export function kernelImage(series: string): Promise<KernelImage> {
  const image = images.get(series) ?? findImage(series);
  images.set(series, image);
  return image;
}

async function findImage(series: string): Promise<KernelImage> {
  let release = await newestRelease(series);
  if (release === undefined) {
    await run(['apt-get', 'update', '-qq'], { timeout: 300_000 });
    release = await newestRelease(series);
  }
  if (release === undefined) {
    throw new Error(`apt knows no linux-image-${series}.*-amd64: these tests need the package sources of Debian 12`);
  }
  const folder = join(cache, release);
  if (!existsSync(folder)) await unpack(release, folder);
  return { release, folder, vmlinuz: join(folder, 'boot', `vmlinuz-${release}`) };
}
