import { u32 } from '../bintools/codec.ts';
import { counter, Reason, reasonName, type Traffic, traffic as trafficCodec } from '../generated/layout.ts';
import { PerCpuMap, type RawMap } from '../libbpf/index.ts';
import type { DropCount } from './types.ts';

/** Dropped packets by reason, summed over the CPUs; reasons that never occurred are absent. */
export function readDrops(map: RawMap): DropCount[] {
  const drops = new PerCpuMap(map, u32, counter);
  const counts: DropCount[] = [];
  for (const [reason, values] of drops.entries()) {
    const packets = values.reduce((sum, value) => sum + value.packets, 0n);
    const bytes = values.reduce((sum, value) => sum + value.bytes, 0n);
    if (packets > 0n && reason !== Reason.NONE) counts.push({ reason: reasonName(reason), packets, bytes });
  }
  return counts;
}

const NOTHING: Traffic = { rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n, drops: 0n, answers: 0n };

/** A slot's counters, summed over the CPUs. */
export function readTraffic(map: RawMap, slot: number): Traffic {
  const values = new PerCpuMap(map, u32, trafficCodec).get(slot) ?? [];
  return values.reduce(
    (sum, value) => ({
      rxPackets: sum.rxPackets + value.rxPackets,
      rxBytes: sum.rxBytes + value.rxBytes,
      txPackets: sum.txPackets + value.txPackets,
      txBytes: sum.txBytes + value.txBytes,
      drops: sum.drops + value.drops,
      answers: sum.answers + value.answers,
    }),
    NOTHING,
  );
}

/** A slot that gets a new device begins at zero. Writes only when it does not stand there already. */
export function clearTraffic(map: RawMap, slot: number): void {
  const key = u32.encode(slot);
  const held = map.lookup(key);
  if (held?.some((byte) => byte !== 0) === true) map.update(key, new Uint8Array(map.valueStride));
}

/** Copies the counters of one map into a larger one. */
export async function copyCounters(from: RawMap, to: RawMap): Promise<void> {
  const { count, keys, values } = await from.dump();
  const kept = Math.min(count, to.maxEntries);
  const error = to.batchError(
    await to.updateBatch(keys.subarray(0, kept * from.keySize), values.subarray(0, kept * from.valueStride), kept),
  );
  if (error !== undefined) throw error;
}
