import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Hop, journey } from '../simulator/index.ts';
import { wholeNumber } from './options.ts';
import { print, printJson } from './output.ts';
import { readTableOrThrow } from './read-table.ts';

interface Options {
  readonly from: string;
  readonly to: string;
  readonly node?: string;
  readonly kind?: 'echo' | 'resolve';
  readonly size?: number;
  readonly json?: boolean;
}

/** `--from`, `--to` and the like: one question, for `simulate` and `trace`. */
export function withQuestion(command: Command): Command {
  return command
    .requiredOption('--from <port>', 'the sending port')
    .requiredOption('--to <address>', 'IP or MAC address')
    .addOption(new Option('--kind <kind>', 'what is sent (default: an echo request)').choices(['echo', 'resolve']))
    .option('--size <bytes>', 'layer-3 length of the packet', (text) => {
      const size = wholeNumber(text, 28, 65_535);
      if (size === undefined) throw new InvalidArgumentError('a whole number from 28 to 65535');
      return size;
    });
}

/** `mapwire simulate TABLE --from PORT --to IP|MAC`: rule by rule, by the reference model. No root. */
export function simulateCommand(program: Command): void {
  withQuestion(
    program
      .command('simulate')
      .description('what would happen to a packet, rule by rule, by the reference model')
      .argument('<table>', 'file or directory'),
  )
    .option('--node <id>', "the sender's node, when the port has several places")
    .option('--json', 'print JSON')
    .action(async (path: string, options: Options) => {
      const table = readTableOrThrow(path);
      const { from, to, node, kind, size } = options;
      const hops = journey(table, {
        from,
        to,
        ...(node === undefined ? {} : { node }),
        ...(kind === undefined ? {} : { kind }),
        ...(size === undefined ? {} : { size }),
      });
      if (options.json) await printJson({ from, to, hops });
      else await print(hops.map(formatHop).join('\n'));
    });
}

function formatHop(hop: Hop): string {
  const { record, steps } = hop.simulation;
  const lines = [`${hop.node}, ${hop.program === 'port' ? 'from port device' : 'from underlay device'} ${hop.device}`];
  for (const { rule, asked, found } of steps) lines.push(`  ${rule.padEnd(5)} ${asked}: ${found}`);
  const facts = Object.entries(record).filter(
    ([name, value]) => name !== 'verdict' && value !== undefined && value !== 'none' && value !== 0,
  );
  lines.push(`  => ${record.verdict}${facts.map(([name, value]) => `  ${name} ${value}`).join('')}`);
  return lines.join('\n');
}
