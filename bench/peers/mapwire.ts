/** Mapwire as it is installed: a daemon with a table. */
import { readdirSync } from 'node:fs';
import { Link } from '../../src/libbpf/index.ts';
import { Mapwire } from '../../test/support/mapwire.ts';
import { HOST } from '../addressing.ts';
import type { Site } from '../site.ts';
import { type Peer, type ProgramTime, timeOf } from './peer.ts';

/** A million ports on a slow machine. */
const READY_MS = 300_000;

export interface MapwireVariant {
  /** `mapwire-` and what distinguishes it. */
  readonly name: string;
  readonly hook: 'xdp' | 'tc' | 'auto';
  /** Further lines of the configuration. */
  readonly settings?: readonly string[];
  /** What it is measured for; everything, unless said otherwise. */
  readonly parts?: readonly ('packets' | 'sockets' | 'updates' | 'failover')[];
  /** Another built checkout. */
  readonly checkout?: string;
}

export const VARIANTS: readonly MapwireVariant[] = [
  { name: 'mapwire-xdp', hook: 'xdp' },
  { name: 'mapwire-tc', hook: 'tc', parts: ['packets'] },
  { name: 'mapwire-generic', hook: 'xdp', settings: ['specialise: off'], parts: ['packets'] },
  { name: 'mapwire-compact', hook: 'xdp', settings: ['layout: compact'], parts: ['packets', 'updates', 'failover'] },
];

/** For what sockets see: the hook is Mapwire's own choice. */
export const AUTO: MapwireVariant = { name: 'mapwire-auto', hook: 'auto', parts: ['sockets'] };

export function variantsFor(
  part: NonNullable<MapwireVariant['parts']>[number],
  variants: readonly MapwireVariant[],
): MapwireVariant[] {
  return variants.filter(({ parts }) => parts === undefined || parts.includes(part));
}

/** A daemon of a site that is not yet started; it goes with the lab. */
export async function configure(
  { here }: Site,
  table: string,
  { hook, settings = [], checkout }: MapwireVariant,
): Promise<Mapwire> {
  const instance = await Mapwire.configure(here, {
    node: HOST.id,
    table,
    hook,
    extra: settings.join('\n'),
    ...(checkout === undefined ? {} : { launcher: `${checkout}/bin/mapwire` }),
  });
  here.lab.atClose(() => instance.down());
  return instance;
}

/** Seconds to `ready`. @param prefix what the daemon runs under */
export async function start(instance: Mapwire, prefix: readonly string[] = []): Promise<number> {
  const began = performance.now();
  const daemon = await instance.run(false, prefix);
  await daemon.waitFor(/\bready\b/, READY_MS);
  return (performance.now() - began) / 1000;
}

export function mapwire(variant: MapwireVariant): Peer {
  const { name, hook } = variant;
  return {
    names: [name],
    async start({ site, table }) {
      const instance = await configure(site, await table(), variant);
      const loadSeconds = await start(instance);
      await instance.settled();
      return {
        loadSeconds,
        programTime: (direction): ProgramTime => {
          const ifindex = direction === 'encap' ? site.devices.port : site.devices.eth0;
          return attachedTime(instance.pinDir, hook === 'tc' ? 'tc' : 'xdp', ifindex);
        },
        stop: () => instance.down(),
      };
    },
  };
}

function attachedTime(pinDir: string, hook: 'xdp' | 'tc', ifindex: number): ProgramTime {
  const links = `${pinDir}/links`;
  const name = `${hook}-${ifindex}`;
  if (!readdirSync(links).includes(name)) throw new Error(`no ${name} in ${links}: ${readdirSync(links).join(' ')}`);
  using link = Link.openPinned(`${links}/${name}`);
  return timeOf(link.info().programId);
}
