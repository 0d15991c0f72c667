/**
 * Runs one command under another kernel: QEMU in software emulation (about 20 times slower than the host), the host's own
 * files below a writable overlay, nothing of the host changed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { buildInitramfs } from './initramfs.ts';
import type { KernelImage } from './kernel-image.ts';

const project = packageRoot();
const results = '/run/mapwire-results';

/**
 * Nothing that costs time in emulation and is not asked for here; grace periods of RCU are what taking down namespaces and
 * writing maps of maps wait for. No tests of timers and for stalls: on a loaded machine a guest stands still for long.
 */
const COMMAND_LINE = [
  'console=ttyS0 quiet panic=-1',
  'mitigations=off apparmor=0 audit=0 no5lvl',
  'rcupdate.rcu_expedited=1 rcupdate.rcu_cpu_stall_suppress=1 no_timer_check',
].join(' ');

export interface GuestRun {
  /** Exit status of the command; undefined when the guest ended without one (a panic, the time limit). */
  readonly status: number | undefined;
  /** What the guest wrote to its console, kernel messages included. */
  readonly console: string;
  /** Text of the file `counts.json`, if the command left one in $RESULTS. */
  readonly counts: string | undefined;
}

/** Process 1 of the guest after the switch to its root. The command finds the folder for results in $RESULTS. */
function firstProcess(kernel: KernelImage, command: string): string {
  return [
    '#!/bin/bash',
    'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TERM=dumb NO_COLOR=1 CI=true',
    `export RESULTS=${results}`,
    'mkdir -p /dev/pts /dev/shm /sys/fs/bpf /run/netns',
    'mount -t devpts devpts /dev/pts',
    'mount -t tmpfs tmpfs /dev/shm',
    'mount -t bpf bpf /sys/fs/bpf',
    // as hosts have it; the kernel gives its first process 1,024 and 4,096
    'ulimit -n 65536',
    `mkdir -p /lib/modules/${kernel.release}`,
    `mount --bind ${kernel.folder}/lib/modules/${kernel.release} /lib/modules/${kernel.release}`,
    'ip link set lo up',
    'modprobe -a veth vxlan bridge tun geneve ip_gre ip6_gre 8021q',
    `cd ${project}`,
    `${command}`,
    `echo $? > ${results}/status`,
    'sync',
    'echo o > /proc/sysrq-trigger',
    'sleep 60',
    '',
  ].join('\n');
}

function share(id: string, path: string, readOnly: boolean): string[] {
  const options = `local,id=${id},path=${path},security_model=none,multidevs=remap${readOnly ? ',readonly=on' : ''}`;
  return ['-fsdev', options, '-device', `virtio-9p-pci,fsdev=${id},mount_tag=${id}`];
}

function ended(child: ChildProcess, limit: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const kill = () => child.kill('SIGKILL');
    const timer = setTimeout(kill, limit);
    process.once('exit', kill);
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      process.off('exit', kill);
      resolve();
    });
  });
}

async function textOf(file: string): Promise<string | undefined> {
  return existsSync(file) ? await readFile(file, 'utf8') : undefined;
}

/**
 * Boots the kernel, runs a shell command in the checkout as root, powers off.
 * @param limit milliseconds after which QEMU is killed
 * @param log file that receives the console while the guest runs
 */
export async function runInGuest(kernel: KernelImage, command: string, limit: number, log: string): Promise<GuestRun> {
  const folder = await mkdtemp(join(tmpdir(), 'mapwire-guest-'));
  try {
    const out = join(folder, 'results');
    await mkdir(out);
    await writeFile(join(out, 'first'), firstProcess(kernel, command));
    await chmod(join(out, 'first'), 0o755);
    const shares = { root: 'mwroot', project: 'mwproject', results: 'mwresults' };
    const initramfs = await buildInitramfs(kernel, folder, shares, { project, results }, `${results}/first`);
    const argv = [
      ...[
        // in turns: code that the kernel patches under another CPU's feet (jump labels) is an int3 panic with a thread for each
        '-accel',
        'tcg,thread=single',
        '-cpu',
        'max',
        '-smp',
        '2',
        '-m',
        '3G',
        '-nodefaults',
        '-no-reboot',
        '-nographic',
      ],
      ...['-serial', 'stdio', '-kernel', kernel.vmlinuz, '-initrd', initramfs],
      ...['-append', COMMAND_LINE],
      ...share(shares.root, '/', true),
      ...share(shares.project, project, true),
      ...share(shares.results, out, false),
    ];
    const child = spawn('qemu-system-x86_64', argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    await mkdir(dirname(log), { recursive: true });
    const stream = createWriteStream(log);
    child.stdout.pipe(stream, { end: false });
    child.stderr.pipe(stream, { end: false });
    await ended(child, limit);
    await new Promise<void>((resolve) => stream.end(resolve));
    const status = await textOf(join(out, 'status'));
    return {
      status: status === undefined ? undefined : Number(status.trim()),
      console: await readFile(log, 'utf8'),
      counts: await textOf(join(out, 'counts.json')),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
