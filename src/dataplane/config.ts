import type { Plan } from '../compiler/index.ts';
import { underlayAddress } from '../compiler/index.ts';
import { type Config, config as configCodec } from '../generated/layout.ts';
import { ipBytes } from '../table/address.ts';
import type { DataplaneOptions } from './types.ts';

/** Options with every default filled in. */
export interface Settings {
  readonly guard: NonNullable<DataplaneOptions['guard']>;
  readonly hook: NonNullable<DataplaneOptions['hook']>;
  readonly guardGraceNs: bigint;
  readonly vxlanPort: number;
  readonly unknownSegment: NonNullable<DataplaneOptions['unknownSegment']>;
  readonly tooBigRate: number;
}

export function settingsOf(options: DataplaneOptions): Settings {
  return {
    guard: options.guard ?? 'full',
    hook: options.hook ?? 'auto',
    guardGraceNs: BigInt(Math.round((options.guardGraceMs ?? 5000) * 1e6)),
    vxlanPort: options.vxlanPort ?? 4789,
    unknownSegment: options.unknownSegment ?? 'drop',
    tooBigRate: options.tooBigRate ?? 10,
  };
}

/** The constants of a load for this plan. */
export function configOf(plan: Plan, settings: Settings): Config {
  const self = plan.table.nodes.get(plan.node);
  const ip4 = self === undefined ? undefined : underlayAddress(self);
  const ip6 = self?.underlay.find((address) => address.includes(':'));
  const bytes4 = ip4 === undefined ? undefined : ipBytes(ip4);
  return {
    self: plan.self,
    self4: bytes4 === undefined ? 0 : new DataView(bytes4.buffer, bytes4.byteOffset).getUint32(0),
    self6: ip6 === undefined ? new Uint8Array(16) : ipBytes(ip6),
    vxlanPort: settings.vxlanPort,
    unknownSegmentStack: settings.unknownSegment === 'stack' ? 1 : 0,
    guardRemote: settings.guard === 'off' ? 0 : 1,
    record: 0,
    quiet: 0,
    hasIp6: plan.features.ip6 ? 1 : 0,
    hasAllow: plan.features.allow ? 1 : 0,
    hasMacs: plan.features.macs ? 1 : 0,
    hasUnknownFlood: plan.features.unknownFlood ? 1 : 0,
    tooBigRate: settings.tooBigRate,
  };
}

/**
 * Do programs loaded with `loaded` do all that `wanted` asks for? A feature that is no longer used costs a little time a
 * packet; taking it out costs a load. It goes with the next one.
 */
export function covers(loaded: Config, wanted: Config): boolean {
  const { hasIp6, hasAllow, hasMacs, hasUnknownFlood } = loaded;
  if (hasIp6 < wanted.hasIp6 || hasAllow < wanted.hasAllow) return false;
  if (hasMacs < wanted.hasMacs || hasUnknownFlood < wanted.hasUnknownFlood) return false;
  return configHex({ ...wanted, hasIp6, hasAllow, hasMacs, hasUnknownFlood }) === configHex(loaded);
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
