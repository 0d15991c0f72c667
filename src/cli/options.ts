/** Options that several commands share. */
import { type Command, Option } from 'commander';
import { loadConfig, type RawConfig } from '../daemon/config.ts';
import { CONFIG_HELP, CONFIG_KEYS, type ConfigKey, type Place } from '../daemon/config-schema.ts';

/** `pin-dir` as commander keeps it: `pinDir`. */
function camel(key: string): string {
  return key.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

const NUMERIC: readonly ConfigKey[] = [
  'probe-multiplier',
  'probe-hops',
  'vxlan-port',
  'gpe-port',
  'geneve-port',
  'lisp-port',
  'ttl',
  'flood-rate',
  'too-big-rate',
];

function option(key: ConfigKey): Option {
  const made = new Option(`--${key} <value>`, CONFIG_HELP[key]);
  if (key === 'underlay') {
    return made.argParser((value: string, before: readonly string[] | undefined) => [
      ...(before ?? []),
      ...value.split(',').filter((name) => name !== ''),
    ]);
  }
  if (NUMERIC.includes(key)) return made.argParser((value: string) => (/^\d+$/.test(value) ? Number(value) : value));
  return made;
}

/** Adds `--config` and a flag for each of the keys. */
export function withConfig(command: Command, keys: readonly ConfigKey[]): Command {
  command.option('--config <file>', 'configuration file (default: /etc/mapwire/mapwire.yaml, when it is there)');
  for (const key of keys) command.addOption(option(key));
  return command;
}

/** Where a daemon and its kernel state are. */
export const PLACE_KEYS: readonly ConfigKey[] = ['pin-dir', 'state-dir', 'socket'];

/** What flags were given, by key. */
export function flagsOf(options: Readonly<Record<string, unknown>>): RawConfig {
  const flags: Partial<Record<ConfigKey, unknown>> = {};
  for (const key of CONFIG_KEYS) {
    const value = options[camel(key)];
    if (value !== undefined) flags[key] = value;
  }
  return flags;
}

/** @throws ERR_MW_CONFIG */
export function placeOf(options: Readonly<Record<string, unknown>>): Place {
  return loadConfig({ file: options.config as string | undefined, flags: flagsOf(options), required: [] });
}

/** A whole number from `low` to `high`, or undefined: for options that commander should refuse. */
export function wholeNumber(text: string, low: number, high: number): number | undefined {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return value >= low && value <= high ? value : undefined;
}
