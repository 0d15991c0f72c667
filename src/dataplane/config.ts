import { nodeDiscriminator } from '../bfd/index.ts';
import type { Plan } from '../compiler/index.ts';
import { underlayAddress } from '../compiler/index.ts';
import { type Config, config as configCodec, DSCP_UNIFORM, Encap } from '../generated/layout.ts';
import { ipBytes } from '../table/address.ts';
import type { DataplaneOptions, TunnelPorts } from './types.ts';

/** Options with every default filled in. */
export interface Settings {
  readonly guard: NonNullable<DataplaneOptions['guard']>;
  readonly hook: NonNullable<DataplaneOptions['hook']>;
  readonly guardGraceNs: bigint;
  readonly ports: TunnelPorts;
  readonly ttl: number;
  readonly dscp: number | 'uniform';
  readonly floodRate: number;
  readonly unknownSegment: NonNullable<DataplaneOptions['unknownSegment']>;
  readonly tooBigRate: number;
  readonly specialise: NonNullable<DataplaneOptions['specialise']>;
  readonly probeHops: number;
  readonly layout: NonNullable<DataplaneOptions['layout']>;
}

export function settingsOf(options: DataplaneOptions): Settings {
  return {
    guard: options.guard ?? 'full',
    hook: options.hook ?? 'auto',
    guardGraceNs: BigInt(Math.round((options.guardGraceMs ?? 5000) * 1e6)),
    ports: { ...TUNNEL_PORTS, ...options.ports },
    ttl: options.ttl ?? 64,
    dscp: options.dscp ?? 0,
    floodRate: options.floodRate ?? 1000,
    unknownSegment: options.unknownSegment ?? 'drop',
    tooBigRate: options.tooBigRate ?? 10,
    specialise: options.specialise ?? 'auto',
    probeHops: options.probeHops ?? 1,
    layout: options.layout ?? 'hash',
  };
}

/** As IANA assigned them. */
export const TUNNEL_PORTS: TunnelPorts = { vxlan: 4789, 'vxlan-gpe': 4790, geneve: 6081, lisp: 4341 };

/** One of so many packets whose decision is not remembered yet is remembered: a power of two. */
const FRONT = 4;

/** What a load may have beyond what the plan asks for: switches, and a set of bits. */
const FEATURES = [
  'hasIp6',
  'hasAllow',
  'hasMacs',
  'hasUnknownFlood',
  'hasTransparent',
  'hasGroup',
  'hasChecksum',
  'hasBalance',
  'hasMove',
  'encaps',
] as const satisfies readonly (keyof Config)[];

/**
 * The constants of a load for this plan; with `specialise: off` those that are right for any.
 *
 * @param segmenter index of the device that cuts super-packets; 0: none
 */
export function configOf(plan: Plan, settings: Settings, segmenter = 0): Config {
  const config = specialisedOf(plan, settings, segmenter);
  return settings.specialise === 'off' ? genericOf(config) : config;
}

/** The same with every feature, and nothing remembered: right for any plan of this node, and the slowest. */
export function genericOf(config: Config): Config {
  const every: Record<string, number> = {};
  for (const feature of FEATURES) every[feature] = 1;
  return { ...config, ...every, encaps: EVERY_ENCAP, generic: 1, front: 0 };
}

/** What a load was made for, in words: encapsulations, then other features. */
export function describeConfig(config: Config): { readonly encaps: string[]; readonly features: string[] } {
  const encaps = Object.entries(Encap).filter(([, bit]) => bit !== Encap.NONE && (config.encaps & (1 << bit)) !== 0);
  const features = FEATURES.filter((feature) => feature !== 'encaps' && config[feature] !== 0);
  return { encaps: encaps.map(([name]) => words(name)), features: features.map((name) => words(name.slice(3))) };
}

/** `UnknownFlood`, `VXLAN_GPE` -> `unknown-flood`, `vxlan-gpe` */
function words(name: string): string {
  return name
    .replace(/([a-z])([A-Z])/g, '$1-$2')
    .replaceAll('_', '-')
    .toLowerCase();
}

function specialisedOf(plan: Plan, settings: Settings, segmenter: number): Config {
  const { features } = plan;
  const self = plan.table.nodes.get(plan.node);
  const ip4 = self === undefined ? undefined : underlayAddress(self);
  const ip6 = self === undefined ? undefined : underlayAddress(self, 6);
  const bytes4 = ip4 === undefined ? undefined : ipBytes(ip4);
  return {
    self: plan.self,
    self4: bytes4 === undefined ? 0 : new DataView(bytes4.buffer, bytes4.byteOffset).getUint32(0),
    self6: ip6 === undefined ? new Uint8Array(16) : ipBytes(ip6),
    vxlanPort: settings.ports.vxlan,
    gpePort: settings.ports['vxlan-gpe'],
    genevePort: settings.ports.geneve,
    lispPort: settings.ports.lisp,
    encaps: features.encaps,
    unknownSegmentStack: settings.unknownSegment === 'stack' ? 1 : 0,
    guardRemote: settings.guard === 'off' ? 0 : 1,
    record: 0,
    quiet: 0,
    hasIp6: features.ip6 ? 1 : 0,
    hasAllow: features.allow ? 1 : 0,
    hasMacs: features.macs ? 1 : 0,
    hasUnknownFlood: features.unknownFlood ? 1 : 0,
    hasTransparent: features.transparent ? 1 : 0,
    hasGroup: features.group ? 1 : 0,
    hasChecksum: features.checksum ? 1 : 0,
    hasBalance: features.balance ? 1 : 0,
    hasMove: features.move ? 1 : 0,
    ttl: settings.ttl,
    dscp: settings.dscp === 'uniform' ? DSCP_UNIFORM : settings.dscp,
    front: FRONT,
    compact: settings.layout === 'compact' ? 1 : 0,
    segmenter,
    floodRate: settings.floodRate,
    tooBigRate: settings.tooBigRate,
    leave: 0,
    generic: 0,
    probeTtl: 256 - settings.probeHops,
    discriminator: nodeDiscriminator(plan.node),
  };
}

const EVERY_ENCAP = Object.values(Encap).reduce<number>(
  (bits, encap) => (encap === Encap.NONE ? bits : bits | (1 << encap)),
  0,
);

/**
 * Do programs loaded with `loaded` do all that `wanted` asks for? A feature that is no longer used costs a little time a
 * packet; taking it out costs a load. It goes with the next one.
 */
export function covers(loaded: Config, wanted: Config): boolean {
  // Neither changes what becomes of a packet.
  const kept: Record<string, number> = { front: loaded.front, leave: loaded.leave, generic: loaded.generic };
  // A pair that is not needed any more stays as long as programs know it.
  if (wanted.segmenter === 0) kept.segmenter = loaded.segmenter;
  for (const feature of FEATURES) {
    if ((loaded[feature] & wanted[feature]) !== wanted[feature]) return false;
    kept[feature] = loaded[feature];
  }
  return configHex({ ...wanted, ...kept }) === configHex(loaded);
}

/** `config` with the features of another one as well: right for maps that hold the plan of either. */
export function widened(config: Config, other: Config): Config {
  const both: Record<string, number> = {};
  for (const feature of FEATURES) both[feature] = config[feature] | other[feature];
  return { ...config, ...both };
}

/** As it stands in the name of a marker folder. */
export function configHex(config: Config): string {
  return Buffer.from(configCodec.encode(config)).toString('hex');
}

/** The reverse of `configHex`; undefined for text that is none (another layout). */
export function configFromHex(hex: string): Config | undefined {
  const bytes = Buffer.from(hex, 'hex');
  return bytes.length === configCodec.size && hex.length === 2 * configCodec.size
    ? configCodec.decode(new Uint8Array(bytes))
    : undefined;
}
