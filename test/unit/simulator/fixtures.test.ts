import { describe, expect, test } from 'vitest';
import { simulate } from '../../../src/simulator/simulate.ts';
import { type OutputFrame, REASON_NAMES } from '../../../src/simulator/types.ts';
import { World } from '../../../src/simulator/world.ts';
import { packetFixtures } from '../../fixtures/packets/index.ts';
import { refusalFixtures } from '../../fixtures/packets/refusals.ts';
import { toHex } from '../../support/packet.ts';
import {
  byDeviceAndBytes,
  expectationOf,
  frameOf,
  hooksOf,
  type PacketFixture,
  recordOf,
} from '../../support/packet-fixture.ts';
import { environmentOf, programOf } from '../../support/scene.ts';

function run(fixture: PacketFixture, hook: 'xdp' | 'tc') {
  const { gsoSize, metadataTag, firstBuffer } = fixture;
  const { record, outputs, steps, heard } = simulate({
    world: new World(fixture.scene.table, environmentOf(fixture.scene, fixture.change)),
    hook,
    program: programOf(fixture.scene, fixture.from),
    device: fixture.from,
    frame: frameOf(fixture.frame),
    ...(gsoSize !== undefined && { gsoSize }),
    ...(metadataTag !== undefined && { metadataTag }),
    ...(firstBuffer !== undefined && { firstBuffer }),
    ...(fixture.second === true && { second: true }),
  });
  return { record, outputs: [...outputs].sort(byDeviceAndBytes), steps, heard };
}

function readable(outputs: readonly OutputFrame[]): string[] {
  return outputs.map(({ device, frame, tag }) => `${device} ${tag === undefined ? '' : `tag ${tag} `}${toHex(frame)}`);
}

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  const own = packetFixtures.filter((fixture) => hooksOf(fixture).includes(hook));
  test.each(own.map((fixture) => [fixture.name, fixture] as const))('%s', (_, fixture) => {
    const wanted = expectationOf(fixture, hook);
    const got = run(fixture, hook);
    const trace = got.steps.map(({ rule, asked, found }) => `${rule} ${asked}: ${found}`).join('\n');
    expect(got.record, trace).toEqual(wanted.record);
    const copies = hook === 'tc' ? (fixture.copy ?? []) : [];
    const outputs = [...wanted.outputs, ...copies.map(([device, text]) => ({ device, frame: frameOf(text) }))];
    expect(readable(got.outputs), trace).toEqual(readable(outputs.sort(byDeviceAndBytes)));
    expect(got.heard, trace).toBe(wanted.heard);
  });
});

describe('the collection', () => {
  test('names are unique', () => {
    const names = packetFixtures.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  test('is large enough', () => {
    expect(packetFixtures.length).toBeGreaterThanOrEqual(150);
  });

  test('has every verdict and every reason', () => {
    const records = packetFixtures.flatMap((fixture) =>
      hooksOf(fixture).map((hook) => expectationOf(fixture, hook).record),
    );
    const verdicts = new Set(records.map(({ verdict }) => verdict));
    expect([...verdicts].sort()).toEqual(['answer', 'deliver', 'drop', 'encap', 'flood', 'left', 'stack']);
    const refused = refusalFixtures.map((fixture) => recordOf(fixture.expect).reason);
    const reasons = new Set<string>([...records.map(({ reason }) => reason), ...refused]);
    // copies are counted under this reason, and no frame is dropped for it
    expect(REASON_NAMES.filter((reason) => !reasons.has(reason))).toEqual(['flood-copy']);
    // the model has no helper that fails: only these need the kernel to be seen
    expect([...new Set(refused)].sort()).toEqual(['headroom', 'internal']);
  });
});
