/** The command line. One file a command; exit status: 0 done, 1 failed, 2 wrong usage, 3 table or configuration in error. */
import { Command, CommanderError } from 'commander';
import { version } from '../daemon/version.ts';
import { askCommands } from './ask.ts';
import { checkCommand } from './check.ts';
import { compileCommand } from './compile.ts';
import { doctorCommand } from './doctor.ts';
import { downCommand } from './down.ts';
import { inspectCommand } from './inspect.ts';
import { nodeCommand } from './node.ts';
import { EXIT, exitStatusOf, printError } from './output.ts';
import { runCommand } from './run.ts';
import { simulateCommand } from './simulate.ts';

function commands(): Command {
  const program = new Command('mapwire')
    .description(
      'an embedded data-plane compiler: a mapping table becomes pinned eBPF maps, and XDP forwards from them',
    )
    .version(version())
    .showHelpAfterError('(see `mapwire --help`)')
    .exitOverride();
  checkCommand(program);
  compileCommand(program);
  simulateCommand(program);
  inspectCommand(program);
  runCommand(program);
  askCommands(program);
  nodeCommand(program);
  doctorCommand(program);
  downCommand(program);
  // commander's settings are not inherited by commands made with .command() before they were set
  for (const command of program.commands) command.exitOverride().showHelpAfterError('(see --help)');
  return program;
}

/** Runs one command; sets the process's exit status. */
export async function main(argv: readonly string[] = process.argv): Promise<void> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  try {
    await commands().parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
      return;
    }
    await printError(error, argv.includes('--json'));
    process.exitCode = exitStatusOf(error);
  }
}
