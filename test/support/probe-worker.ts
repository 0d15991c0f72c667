/**
 * A process with a `Prober`, for tests: commands are JSON lines on standard input, answers and changes JSON lines on standard
 * output. It runs compiled, inside a network namespace.
 */
import { createInterface } from 'node:readline';
import type { ProbeKind, SessionStatus } from '../../src/bfd/index.ts';
import { stateName } from '../../src/bfd/index.ts';
import { Prober } from '../../src/daemon/prober.ts';
import { mappedBytes } from '../../src/table/index.ts';

export interface ProbeLine {
  readonly id: string;
  readonly kind: ProbeKind;
  readonly local: string;
  readonly remote: string;
  readonly interval: number;
  readonly multiplier?: number;
  readonly discriminator?: number;
}

type Command =
  | { readonly op: 'start'; readonly hops?: number }
  | { readonly op: 'set'; readonly sessions: readonly ProbeLine[] }
  | { readonly op: 'look' }
  | { readonly op: 'busy'; readonly ms: number }
  | { readonly op: 'close' };

let prober: Prober | undefined;

function say(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function words(status: SessionStatus) {
  return { ...status, state: stateName(status.state), remoteState: stateName(status.remoteState) };
}

async function perform(command: Command): Promise<unknown> {
  switch (command.op) {
    case 'start':
      prober = new Prober({
        hops: command.hops ?? 1,
        changed: (id, status) => say({ changed: id, at: Date.now(), ...words(status) }),
        problem: (problem) => say({ problem }),
        failed: (error) => say({ failed: error.message }),
      });
      return {};
    case 'set':
      prober?.set(
        command.sessions.map(({ id, kind, local, remote, interval, multiplier, discriminator }) => ({
          id,
          kind,
          local: mappedBytes(local),
          remote: mappedBytes(remote),
          intervalUs: interval * 1000,
          multiplier: multiplier ?? 3,
          ...(discriminator !== undefined && { remoteDiscriminator: discriminator }),
        })),
      );
      return {};
    case 'look': {
      const look = await prober?.look();
      const statuses = [...(look?.statuses ?? [])].map(([id, status]) => [id, words(status)]);
      return { statuses: Object.fromEntries(statuses), totals: look?.totals };
    }
    case 'busy': {
      // the event loop of the daemon stands still, as it does while a plan is made
      const until = Date.now() + command.ms;
      while (Date.now() < until);
      return {};
    }
    case 'close':
      await prober?.close();
      return {};
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  say({ result: await perform(JSON.parse(line) as Command) });
}
