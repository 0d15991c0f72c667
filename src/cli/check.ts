import type { Command } from 'commander';
import { hasErrors, readTable, renderDiagnostics } from '../table/index.ts';
import { EXIT, plural, print, printJson } from './output.ts';

/** `mapwire check TABLE`: reads, validates, prints diagnostics. No root. */
export function checkCommand(program: Command): void {
  program
    .command('check')
    .description('read a table and print every mistake in it')
    .argument('<table>', 'file or directory')
    .option('--json', 'print JSON')
    .action(async (path: string, options: { json?: boolean }) => {
      const { table, diagnostics } = readTable(path);
      const failed = table === undefined || hasErrors(diagnostics);
      const counts = table && {
        nodes: table.nodes.size,
        networks: table.networks.size,
        ports: table.portCount,
        ...(table.addresses.size > 0 && { addresses: table.addresses.size }),
      };
      if (options.json) {
        await printJson({ ok: !failed, ...counts, diagnostics });
      } else {
        if (diagnostics.length > 0) process.stderr.write(`${renderDiagnostics(diagnostics)}\n`);
        if (!failed && counts) {
          const { nodes, networks, ports, addresses = 0 } = counts;
          const more = addresses > 0 ? `, ${plural(addresses, 'address', 'addresses')}` : '';
          await print(
            `${path}: good: ${plural(nodes, 'node')}, ${plural(networks, 'network')}, ${plural(ports, 'port')}${more}`,
          );
        }
      }
      if (failed) process.exitCode = EXIT.mistakes;
    });
}
