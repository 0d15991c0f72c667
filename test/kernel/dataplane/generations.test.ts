import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildObjects } from '../../../src/bintools/build-objects.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { defaultObjectFiles, type ObjectFiles } from '../../../src/dataplane/index.ts';
import { LAYOUT_VERSION } from '../../../src/generated/layout.ts';
import { Program, RawMap } from '../../../src/libbpf/index.ts';
import { type Report, Scene, twoHosts } from './scene.ts';

const NEXT = LAYOUT_VERSION + 1;
let scene: Scene;
/** The same programs under another hash, and the same source with the next layout version. */
let otherPrograms: ObjectFiles;
let nextLayout: ObjectFiles;

beforeAll(async () => {
  scene = await Scene.create();
  const folder = await scene.lab.folder();
  const files = defaultObjectFiles();
  otherPrograms = { xdp: join(folder, 'xdp.bpf.o'), tc: join(folder, 'tc.bpf.o') };
  writeFileSync(otherPrograms.xdp, Buffer.concat([readFileSync(files.xdp), Buffer.alloc(8)]), { mode: 0o600 });
  writeFileSync(otherPrograms.tc, readFileSync(files.tc), { mode: 0o600 });

  const root = await scene.lab.folder();
  cpSync(join(packageRoot(), 'bpf'), join(root, 'bpf'), { recursive: true });
  mkdirSync(join(root, 'dist'));
  const types = join(root, 'bpf', 'types.h');
  const text = readFileSync(types, 'utf8');
  const raised = text.replace(`#define MW_LAYOUT_VERSION ${LAYOUT_VERSION}`, `#define MW_LAYOUT_VERSION ${NEXT}`);
  expect(raised).not.toBe(text);
  writeFileSync(types, raised);
  await buildObjects(root);
  nextLayout = { xdp: join(root, 'dist/bpf/xdp.bpf.o'), tc: join(root, 'dist/bpf/tc.bpf.o') };
});

afterAll(async () => {
  await scene.close();
});

beforeEach(async () => {
  await scene.reset();
});

const LARGE = 3500;

/** Everything in force belongs to one generation: links run its programs, programs use its maps. */
function expectOneGeneration(layout: number = LAYOUT_VERSION): void {
  const generations = scene.generations();
  expect(generations).toHaveLength(1);
  const folder = join(scene.pinDir, generations[0] as string);
  expect(readlinkSync(join(scene.pinDir, 'current'))).toBe(generations[0]);
  const maps = new Set<number>();
  for (const name of readdirSync(join(folder, 'maps'))) {
    expect(name).toMatch(new RegExp(`^mw${layout}_`));
    using map = RawMap.openPinned(join(folder, 'maps', name));
    maps.add(map.id);
  }
  const programs = new Set<number>();
  for (const name of readdirSync(join(folder, 'programs'))) {
    using program = Program.openPinned(join(folder, 'programs', name));
    programs.add(program.id);
    const shared = program.info().mapIds.filter((id) => maps.has(id));
    expect(shared.length, name).toBeGreaterThan(3);
  }
  const held = scene.held();
  expect(held.links).toHaveLength(3);
  for (const id of held.programs) expect(programs.has(id), `program ${id} runs`).toBe(true);
}

function mapId(map: string, layout: number = LAYOUT_VERSION): number {
  using raw = RawMap.openPinned(join(scene.pinDir, scene.generations().at(-1) ?? '', 'maps', `mw${layout}_${map}`));
  return raw.id;
}

describe('a new generation', () => {
  it('makes room before a map is full, in place, and keeps the counters', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: twoHosts() });
    const before = scene.held();
    const [drops, ip4, network] = [mapId('drops'), mapId('ip4'), mapId('network')];
    const report = await plane.ask<Report>('edit', { table: twoHosts(LARGE) });
    expect(report.switched).toMatch(/grows$/);
    expect(report.generation).toBe(2);
    expectOneGeneration();
    const after = scene.held();
    expect(after.links).toEqual(before.links);
    expect(after.programs).not.toEqual(before.programs);
    expect([mapId('drops'), mapId('network')]).toEqual([drops, network]);
    expect(mapId('ip4')).not.toBe(ip4);
    expect(await scene.dumpMap('ip4')).toHaveLength(LARGE + 2);
    const status = await plane.ask<{ maps: { map: string; entries: number; capacity: number }[] }>('status');
    for (const { entries, capacity } of status.maps) expect(entries).toBeLessThanOrEqual(0.5 * capacity);
    expect((await plane.ask<Report>('edit', { table: twoHosts(LARGE + 1) })).switched).toBeUndefined();
    await plane.close();
    expect(await scene.settle(twoHosts(LARGE + 1))).toMatchObject({ total: 0, generation: 2 });
  });

  it('grows when the kernel says full although the plan fits', async () => {
    await scene.settle(twoHosts());
    using map = RawMap.openPinned(scene.mapPath('mac'));
    const [key, value] = [new Uint8Array(map.keySize), map.entries().next().value?.[1] as Uint8Array];
    for (let i = 0; i < 4091; i++) {
      new DataView(key.buffer).setUint32(0, 0xff000000 + i, true);
      map.update(key, value);
    }
    const report = await scene.settle(twoHosts(40));
    expect(report.switched).toBe('map mac is full');
    expectOneGeneration();
    expect(await scene.dumpMap('mac')).toHaveLength(42);
  });

  it('replaces programs on the same maps', async () => {
    await scene.settle(twoHosts());
    const [maps, before] = [['ip4', 'port', 'drops', 'flood'].map((map) => mapId(map)), scene.held()];
    const report = await scene.settle(twoHosts(), { objects: otherPrograms });
    expect(report).toMatchObject({ switched: 'the programs were replaced', generation: 2, total: 0 });
    expectOneGeneration();
    expect(['ip4', 'port', 'drops', 'flood'].map((map) => mapId(map))).toEqual(maps);
    expect(scene.held().links).toEqual(before.links);
    expect(scene.held().programs).not.toEqual(before.programs);
  });

  it('loads programs again when they need another constant, and not when they need one less', async () => {
    const poor = twoHosts();
    (poor.ports as Record<string, object>)['web-1'] = { ...poor.ports['web-1'], ips: ['10.1.0.1'], allow: [] };
    expect((await scene.settle(poor)).generation).toBe(1);
    expect(await scene.settle(twoHosts())).toMatchObject({ switched: 'the programs need other constants' });
    expect((await scene.settle(poor)).switched).toBeUndefined();
  });

  it('goes over to another layout version and back, counters included', async () => {
    await scene.settle(twoHosts());
    const [drops, links] = [mapId('drops'), scene.held().links];
    const report = await scene.settle(twoHosts(), { objects: nextLayout });
    expect(report).toMatchObject({ switched: `layout ${LAYOUT_VERSION} becomes ${NEXT}`, generation: 2 });
    expectOneGeneration(NEXT);
    expect(mapId('drops', NEXT)).toBe(drops);
    expect(scene.held().links).toEqual(links);
    expect((await scene.settle(twoHosts())).switched).toBe(`layout ${NEXT} becomes ${LAYOUT_VERSION}`);
    expectOneGeneration();
    expect(mapId('drops')).toBe(drops);
  });

  it('refuses maps of its own layout version with other fields', async () => {
    await scene.settle(twoHosts());
    const path = scene.mapPath('local');
    const { unlinkSync } = await import('node:fs');
    unlinkSync(path);
    using wrong = RawMap.create({
      type: 'hash',
      name: `mw${LAYOUT_VERSION}_local`,
      keySize: 4,
      valueSize: 20,
      maxEntries: 4096,
    });
    wrong.pin(path);
    const plane = scene.worker();
    await expect(plane.open(scene.options)).rejects.toMatchObject({
      code: 'ERR_MW_MAP_INCOMPATIBLE',
      message: expect.stringContaining('value size is 20, not 24'),
    });
    await plane.close();
  });
});

const STEPS = ['folder', 'maps', 'fill', 'programs', 'complete', 'links', 'current', 'retire'];

describe('killed in the middle', () => {
  it.each([...STEPS.map((step) => `switch:${step}`), 'attach tc-'])('of the first apply, before %s', async (step) => {
    const plane = scene.worker();
    await plane.open(scene.options, step);
    await expect(plane.ask('apply', { table: twoHosts() })).rejects.toMatchObject({ code: 'ended' });
    await scene.settle(twoHosts());
    expectOneGeneration();
    expect(await scene.dumpMap('ip4')).toHaveLength(5);
    expect(await scene.settle(twoHosts())).toMatchObject({ total: 0 });
  });

  it.each([...STEPS.map((step) => `switch:${step}`), 'update tc-'])('of a switch, before %s', async (step) => {
    await scene.settle(twoHosts());
    const links = scene.held().links;
    const options = { ...scene.options, objects: otherPrograms };
    const plane = scene.worker();
    await plane.open(options, step);
    await expect(plane.ask('apply', { table: twoHosts(5) })).rejects.toMatchObject({ code: 'ended' });
    // Whatever the step: every device still runs a program.
    expect(scene.held().links).toEqual(links);
    for (const id of scene.held().programs) expect(id).toBeGreaterThan(0);

    const next = scene.worker();
    await next.open(options);
    // Opening has already finished or rolled back; nothing of the other generation is left.
    expectOneGeneration();
    await next.ask('apply', { table: twoHosts(5) });
    expectOneGeneration();
    expect(scene.held().links).toEqual(links);
    expect(await scene.dumpMap('ip4')).toHaveLength(7);
    expect(await next.ask('apply', { table: twoHosts(5) })).toMatchObject({ total: 0 });
    await next.close();
  });

  it.each(['links', 'generation', 'neighbours', 'settings', 'folders'])('of down, before %s', async (step) => {
    await scene.settle(twoHosts(), { hook: 'xdp' });
    const plane = scene.worker();
    const killed = plane.ask('down', { options: scene.options, killAt: `down:${step}` });
    await expect(killed).rejects.toMatchObject({ code: 'ended' });
    await scene.down();
    expect(existsSync(scene.pinDir)).toBe(false);
    expect(readdirSync(scene.stateDir).filter((name) => name.startsWith('host-'))).toEqual([]);
    expect((await scene.host.run(['ip', 'neigh', 'show', '192.0.2.2'])).stdout).not.toContain('managed');
    expect((await scene.host.run(['ip', '-j', 'link', 'show', 'p1'])).stdout).not.toContain('xdp');
    expect((await scene.host.run(['ethtool', '-k', 'p1'])).stdout).toContain('generic-receive-offload: off');
    await scene.settle(twoHosts());
    expectOneGeneration();
  });
});
