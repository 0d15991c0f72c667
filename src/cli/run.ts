import type { Command } from 'commander';
import { loadDaemonConfig } from '../daemon/config.ts';
import { CONFIG_KEYS } from '../daemon/config-schema.ts';
import { flagsOf, withConfig } from './options.ts';

/** `mapwire run`: the daemon, in the foreground. */
export function runCommand(program: Command): void {
  withConfig(
    program.command('run').description('run the daemon: keep the kernel in step with the table'),
    CONFIG_KEYS,
  ).action(async (options: Record<string, unknown>) => {
    const config = loadDaemonConfig({ file: options.config as string | undefined, flags: flagsOf(options) });
    const { runDaemon } = await import('../daemon/index.ts');
    process.exitCode = await runDaemon(config);
  });
}
