import { EntryBuffer, keyBytes, type Plan, type PortMap, valueBytes } from '../compiler/index.ts';
import { addHistory } from './former.ts';
import type { Generation } from './generation.ts';
import { HeldEntries } from './held-entries.ts';
import type { MapWriter } from './map-writer.ts';
import { HISTORY, type Surroundings, viewOf } from './reconcile.ts';

/** Entries that are packed and written together when the map is empty: enough for a batch that is written off the event loop. */
const CHUNK = 16_384;
/** Entries that are packed and compared together: a millisecond or two of it. */
const COMPARED = 1_024;

/** Keys that have to go when everything else is written. */
export interface Leftover {
  readonly map: PortMap;
  readonly keys: Uint8Array;
  readonly count: number;
}

/**
 * Makes a map whose entries belong to ports hold the plan, by bytes and in steps: what a million entries allow. Compares with what the
 * map holds, writes the difference, and returns the keys that it should not hold.
 *
 * @param history where ports' former places are read when the map is a new one
 * @throws ERR_MW_MAP_FULL
 */
export async function reconcilePorts(
  map: PortMap,
  plan: Plan,
  around: Surroundings,
  writer: MapWriter,
  history: Generation | undefined,
  pause: () => Promise<void>,
): Promise<Leftover> {
  const held = await HeldEntries.read(writer.generation.entries(map), pause);
  const past =
    HISTORY.includes(map) && history !== undefined ? await HeldEntries.read(history.entries(map), pause) : held;
  let wanted = new EntryBuffer(map, held.count === 0 && past.count === 0 ? CHUNK : COMPARED);
  let puts = new EntryBuffer(map, CHUNK);
  let spare = new EntryBuffer(map, CHUNK);
  // One batch is on its way while the next one is made: its buffer is free again when it has arrived.
  let written: Promise<void> = Promise.resolve();
  const send = async (buffer: EntryBuffer): Promise<EntryBuffer> => {
    await written;
    written = writer.putPacked(map, buffer.keys, buffer.values, buffer.count);
    // Looked at when it is awaited; meanwhile it is nobody's crash.
    written.catch(() => {});
    const free = spare;
    spare = buffer;
    free.clear();
    return free;
  };
  const compare = async (): Promise<void> => {
    if (held.count === 0 && past.count === 0) {
      if (wanted.count > 0) wanted = await send(wanted);
      return;
    }
    differences(wanted, held, past, around, puts);
    wanted.clear();
    if (puts.room < CHUNK / 2) puts = await send(puts);
  };
  for (const entry of plan.sharedEntries(map)) wanted.push(keyBytes(entry), valueBytes(entry));
  await compare();
  for (let from: number | undefined = 0; from !== undefined; ) {
    from = plan.pack(map, from, wanted);
    await compare();
    await pause();
  }
  if (puts.count > 0) await send(puts);
  await written;
  const left = held.unseen();
  if (past !== held) past.close();
  held.close();
  return { map, ...left };
}

/** Adds the entries that have to be written to `puts`. */
function differences(
  wanted: EntryBuffer,
  held: HeldEntries,
  past: HeldEntries,
  around: Surroundings,
  puts: EntryBuffer,
): void {
  const { map, keys, values, keySize, valueSize } = wanted;
  const words = new Uint32Array(keys.buffer);
  const pastView = viewOf(past.values);
  const until = map === 'port' ? around.now() + around.graceNs : 0n;
  for (let i = 0; i < wanted.count; i++) {
    const at = i * valueSize;
    const position = held.find(words, (i * keySize) >>> 2);
    if (position >= 0 && held.equals(position, values, at, valueSize)) continue;
    let value = values.subarray(at, at + valueSize);
    if (map === 'move') {
      // What a program wrote there is its own.
      if (position >= 0) continue;
      const before = past === held ? -1 : past.find(words, (i * keySize) >>> 2);
      if (before >= 0) value = past.value(before).slice();
    }
    if (map === 'port') {
      const before = past === held ? position : past.find(words, (i * keySize) >>> 2);
      if (before >= 0 && !past.equals(before, values, at, valueSize)) {
        addHistory(wanted.valueView, at, pastView, before * past.stride, until);
        if (position >= 0 && held.equals(position, values, at, valueSize)) continue;
      }
    }
    puts.push(keys.subarray(i * keySize, (i + 1) * keySize), value);
  }
}
