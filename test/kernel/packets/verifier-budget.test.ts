/**
 * What the verifier has to walk to accept each program, with every feature on: printed, and far below its limit, on the
 * running kernel and (test/kernels) on others. A load that does not need all of it is cheaper.
 */
import { expect, test } from 'vitest';
import { defaultObjectFiles, readObjects } from '../../../src/dataplane/objects.ts';
import { type Config, config as configCodec, DSCP_UNIFORM, Encap } from '../../../src/generated/layout.ts';
import { BpfObject, kernelVersion } from '../../../src/libbpf/index.ts';

/** BPF_COMPLEXITY_LIMIT_INSNS (include/linux/bpf.h) */
const LIMIT = 1_000_000;
const SHARE = 0.7;

const EVERYTHING: Config = {
  self: 1,
  self4: 0xc0000201,
  self6: new Uint8Array(16).fill(0x20),
  vxlanPort: 4789,
  gpePort: 4790,
  genevePort: 6081,
  lispPort: 4341,
  encaps: Object.values(Encap)
    .filter((encap) => encap !== Encap.NONE)
    .reduce((bits, encap) => bits | (1 << encap), 0),
  unknownSegmentStack: 1,
  guardRemote: 1,
  record: 1,
  quiet: 0,
  hasIp6: 1,
  hasAllow: 1,
  hasMacs: 1,
  hasUnknownFlood: 1,
  hasTransparent: 1,
  hasGroup: 1,
  hasChecksum: 1,
  hasBalance: 1,
  hasMove: 1,
  ttl: 64,
  dscp: DSCP_UNIFORM,
  front: 1,
  leave: 0,
  generic: 1,
  compact: 0,
  segmenter: 1,
  floodRate: 1000,
  tooBigRate: 10,
  probeTtl: 255,
  discriminator: 1,
};

test.each([0, 1])('every program with every feature (compact: %i) stays below 70 % of the limit', async (compact) => {
  const objects = readObjects(defaultObjectFiles());
  const rows: { program: string; instructions: number }[] = [];
  for (const hook of ['xdp', 'tc'] as const) {
    using object = BpfObject.open(objects[hook], { name: `budget_${hook}` });
    object.setGlobal('mw_config', configCodec.encode({ ...EVERYTHING, compact }));
    await object.load();
    for (const [program, loaded] of object.programs) {
      rows.push({ program, instructions: loaded.info().verifiedInstructions });
    }
  }
  console.info(
    [
      `verifier, Linux ${kernelVersion().release}, every feature on, layout ${compact === 1 ? 'compact' : 'hash'}:`,
      ...rows.map(
        ({ program, instructions }) =>
          `  ${program.padEnd(16)} ${String(instructions).padStart(7)} instructions, ${((100 * instructions) / LIMIT).toFixed(1)} % of the limit`,
      ),
    ].join('\n'),
  );
  expect(rows.map(({ program }) => program).sort()).toEqual([
    'mw_tc_port',
    'mw_tc_underlay',
    'mw_xdp_port',
    'mw_xdp_underlay',
  ]);
  for (const { program, instructions } of rows) {
    expect(instructions, program).toBeGreaterThan(1000);
    expect(instructions, program).toBeLessThan(SHARE * LIMIT);
  }
});
