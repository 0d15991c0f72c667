/** What is pinned, read without a daemon: the data plane goes on when the daemon has ended, and so do its counters. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type IdBook, plan } from '../compiler/index.ts';
import type { Place } from '../daemon/config-schema.ts';
import { Dataplane } from '../dataplane/index.ts';
import { MapwireError } from '../errors.ts';
import { readTable } from '../table/index.ts';

/** True when an instance has left something in this pin directory. */
function isPinned(pinDir: string): boolean {
  return existsSync(pinDir) && readdirSync(pinDir).length > 0;
}

/** Names of kernel ids come from the table; without a good one they are shown as numbers. */
function nameIds(place: Place, ids: IdBook): void {
  if (place.table === undefined || place.node === undefined) return;
  const { table } = readTable(place.table);
  if (table?.nodes.has(place.node)) plan(table, place.node, ids);
}

/**
 * Answers from the pinned maps when no daemon answers.
 *
 * @param noDaemon what the daemon's absence was reported as; thrown when nothing is pinned either
 * @throws what `Dataplane.open` throws: ERR_MW_PRIVILEGE, ERR_MW_BUSY while a daemon starts
 */
export async function fromPins<T>(
  place: Place,
  noDaemon: unknown,
  read: (plane: Dataplane) => T | Promise<T>,
): Promise<T> {
  if (!(noDaemon instanceof MapwireError) || noDaemon.code !== 'ERR_MW_NO_DAEMON') throw noDaemon;
  if (!isPinned(join(place.pinDir))) throw noDaemon;
  await using plane = await Dataplane.open({
    pinDir: place.pinDir,
    stateDir: place.stateDir,
    underlay: place.underlay ?? [],
  });
  nameIds(place, plane.ids);
  return await read(plane);
}
