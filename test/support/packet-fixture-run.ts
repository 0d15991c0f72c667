/** The packet fixtures, put to the compiled objects. */
import { packetFixtures } from '../fixtures/packets/index.ts';
import { frameOf, hooksOf, type PacketFixture } from './packet-fixture.ts';
import { asReceived, type PacketInput, type PacketKernel } from './packet-kernel.ts';
import { environmentOf, programOf } from './scene.ts';

/** Fills the maps for a fixture, unless they are. */
export function installer(kernel: () => PacketKernel): (fixture: PacketFixture) => Promise<void> {
  let installed: string | undefined;
  return async ({ scene, change }) => {
    const key = `${scene.name} ${JSON.stringify(change)}`;
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
    ...(hook === 'tc' && metadataTag !== undefined && { metadataTag }),
    ...(hook === 'xdp' && firstBuffer !== undefined && { firstBuffer }),
  });
}

/** Those that a test run of this hook can be put to. */
export function runnable(hook: 'xdp' | 'tc'): PacketFixture[] {
  return packetFixtures.filter((fixture) => fixture.notInKernel === undefined && hooksOf(fixture).includes(hook));
}
