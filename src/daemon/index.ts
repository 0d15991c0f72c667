/** The daemon, for `mapwire run` and for embedders. */

export type { Config } from './config-schema.ts';
export { Daemon } from './daemon.ts';

import type { Config } from './config-schema.ts';
import { Daemon } from './daemon.ts';
import { assertKernel } from './kernel-age.ts';
import { makeLogger } from './log.ts';
import { assertPrivileges } from './privileges.ts';

/**
 * Runs the daemon until it is told to end, by a signal or through its API.
 *
 * @returns the exit status
 * @throws ERR_MW_UNSUPPORTED on a kernel that is too old; ERR_MW_PRIVILEGE; what `Daemon.start` throws
 */
export async function runDaemon(config: Config): Promise<number> {
  assertKernel();
  assertPrivileges();
  const log = makeLogger(config.logLevel, process.stderr, process.stderr.isTTY === true);
  const daemon = await Daemon.start(config, log);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void daemon.stop(signal));
  process.on('SIGHUP', () => daemon.reload());
  await daemon.ended;
  return 0;
}
