/**
 * Makes a machine ready to build and test: system packages, npm packages, bpffs. Looks first, says what it is about to
 * install, and does nothing where nothing is missing.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { environment, isRoot, mustRun, root, run, ScriptError, say } from './project.mjs';
import { hasCommand, linkBpftool, missingRequirements, packagesFor } from './system-packages.mjs';

const BPFFS = '/sys/fs/bpf';
/** `statfs` f_type of a bpffs (linux/magic.h BPF_FS_MAGIC). */
const BPF_FS_MAGIC = 0xcafe4a11;

/** Refuses a Node.js that package.json's `engines` excludes, and other systems than Linux. */
export function checkPlatform() {
  if (process.platform !== 'linux')
    throw new ScriptError(`Mapwire is built and tested on Linux, not on ${process.platform}`);
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const fits = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
  if (!fits) throw new ScriptError(`Node.js ≥ 20.19 (20.x) or ≥ 22.12 is needed; this is ${process.versions.node}`);
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** Whether node_modules holds exactly what package-lock.json asks for; by content, because a checkout changes file times. */
export function npmPackagesAreCurrent() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return false;
  const present = readJson(installed).packages ?? {};
  const wanted = readJson(join(root, 'package-lock.json')).packages ?? {};
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || (entry.optional && present[path] === undefined)) return true;
    return present[path]?.version === entry.version && existsSync(join(root, path));
  });
}

export function bpffsIsMounted() {
  return existsSync(BPFFS) && statfsSync(BPFFS).type === BPF_FS_MAGIC;
}

/** Where Debian asks whether a package may start its service (invoke-rc.d(8)). */
const POLICY = '/usr/sbin/policy-rc.d';

/**
 * Installs while nobody may start these services, and disables them afterwards. A policy that is there already decides alone.
 * @param {readonly string[]} services
 * @param {() => Promise<unknown>} install
 */
async function withoutServices(services, install) {
  const ours = services.length > 0 && !existsSync(POLICY);
  if (ours) {
    const cases = services.map((name) => `${name} | ${name}.service`).join(' | ');
    writeFileSync(POLICY, `#!/bin/sh\ncase "$1" in ${cases}) exit 101 ;; esac\nexit 0\n`, { mode: 0o755 });
  }
  try {
    await install();
  } finally {
    if (ours) rmSync(POLICY, { force: true });
  }
  if (services.length === 0 || !existsSync('/run/systemd/system')) return;
  say(`Not needed as services, so disabled: ${services.join(' ')}`);
  await mustRun('systemctl', ['disable', '--now', '--quiet', ...services], { stdio: ['ignore', 'inherit', 'inherit'] });
}

async function installSystemPackages(missing) {
  if (!hasCommand('apt-get')) {
    const list = missing.map((one) => `  ${one.packages.join(' ')}: ${one.why}`).join('\n');
    throw new ScriptError(`this system has no apt-get; install these by hand, then run this again:\n${list}`);
  }
  say('These system packages are missing and will be installed with apt-get:');
  for (const one of missing) say(`  ${one.packages.join(' ').padEnd(16)} ${one.why}`);
  const apt = { env: { ...environment, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'inherit', 'inherit'] };
  const update = await run('apt-get', ['update', '-qq'], apt);
  if (update !== 0) say('apt-get update failed; trying with the package lists that are here');
  const names = [...new Set(missing.flatMap(packagesFor))];
  const services = missing.flatMap((one) => one.services ?? []);
  await withoutServices(services, () =>
    mustRun('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], apt),
  );
  linkBpftool();
  const still = missing.filter((one) => !one.present());
  if (still.length > 0) {
    throw new ScriptError(
      `installed, but still not usable: ${still.map((one) => `${one.packages.join(' ')} (${one.why})`).join(', ')}`,
    );
  }
}

/**
 * Sets up what is missing. As root everything; else the npm packages only.
 * @param {{kernels?: boolean}} [options] kernels: also what `npm run test:kernels` needs
 * @returns {Promise<string[]>} what could not be set up without root, in words
 */
export async function setup({ kernels = false } = {}) {
  checkPlatform();
  const unmet = [];
  linkBpftool();
  const missing = missingRequirements(kernels);
  if (missing.length > 0) {
    if (isRoot) await installSystemPackages(missing);
    else unmet.push(`system packages: ${missing.flatMap((one) => one.packages).join(' ')}`);
  }
  if (!npmPackagesAreCurrent()) {
    say('Installing the npm packages of package-lock.json into node_modules/');
    // Not `npm ci`: it refuses a lock file from a registry mirror that lacks the packages of other platforms. This
    // installs the same locked versions and, with --no-save, leaves the lock file as it is.
    await mustRun('npm', ['install', '--no-save', '--no-audit', '--no-fund'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  }
  if (!bpffsIsMounted()) {
    if (isRoot) {
      say(`Mounting the BPF file system on ${BPFFS}`);
      mkdirSync(BPFFS, { recursive: true });
      await mustRun('mount', ['-t', 'bpf', 'bpf', BPFFS]);
    } else unmet.push(`a BPF file system on ${BPFFS}`);
  }
  return unmet;
}
