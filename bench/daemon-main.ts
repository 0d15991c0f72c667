/** `node dist/bench/daemon-main.js [PORTS…] [--only load,restart,reload,edits]`: the figures of the daemon, printed as they come, then as JSON. */
import { sweepLabs } from '../test/support/hosts.ts';
import { type DaemonFigures, measureDaemon } from './daemon-scale.ts';

const args = process.argv.slice(2);
const only = args
  .find((arg) => arg.startsWith('--only='))
  ?.slice(7)
  .split(',');
const sizes = args.filter((arg) => /^\d+$/.test(arg)).map(Number);
await sweepLabs('mwb');
const all: DaemonFigures[] = [];
for (const ports of sizes.length > 0 ? sizes : [10_000, 100_000, 1_000_000]) {
  process.stderr.write(`${ports} ports\n`);
  all.push(await measureDaemon({ ports, nodes: 1_000, say: (line) => process.stderr.write(`  ${line}\n`) }, only));
}
process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`);
