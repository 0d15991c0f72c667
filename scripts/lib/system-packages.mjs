/**
 * The system packages that building and testing need, each with the way to see whether it is there. Names are those of
 * Debian 12 and Ubuntu 24.04. We look for what a package provides, not for the package: who has clang-19 from elsewhere
 * is not made to install it again.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { capture, environment, root } from './project.mjs';

/** Whether PATH (ours, with the sbin folders) has the command. */
export function hasCommand(name) {
  return environment.PATH.split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, name)));
}

const command = (name) => () => hasCommand(name);

/** A C++ compiler that also has its standard library's headers. */
const compiles = () => hasCommand('g++') || hasCommand('c++');

/** bpftool must work, not only be there: Ubuntu's is a script that looks for the running kernel's own copy. */
function bpftoolWorks() {
  return capture('bpftool', ['version']).ok;
}

/** Asks pkg-config, so that a libbpf built by hand counts too. */
const library = (condition) => () => hasCommand('pkg-config') && capture('pkg-config', ['--exists', condition]).ok;

/**
 * `services` are units that the package would start, and start again at every boot: where it is us who install it, they stay off.
 * @type {readonly {packages: readonly string[], why: string, present: () => boolean, for: 'build' | 'test' | 'kernels', services?: readonly string[]}[]}
 */
export const requirements = [
  { packages: ['clang-19'], why: 'compiles the BPF programs', present: command('clang-19'), for: 'build' },
  { packages: ['llvm-19'], why: 'llvm-strip and llvm-objdump', present: command('llvm-strip-19'), for: 'build' },
  { packages: ['g++', 'make'], why: 'the native addon', present: () => compiles() && hasCommand('make'), for: 'build' },
  { packages: ['cmake'], why: 'the native addon', present: command('cmake'), for: 'build' },
  { packages: ['pkg-config'], why: 'finds libbpf', present: command('pkg-config'), for: 'build' },
  { packages: ['libbpf-dev'], why: 'libbpf ≥ 1.1', present: library('libbpf >= 1.1'), for: 'build' },
  {
    packages: ['linux-libc-dev'],
    why: 'kernel headers for BPF',
    present: () => existsSync('/usr/include/linux/bpf.h'),
    for: 'build',
  },
  { packages: ['bpftool'], why: 'shows maps and programs', present: bpftoolWorks, for: 'test' },
  {
    packages: ['iproute2'],
    why: 'namespaces and devices',
    present: () => hasCommand('ip') && hasCommand('tc') && hasCommand('bridge'),
    for: 'test',
  },
  {
    packages: ['util-linux'],
    why: 'nsenter, unshare, setpriv, flock',
    present: () => ['nsenter', 'unshare', 'setpriv', 'flock'].every(hasCommand),
    for: 'test',
  },
  { packages: ['procps'], why: 'ps and sysctl', present: () => hasCommand('ps') && hasCommand('sysctl'), for: 'test' },
  {
    packages: ['iputils-ping'],
    why: 'ping with millisecond intervals',
    present: () => capture('ping', ['-V']).stdout.includes('iputils'),
    for: 'test',
  },
  { packages: ['iperf3'], why: 'TCP and UDP load', present: command('iperf3'), for: 'test' },
  { packages: ['ethtool'], why: 'device offloads', present: command('ethtool'), for: 'test' },
  { packages: ['tcpdump'], why: 'captures', present: command('tcpdump'), for: 'test' },
  { packages: ['tshark'], why: 'decodes captures', present: command('tshark'), for: 'test' },
  {
    packages: ['openvswitch-switch'],
    why: 'a peer of the tests, started by them alone; its service stays off',
    present: () => ['ovs-vswitchd', 'ovsdb-server', 'ovs-vsctl', 'ovs-appctl'].every(hasCommand),
    for: 'test',
    services: ['openvswitch-switch'],
  },
  {
    packages: ['frr'],
    why: 'bfdd, a peer of the tests, started by them alone; its service stays off',
    present: () => existsSync('/usr/lib/frr/bfdd'),
    for: 'test',
    services: ['frr'],
  },
  { packages: ['socat'], why: 'sockets of tests', present: command('socat'), for: 'test' },
  { packages: ['strace'], why: 'counts system calls from outside', present: command('strace'), for: 'test' },
  { packages: ['qemu-system-x86'], why: 'boots other kernels', present: command('qemu-system-x86_64'), for: 'kernels' },
  {
    packages: ['busybox-static'],
    why: 'their first programs',
    present: () => existsSync('/bin/busybox'),
    for: 'kernels',
  },
  {
    packages: ['cpio', 'kmod', 'xz-utils'],
    why: 'their initramfs',
    present: () => ['cpio', 'modprobe', 'depmod', 'xz'].every(hasCommand),
    for: 'kernels',
  },
];

/**
 * The requirements that are not met.
 * @param {boolean} kernels whether those of `npm run test:kernels` count too
 */
export function missingRequirements(kernels) {
  return requirements.filter((requirement) => (kernels || requirement.for !== 'kernels') && !requirement.present());
}

/** A bpftool that Ubuntu's packages keep under a kernel's name, whichever kernel: its version matters little to us. */
function packagedBpftool() {
  const base = '/usr/lib';
  const folders = [];
  for (const name of existsSync(base) ? readdirSync(base) : []) {
    if (name.startsWith('linux-tools-')) folders.push(join(base, name));
    if (name === 'linux-tools')
      for (const release of readdirSync(join(base, name))) folders.push(join(base, name, release));
  }
  return folders
    .map((folder) => join(folder, 'bpftool'))
    .find((file) => existsSync(file) && capture(file, ['version']).ok);
}

/** Puts such a bpftool first in the PATH of our scripts where the plain command does not work. True when it works now. */
export function linkBpftool() {
  if (bpftoolWorks()) return true;
  const found = packagedBpftool();
  if (found === undefined) return false;
  const tools = join(root, 'build', 'tools');
  mkdirSync(tools, { recursive: true });
  rmSync(join(tools, 'bpftool'), { force: true });
  symlinkSync(found, join(tools, 'bpftool'));
  return true;
}

/** Whether apt knows a package that can be installed (Ubuntu's `bpftool` is a virtual one). */
function installable(name) {
  return /^ {2}Candidate: (?!\(none\))/m.test(capture('apt-cache', ['policy', name]).stdout);
}

/**
 * Names to give to apt-get for a requirement on this system.
 * @param {{packages: readonly string[]}} requirement
 */
export function packagesFor(requirement) {
  return requirement.packages.flatMap((name) => {
    if (name !== 'bpftool' || installable(name)) return [name];
    const release = capture('uname', ['-r']).stdout.trim();
    const tools = [`linux-tools-${release}`, 'linux-tools-generic'].find(installable);
    return tools === undefined ? ['linux-tools-common'] : ['linux-tools-common', tools];
  });
}
