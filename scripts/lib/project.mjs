/**
 * What every script needs before `npm ci` has run: where the project is, how to say something, how to run a command.
 * No dependencies on purpose.
 */
import { spawn, spawnSync } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with package.json. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Tools that set-up put in front of the system's own (a working bpftool on Ubuntu). */
const ownTools = join(root, 'build', 'tools');

/** The environment that commands run in: ours plus the project's own tools, and `sbin`, which a plain user's PATH lacks. */
export const environment = {
  ...process.env,
  PATH: [ownTools, process.env.PATH ?? '/usr/bin:/bin', '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter),
};

export const isRoot = process.getuid?.() === 0;

/** A failure that needs no stack trace: the message says it all. */
export class ScriptError extends Error {}

/** One line of progress on standard output. */
export function say(text) {
  process.stdout.write(`${text}\n`);
}

/** Runs a command with our own standard streams; resolves with its exit status (128 + n after signal n). */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: environment, ...options });
    const forward = (signal) => child.kill(signal);
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    const done = () => {
      for (const signal of signals) process.off(signal, forward);
    };
    child.once('error', (error) => {
      done();
      reject(new ScriptError(`cannot run ${command}: ${error.message}`));
    });
    child.once('exit', (code, signal) => {
      done();
      resolve(code ?? 128 + (signals.indexOf(signal) === 0 ? 2 : 15));
    });
  });
}

/** Like `run`, and a failure of the command is ours. */
export async function mustRun(command, args, options = {}) {
  const status = await run(command, args, options);
  if (status !== 0) throw new ScriptError(`${[command, ...args].join(' ')} failed (exit status ${status})`);
}

/** Runs a command quietly; `{ok, stdout, stderr}`. A command that does not exist is not ok. */
export function capture(command, args) {
  const result = spawnSync(command, args, { cwd: root, env: environment, encoding: 'utf8', timeout: 30_000 });
  return { ok: result.status === 0, stdout: result.stdout ?? '', stderr: result.stderr ?? '' };
}

/** Runs the main function of a script; its result is the exit status. */
export async function main(body) {
  try {
    process.exitCode = (await body(process.argv.slice(2))) ?? 0;
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = 1;
  }
}
