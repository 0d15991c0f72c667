/**
 * The build, in three steps that run only when their inputs changed: TypeScript, BPF objects, native addon.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { environment, mustRun, root, run, ScriptError, say } from './project.mjs';
import { hasCommand } from './system-packages.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', name);

/** All files below the given paths (a file stands for itself, a missing one for nothing), sorted. */
function filesBelow(paths) {
  const found = [];
  const visit = (path) => {
    if (!existsSync(path)) return;
    if (statSync(path).isFile()) found.push(path);
    else for (const name of readdirSync(path)) visit(join(path, name));
  };
  for (const path of paths) visit(join(root, path));
  return found.sort();
}

/** A digest of names and contents: file times say nothing after a checkout or a copy. */
function fingerprint(paths, salt) {
  const hash = createHash('sha256').update(salt);
  for (const file of filesBelow(paths)) {
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {readonly string[]} inputs   files and folders, from the root
 * @property {readonly string[]} outputs  the step runs again when one of them is missing
 * @property {() => Promise<void>} make
 */

/** @type {Record<'typescript' | 'bpf' | 'addon', Step>} */
export const steps = {
  typescript: {
    name: 'typescript',
    inputs: ['src', 'test', 'bench', 'scripts', 'examples', 'tsconfig.json', 'package-lock.json'],
    outputs: ['dist/src/cli/main.js'],
    make: () => mustRun(bin('tsc'), ['-p', '.']),
  },
  bpf: {
    name: 'bpf',
    inputs: ['bpf', 'src/bintools'],
    outputs: ['dist/bpf/xdp.bpf.o', 'dist/bpf/xdp_bound.bpf.o', 'dist/bpf/tc.bpf.o'],
    make: () => mustRun('node', ['dist/src/bintools/main.js', 'compile']),
  },
  addon: {
    name: 'addon',
    inputs: ['native', 'bpf/buckets.h', 'bpf/types.h', 'CMakeLists.txt', 'package-lock.json'],
    outputs: ['build/Release/mapwire.node'],
    make: () =>
      mustRun(bin('cmake-js'), ['compile', '--log-level', 'error'], {
        env: { ...environment, CMAKE_BUILD_PARALLEL_LEVEL: String(availableParallelism()) },
      }),
  },
};

async function runStep(step) {
  const stamp = join(root, 'build', 'stamps', step.name);
  const current = fingerprint(step.inputs, `${process.version} ${process.arch}`);
  const fresh =
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === current &&
    step.outputs.every((output) => existsSync(join(root, output)));
  if (fresh) return;
  const started = performance.now();
  rmSync(stamp, { force: true });
  await step.make();
  const absent = step.outputs.filter((output) => !existsSync(join(root, output)));
  if (absent.length > 0) throw new ScriptError(`the build step '${step.name}' did not make ${absent.join(', ')}`);
  mkdirSync(join(root, 'build', 'stamps'), { recursive: true });
  writeFileSync(stamp, current);
  say(`build: ${step.name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

/**
 * Runs the given steps, all by default, in order. Two builds of one checkout wait for each other.
 * @param {readonly Step[]} [which]
 */
export async function build(which = Object.values(steps)) {
  for (const step of which) await runStep(step);
}

/** Runs this build in a process of its own under a lock, so that two builds of one checkout do not meet. */
export async function lockedBuild(names = Object.keys(steps)) {
  mkdirSync(join(root, 'build'), { recursive: true });
  const script = join(root, 'scripts', 'build.mjs');
  const command = ['node', script, '--locked', ...names];
  const status = hasCommand('flock')
    ? await run('flock', [join(root, 'build', '.lock'), ...command])
    : await run(command[0], command.slice(1), { env: environment });
  if (status !== 0) throw new ScriptError('the build failed');
}
