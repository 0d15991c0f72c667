import { u32 } from '../bintools/codec.ts';
import type { IdBook } from '../compiler/index.ts';
import { unnamed } from '../compiler/index.ts';
import { MapwireError } from '../errors.ts';
import {
  type Config,
  reasonName,
  type Verdict,
  VerdictKind,
  verdict as verdictCodec,
  verdictKindName,
} from '../generated/layout.ts';
import { PerCpuMap, type Program, type RawMap, skbContext, xdpContext } from '../libbpf/index.ts';
import { type Generation, loadObjects } from './generation.ts';
import { COUNTER_MAPS, OWN_MAPS } from './map-table.ts';
import { PROGRAMS, type ProgramObjects } from './objects.ts';
import type { TraceResult } from './types.ts';

export interface TraceQuestion {
  readonly generation: Generation;
  /** Constants that are right for the plan in force. */
  readonly config: Config | undefined;
  readonly objects: ProgramObjects;
  readonly ids: IdBook;
  /** The port's device. */
  readonly ifindex: number;
  /** Does XDP stand in front of TC there? */
  readonly xdp: boolean;
  readonly frame: Uint8Array;
  deviceName(ifindex: number): string | undefined;
}

/**
 * A second load of the programs on the live address maps, with a verdict record and without counters, limits and
 * transmission, run once on the frame.
 *
 * @throws ERR_MW_SYSCALL for a frame that the kernel refuses (shorter than 14 bytes)
 */
export async function trace(question: TraceQuestion): Promise<TraceResult> {
  const { generation, objects, config } = question;
  const instance = generation.meta()?.instance;
  if (config === undefined || instance === undefined) {
    throw new MapwireError('ERR_MW_NOT_FOUND', 'the constants of the programs in force are not known', {
      hint: 'restart the daemon: it loads them again',
    });
  }
  const own: readonly string[] = [...OWN_MAPS, ...COUNTER_MAPS];
  const { maps, programs } = await loadObjects({
    objects,
    instance,
    config: { ...config, record: 1, quiet: 1, leave: 0 },
    capacity: (map) => generation.maybeMap(map)?.maxEntries,
    reuse: (map) => (own.includes(map) ? undefined : generation.maybeMap(map)),
  });
  try {
    const records = maps.get('verdict') as RawMap;
    if (question.xdp) {
      const result = runXdp(programs.get(PROGRAMS.xdp.port) as Program, records, question);
      if (result !== undefined && result.record.verdict !== VerdictKind.LEFT) return answer('xdp', result, question);
    }
    return answer('tc', runTc(programs.get(PROGRAMS.tc.port) as Program, records, question), question);
  } finally {
    for (const map of maps.values()) map.close();
    for (const program of programs.values()) program.close();
  }
}

interface Run {
  readonly record: Verdict;
  readonly data: Uint8Array;
}

function runXdp(program: Program, records: RawMap, { frame, ifindex }: TraceQuestion): Run | undefined {
  clearRecords(records);
  try {
    const { data } = program.testRun({
      data: frame,
      ctx: xdpContext({ dataLength: frame.length, ingressIfindex: ifindex }),
    });
    return { record: readRecord(records), data };
  } catch (error) {
    // A device without a receive queue of its own (a veth without NAPI) takes no XDP test run.
    if (error instanceof MapwireError && error.code === 'ERR_MW_SYSCALL') return undefined;
    throw error;
  }
}

function runTc(program: Program, records: RawMap, { frame, ifindex }: TraceQuestion): Run {
  clearRecords(records);
  const { data } = program.testRun({ data: frame, ctx: skbContext({ ifindex }) });
  return { record: readRecord(records), data };
}

function clearRecords(records: RawMap): void {
  records.update(u32.encode(0), new Uint8Array(records.valueStride));
}

/** The run was on one CPU; the records of the others are empty. */
function readRecord(records: RawMap): Verdict {
  const values = new PerCpuMap(records, u32, verdictCodec).get(0) ?? [];
  const record = values.find(({ verdict }) => verdict !== VerdictKind.NONE);
  if (record === undefined) {
    throw new MapwireError('ERR_MW_NOT_FOUND', 'the program left no verdict record', {
      hint: 'the objects were built without it: run `npm run build`',
    });
  }
  return record;
}

function answer(hook: 'xdp' | 'tc', { record, data }: Run, { ids, deviceName }: TraceQuestion): TraceResult {
  const named = (id: number, name: (id: number) => string | undefined): string | undefined =>
    id === 0 ? undefined : (name(id) ?? unnamed(id));
  return {
    hook,
    verdict: verdictKindName(record.verdict),
    reason: reasonName(record.reason),
    network: named(record.network, (id) => ids.networkName(id)),
    port: named(record.port, (id) => ids.portName(id)),
    node: named(record.node, (id) => ids.nodeName(id)),
    device: named(record.ifindex, deviceName),
    segment: record.segment === 0 ? undefined : record.segment,
    copies: record.verdict === VerdictKind.FLOOD ? record.copies : undefined,
    frame: data,
  };
}
