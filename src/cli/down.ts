import { lstatSync, unlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { Dataplane, type DownReport } from '../dataplane/index.ts';
import { MapwireError } from '../errors.ts';
import { call } from './client.ts';
import { PLACE_KEYS, placeOf, withConfig } from './options.ts';
import { plural, print, printJson } from './output.ts';

const STOP_MS = 15_000;

/** `mapwire down`: stops a running daemon, detaches and unpins everything of this instance. Idempotent. */
export function downCommand(program: Command): void {
  withConfig(
    program
      .command('down')
      .description('stop the daemon, detach and unpin everything of this instance, put device settings back'),
    PLACE_KEYS,
  )
    .option('--json', 'print JSON')
    .action(async (options: Record<string, unknown>) => {
      const { socket, pinDir, stateDir } = placeOf(options);
      const stopped = await stopDaemon(socket);
      const report = await downWhenFree({ pinDir, stateDir });
      if (await isStale(socket)) unlinkSync(socket);
      if (options.json) await printJson({ stopped, ...report });
      else await print(summary(stopped, report));
    });
}

/** A daemon that was killed leaves its socket: nobody listens there any more. */
async function isStale(socket: string): Promise<boolean> {
  if (lstatSync(socket, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  const error = await call(socket, 'GET', '/v1/status').then(
    () => undefined,
    (reason: unknown) => (reason as Error).cause as NodeJS.ErrnoException | undefined,
  );
  return error?.code === 'ECONNREFUSED';
}

/** Asks the daemon to stop. False when none answers. */
async function stopDaemon(socket: string): Promise<boolean> {
  try {
    await call(socket, 'POST', '/v1/stop');
    return true;
  } catch (error) {
    if (error instanceof MapwireError && error.code === 'ERR_MW_NO_DAEMON') return false;
    throw error;
  }
}

/** A daemon lets go of the pin directory when it has ended; one that does not answer is told by signal. */
async function downWhenFree(place: { pinDir: string; stateDir: string }): Promise<DownReport> {
  const until = Date.now() + STOP_MS;
  let told = false;
  for (;;) {
    try {
      return await Dataplane.down(place);
    } catch (error) {
      if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_BUSY' || Date.now() > until) throw error;
      const { pid } = error.details;
      if (!told && typeof pid === 'number' && Date.now() > until - STOP_MS + 2_000) {
        process.kill(pid, 'SIGTERM');
        told = true;
      }
      await delay(50);
    }
  }
}

function summary(stopped: boolean, report: DownReport): string {
  const done = [
    stopped ? 'daemon stopped' : undefined,
    report.links > 0 ? `${plural(report.links, 'attachment')} removed` : undefined,
    report.generations > 0 ? `${plural(report.generations, 'generation')} of maps unpinned` : undefined,
    report.neighbours > 0 ? `${plural(report.neighbours, 'neighbour entry', 'neighbour entries')} removed` : undefined,
    report.receptions > 0
      ? `${plural(report.receptions, 'MAC or group', 'MACs and groups')} no longer received`
      : undefined,
    report.pairs > 0 ? `${plural(report.pairs, 'device pair')} removed` : undefined,
    report.devices > 0 ? `${plural(report.devices, 'device')} removed` : undefined,
    report.settings > 0 ? `${plural(report.settings, 'device setting')} put back` : undefined,
  ].filter((part) => part !== undefined);
  return done.length === 0 ? 'nothing to remove' : done.join(', ');
}
