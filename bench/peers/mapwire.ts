/** Mapwire as it is installed: a daemon with a table. */
import { readdirSync } from 'node:fs';
import { Link } from '../../src/libbpf/index.ts';
import { Mapwire } from '../../test/support/mapwire.ts';
import { HOST } from '../addressing.ts';
import { type Peer, type ProgramTime, timeOf } from './peer.ts';

/** A million ports on a slow machine. */
const READY_MS = 180_000;

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

export function mapwire({ name, hook, settings = [], checkout }: MapwireVariant): Peer {
  return {
    names: [name],
    async start({ site, table }) {
      const path = await table();
      const instance = await Mapwire.configure(site.here, {
        node: HOST.id,
        table: path,
        hook,
        extra: settings.join('\n'),
        ...(checkout === undefined ? {} : { launcher: `${checkout}/bin/mapwire` }),
      });
      site.here.lab.atClose(() => instance.down());
      const start = performance.now();
      const daemon = await instance.run(false);
      await daemon.waitFor(/\bready\b/, READY_MS);
      const loadSeconds = (performance.now() - start) / 1000;
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
