/** The words of the command line. */
import { parseArgs } from 'node:util';
import { ENCAPS, type Encap } from './frames.ts';
import { WIRES, type Wire } from './pair.ts';
import { type MapwireVariant, VARIANTS } from './peers/mapwire.ts';

export const PARTS = ['encap', 'decap', 'sizes', 'encapsulations', 'sockets', 'updates', 'failover'] as const;
export type Part = (typeof PARTS)[number];

export class UsageError extends Error {}

export interface Options {
  readonly parts: ReadonlySet<Part>;
  readonly endpoints: readonly number[];
  readonly sizes: readonly number[];
  readonly encaps: readonly Encap[];
  readonly wires: readonly Wire[];
  /** undefined: all there are. */
  readonly peers: readonly string[] | undefined;
  readonly variants: readonly MapwireVariant[];
  readonly rounds: number;
  readonly ms: number;
  readonly quick: boolean;
  readonly json: string | undefined;
  readonly output: string | undefined;
  /** Nothing was left out or made smaller. */
  readonly whole: boolean;
}

export const USAGE = `npm run bench -- [options]        (root)

  --quick             something of every part, small: ends in two minutes
  --only PARTS        of: ${PARTS.join(', ')}
  --endpoints LIST    e.g. 1,10k,100k,1M
  --sizes LIST        bytes of a frame: 64,512,1400
  --encaps LIST       of: ${ENCAPS.join(', ')}
  --wires LIST        of: ${Object.keys(WIRES).join(', ')}
  --peers LIST        e.g. mapwire-xdp,kernel-tuned
  --variant NAME=HOOK[,KEY: VALUE…][,@CHECKOUT]
                      a further mapwire-NAME: lines of its configuration, another built checkout; may be repeated
  --rounds N          of each measurement, peers in turn
  --ms N              of one measurement
  --json FILE         write the figures there too
  --output FOLDER     for table and plots: docs/benchmarks for the whole run, else build/bench
  --help
`;

/** A number, with k or M behind it. */
export function parseCount(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kM]?)$/.exec(text);
  const value = match === null ? Number.NaN : Number(match[1]) * { '': 1, k: 1000, M: 1_000_000 }[match[2] as '']!;
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`'${text}' is not a number such as 64, 10k or 1M`);
  return value;
}

function list(text: string): string[] {
  return text.split(',').filter((word) => word !== '');
}

function chosen<T extends string>(text: string | undefined, all: readonly T[], what: string): readonly T[] {
  if (text === undefined) return all;
  const words = list(text);
  const unknown = words.find((word) => !all.includes(word as T));
  if (unknown !== undefined) throw new UsageError(`no ${what} '${unknown}': there are ${all.join(', ')}`);
  return words as T[];
}

/** `generic=xdp,specialise: off,@../other` */
export function parseVariant(text: string): MapwireVariant {
  const [name, words] = [text.slice(0, text.indexOf('=')), list(text.slice(text.indexOf('=') + 1))];
  const [hook, ...rest] = words;
  if (!/^[a-z][a-z0-9-]*$/.test(name) || (hook !== 'xdp' && hook !== 'tc' && hook !== 'auto'))
    throw new UsageError(`'${text}' is not NAME=xdp|tc|auto[,KEY: VALUE…][,@CHECKOUT]`);
  const checkout = rest.find((word) => word.startsWith('@'))?.slice(1);
  const settings = rest.filter((word) => !word.startsWith('@'));
  return { name: `mapwire-${name}`, hook, settings, ...(checkout === undefined ? {} : { checkout }) };
}

/** @throws UsageError */
export function parseOptions(argv: readonly string[]): Options | 'help' {
  let values: Record<string, string | boolean | string[] | undefined>;
  try {
    const text = { type: 'string' } as const;
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        quick: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        variant: { type: 'string', multiple: true },
        ...{ only: text, endpoints: text, sizes: text, encaps: text, wires: text, peers: text, rounds: text, ms: text },
        ...{ json: text, output: text },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help === true) return 'help';
  const word = (name: string) => values[name] as string | undefined;
  const counts = (name: string, otherwise: readonly number[]) =>
    word(name) === undefined ? otherwise : list(word(name)!).map(parseCount);
  const quick = values.quick === true;
  return {
    parts: new Set(chosen(word('only'), PARTS, 'part')),
    endpoints: counts('endpoints', quick ? [1, 10_000] : [1, 10_000, 100_000, 1_000_000]),
    sizes: counts('sizes', quick ? [64, 1400] : [64, 512, 1400]),
    encaps: chosen(word('encaps') ?? (quick ? 'vxlan,geneve' : undefined), ENCAPS, 'encapsulation'),
    wires: chosen(word('wires') ?? (quick ? 'gso,mtu' : undefined), Object.keys(WIRES) as Wire[], 'wire'),
    peers: word('peers') === undefined ? undefined : list(word('peers')!),
    variants: [...VARIANTS, ...((values.variant as string[] | undefined) ?? []).map(parseVariant)],
    rounds: counts('rounds', [quick ? 1 : 5])[0]!,
    ms: counts('ms', [quick ? 120 : 400])[0]!,
    quick,
    json: word('json'),
    output: word('output'),
    whole:
      !quick && ['only', 'endpoints', 'sizes', 'encaps', 'wires', 'peers'].every((name) => values[name] === undefined),
  };
}
