/** The packet fixtures, put to the compiled objects. */
import { packetFixtures } from '../fixtures/packets/index.ts';
import { frameOf, type PacketFixture } from './packet-fixture.ts';
import { asReceived, type PacketInput, type PacketKernel } from './packet-kernel.ts';
import { environmentOf, programOf } from './scene.ts';

function sceneOf({ scene, change }: PacketFixture): string {
  return `${scene.name} ${JSON.stringify(change)}`;
}

/** Fills the maps for a fixture, unless they are. */
export function installer(kernel: () => PacketKernel): (fixture: PacketFixture) => Promise<void> {
  let installed: string | undefined;
  return async (fixture) => {
    const { scene, change } = fixture;
    const key = sceneOf(fixture);
    if (installed === key) return;
    await kernel().install(scene.table, environmentOf(scene, change));
    installed = key;
  };
}

export function inputOf(fixture: PacketFixture, hook: 'xdp' | 'tc'): PacketInput {
  const { gsoSize, firstBuffer, metadataTag } = fixture;
  return asReceived({
    hook,
    program: programOf(fixture.scene, fixture.from),
    device: fixture.from,
    frame: frameOf(fixture.frame),
    ...(hook === 'tc' && gsoSize !== undefined && { gsoSize }),
    ...(fixture.second === true && { second: true }),
    ...(hook === 'tc' && metadataTag !== undefined && { metadataTag }),
    ...(hook === 'xdp' && firstBuffer !== undefined && { firstBuffer }),
  });
}

/** Those of one table and environment one after another: the maps are written once for all of them. */
export function inOrder(): PacketFixture[] {
  const groups = new Map<string, PacketFixture[]>();
  for (const fixture of packetFixtures.filter(({ notInKernel }) => notInKernel === undefined)) {
    const key = sceneOf(fixture);
    groups.set(key, [...(groups.get(key) ?? []), fixture]);
  }
  return [...groups.values()].flat();
}
