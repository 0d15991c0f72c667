/**
 * A small initramfs: busybox, the modules for 9p and overlay, and an `init` that lays a writable overlay over the host's
 * own root and continues with a script there.
 */
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { run } from '../process.ts';
import type { KernelImage } from './kernel-image.ts';

const MODULES = ['virtio_pci', '9p', '9pnet_virtio', 'overlay'];

/** Paths of the modules in the order in which they load. */
async function modulePaths(kernel: KernelImage): Promise<string[]> {
  const argv = ['modprobe', '-d', kernel.folder, '-S', kernel.release, '--show-depends', '-a', ...MODULES];
  const { stdout } = await run(argv);
  const paths = stdout
    .split('\n')
    .map((line) => /^insmod (\S+)/.exec(line)?.[1])
    .filter((path): path is string => path !== undefined);
  return [...new Set(paths)];
}

/** Copies a module, uncompressed (newer kernels ship .ko.xz, which busybox leaves to the kernel). Returns its file name. */
async function copyModule(module: string, folder: string): Promise<string> {
  const name = basename(module, '.xz');
  if (module.endsWith('.xz')) await run(['sh', '-c', 'xz -dc "$1" > "$2"', 'sh', module, join(folder, name)]);
  else await copyFile(module, join(folder, name));
  return name;
}

export interface Shares {
  /** Mount tag of the host's root, and of the checkout (which may lie where the guest has a fresh file system). */
  readonly root: string;
  readonly project: string;
  /** Mount tag of the folder that the guest writes results to. */
  readonly results: string;
}

export interface GuestPaths {
  /** The checkout: the same path in the guest as on the host. */
  readonly project: string;
  /** Where the guest finds the results folder. */
  readonly results: string;
}

/** @param modules file names in the order in which they load */
function initScript(modules: readonly string[], shares: Shares, paths: GuestPaths, script: string): string {
  const options = 'trans=virtio,version=9p2000.L,msize=512000';
  const readOnly = `${options},cache=loose,ro`;
  const overlay = (name: string, lower: string, target: string) => [
    `mkdir -p /${lower} /layers/${name}/upper /layers/${name}/work "${target}"`,
    `mount -t 9p -o ${readOnly} ${lower} /${lower}`,
    `mount -t overlay -o lowerdir=/${lower},upperdir=/layers/${name}/upper,workdir=/layers/${name}/work overlay "${target}"`,
  ];
  return [
    '#!/bin/busybox sh',
    '/bin/busybox --install -s /bin',
    'export PATH=/bin',
    'set -e',
    'mkdir -p /proc /sys /dev /layers /new',
    'mount -t proc proc /proc',
    'mount -t sysfs sysfs /sys',
    'mount -t devtmpfs devtmpfs /dev',
    ...modules.map((module) => `insmod /modules/${module}`),
    'mount -t tmpfs -o size=75% tmpfs /layers',
    ...overlay('root', shares.root, '/new'),
    'mount --move /proc /new/proc',
    'mount --move /sys /new/sys',
    'mount --move /dev /new/dev',
    'mount -t tmpfs tmpfs /new/run',
    'mount -t tmpfs tmpfs /new/tmp',
    ...overlay('project', shares.project, `/new${paths.project}`),
    `mkdir -p "/new${paths.results}"`,
    `mount -t 9p -o ${options} ${shares.results} "/new${paths.results}"`,
    `exec switch_root /new "${script}"`,
    '',
  ].join('\n');
}

/**
 * Builds the initramfs in `folder` and returns its file.
 * @param script path in the guest of what becomes its process 1
 */
export async function buildInitramfs(
  kernel: KernelImage,
  folder: string,
  shares: Shares,
  paths: GuestPaths,
  script: string,
): Promise<string> {
  const tree = join(folder, 'initramfs');
  await mkdir(join(tree, 'bin'), { recursive: true });
  await mkdir(join(tree, 'modules'));
  await copyFile('/bin/busybox', join(tree, 'bin', 'busybox'));
  const modules = await modulePaths(kernel);
  const plain = await Promise.all(modules.map((module) => copyModule(module, join(tree, 'modules'))));
  await writeFile(join(tree, 'init'), initScript(plain, shares, paths, script));
  await chmod(join(tree, 'init'), 0o755);
  const file = join(folder, 'initramfs.cpio');
  await run(['sh', '-c', 'find . -print0 | cpio --null --create --format=newc --quiet > "$1"', 'sh', file], {
    cwd: tree,
  });
  return file;
}
