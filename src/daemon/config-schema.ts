/** The daemon's settings: every key of the configuration file, which is also a flag of the command line. */

import { z } from 'zod';
import { MAX_PROBE_MS, MIN_PROBE_MS } from '../table/index.ts';

/** Milliseconds from `500ms`, `5s`, `2m`, `1h` or a plain number of seconds; undefined when it is none of them. */
export function parseDuration(value: string | number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/.exec(String(value).trim());
  if (match === null) return undefined;
  return Math.round(
    Number(match[1]) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[(match[2] ?? 's') as 'ms' | 's' | 'm' | 'h'],
  );
}

const LONGEST_RETURN_MS = 86_400_000;

/** Milliseconds, or `by-hand`, from what `return` may be; undefined when it is none of it. */
function returnPolicy(value: unknown): number | 'by-hand' | undefined {
  if (value === undefined || value === 'at-once') return 0;
  if (value === 'by-hand') return value;
  const after = typeof value === 'string' ? /^after\s+(.+)$/.exec(value)?.[1] : undefined;
  const milliseconds = after === undefined ? undefined : parseDuration(after);
  return milliseconds !== undefined && milliseconds <= LONGEST_RETURN_MS ? milliseconds : undefined;
}

const absolute = (what: string) =>
  z
    .string(`${what} must be a path`)
    .refine((path) => path.startsWith('/') && !path.includes('\0'), `${what} must be an absolute path`);

const integer = (what: string, low: number, high: number) =>
  z
    .number(`${what} must be a whole number`)
    .refine(
      (n) => Number.isInteger(n) && n >= low && n <= high,
      `${what} must be a whole number from ${low} to ${high}`,
    );

const duration = (what: string, low: number, high: number, range: string, examples = '300ms or 1s') =>
  z.union([z.string(), z.number()], { error: `${what} must be a duration` }).transform((value, context) => {
    const milliseconds = parseDuration(value);
    if (milliseconds !== undefined && milliseconds >= low && milliseconds <= high) return milliseconds;
    context.addIssue({ code: 'custom', message: `${what} must be a duration ${range}, e.g. ${examples}` });
    return z.NEVER;
  });

const choice = <const T extends readonly string[]>(what: string, words: T) =>
  z.enum(words, `${what} must be one of: ${words.join(', ')}`);

/** A device that tunnels leave by. */
export interface ConfigUnderlay {
  readonly device: string;
  /** VLAN id of the tunnels' tag; 0: untagged. */
  readonly vlan: number;
}

const MAX_VLAN = 4094;

function isDeviceName(value: unknown): value is string {
  return typeof value === 'string' && /^[^\s/:]{1,15}$/.test(value) && value !== '.' && value !== '..';
}

/** A device from `eth0`, `eth0:30` (no device's name has a colon) or `{device: eth0, vlan: 30}`; else what is wrong. */
function underlayFrom(value: unknown): ConfigUnderlay | string {
  const name = 'a device is a name of 1 to 15 characters';
  if (typeof value === 'string') {
    const [device, tag] = value.split(/:(.*)/s);
    if (!isDeviceName(device)) return name;
    if (tag === undefined) return { device, vlan: 0 };
    const vlan = /^[1-9]\d{0,3}$/.test(tag) ? Number(tag) : 0;
    return vlan >= 1 && vlan <= MAX_VLAN ? { device, vlan } : `behind the colon stands a VLAN id, 1 to ${MAX_VLAN}`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'a device is NAME, NAME:VLAN, or {device: NAME, vlan: ID}';
  }
  const { device, vlan, ...more } = value as Record<string, unknown>;
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) return `unknown key '${unknown}' of a device; it is {device: NAME, vlan: ID}`;
  if (!isDeviceName(device)) return `'device': ${name}`;
  if (vlan === undefined) return { device, vlan: 0 };
  const ok = typeof vlan === 'number' && Number.isInteger(vlan) && vlan >= 1 && vlan <= MAX_VLAN;
  return ok ? { device, vlan } : `'vlan' must be a whole number from 1 to ${MAX_VLAN}`;
}

const underlayDevice = z.unknown().transform((value, context): ConfigUnderlay => {
  const read = underlayFrom(value);
  if (typeof read !== 'string') return read;
  context.addIssue({ code: 'custom', message: read });
  return z.NEVER;
});

function isOneDevice(value: unknown): boolean {
  return typeof value === 'string' || (typeof value === 'object' && value !== null && !Array.isArray(value));
}

/** Keys as they are written in the file, with what they accept and what they are by default. */
export const CONFIG_SHAPE = {
  node: z.string("'node' must be the id of a node").min(1, "'node' must not be empty").max(64, "'node' is too long"),
  table: absolute("'table'"),
  underlay: z
    .preprocess(
      (value) => (isOneDevice(value) ? [value] : value),
      z
        .array(underlayDevice, "'underlay' must be a list of devices, e.g. [eth0] or [{device: eth0, vlan: 30}]")
        .max(8, 'at most 8 underlay devices'),
    )
    .refine((devices) => devices.length > 0, "'underlay' must name at least one device")
    .refine(
      (devices) => new Set(devices.map(({ device }) => device)).size === devices.length,
      "'underlay' names a device twice: a device has one tag, or none",
    ),
  'pin-dir': absolute("'pin-dir'").default('/sys/fs/bpf/mapwire'),
  'state-dir': absolute("'state-dir'").default('/var/lib/mapwire'),
  socket: absolute("'socket'")
    .refine(
      (path) => Buffer.byteLength(path) <= 107,
      "'socket' is longer than the 107 bytes of a unix socket's address",
    )
    .default('/run/mapwire/mapwire.sock'),
  hook: choice("'hook'", ['auto', 'xdp', 'tc']).default('auto'),
  guard: choice("'guard'", ['full', 'mac', 'off']).default('full'),
  layout: choice("'layout'", ['hash', 'compact']).default('hash'),
  'unknown-segment': choice("'unknown-segment'", ['drop', 'stack']).default('drop'),
  'guard-grace': duration("'guard-grace'", 0, 3_600_000, 'up to 60m', '5s or 500ms').default(5000),
  return: z
    .unknown()
    .optional()
    .transform((value, context) => {
      const policy = returnPolicy(value);
      if (policy !== undefined) return policy;
      const message = "'return' must be at-once, by-hand, or after DURATION (up to 24h), e.g. 'after 30s'";
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    }),
  probe: choice("'probe'", ['none', 'bfd', 's-bfd']).default('none'),
  'probe-interval': duration("'probe-interval'", MIN_PROBE_MS, MAX_PROBE_MS, 'from 10ms to 60s').default(300),
  'probe-multiplier': integer("'probe-multiplier'", 1, 255).default(3),
  'probe-hops': integer("'probe-hops'", 1, 255).default(1),
  'restart-hold': duration("'restart-hold'", 0, 600_000, 'up to 10m').default(10_000),
  'vxlan-port': integer("'vxlan-port'", 1, 65535).default(4789),
  'gpe-port': integer("'gpe-port'", 1, 65535).default(4790),
  'geneve-port': integer("'geneve-port'", 1, 65535).default(6081),
  'lisp-port': integer("'lisp-port'", 1, 65535).default(4341),
  ttl: integer("'ttl'", 1, 255).default(64),
  dscp: z.union([z.literal('uniform'), integer("'dscp'", 0, 63)], "'dscp' must be 0 to 63, or 'uniform'").default(0),
  'flood-rate': integer("'flood-rate'", 0, 1_000_000_000).default(1000),
  'too-big-rate': integer("'too-big-rate'", 0, 65535).default(10),
  specialise: choice("'specialise'", ['auto', 'off']).default('auto'),
  'log-level': choice("'log-level'", ['error', 'warn', 'info', 'debug']).default('info'),
} as const;

export type ConfigKey = keyof typeof CONFIG_SHAPE;
export const CONFIG_KEYS = Object.keys(CONFIG_SHAPE) as readonly ConfigKey[];

/** Keys of the UDP ports of tunnels: no two may be the same. */
export const PORT_KEYS = ['vxlan-port', 'gpe-port', 'geneve-port', 'lisp-port'] as const satisfies readonly ConfigKey[];

/** What each key is for, for `--help` and the documentation. */
export const CONFIG_HELP: Readonly<Record<ConfigKey, string>> = {
  node: "this host's node id in the table",
  table: 'file or directory of the table',
  underlay: 'underlay device, NAME or NAME:VLAN, repeatable or separated by commas',
  'pin-dir': 'bpffs folder of this instance',
  'state-dir': 'folder for the log of API edits and device settings to put back (0700)',
  socket: "path of the API's unix socket",
  hook: 'where programs attach: auto, xdp or tc',
  guard: 'check of sources: full, mac or off',
  layout: 'where the address mappings are: hash (maps) or compact (tables of buckets)',
  'unknown-segment': 'tunnel packets of a segment that no network uses: drop or stack',
  'guard-grace': "how long a port's former node is still accepted after a move",
  return: 'when a node that was down gets its traffic back: at-once, after DURATION, or by-hand',
  probe: 'how it is found out whether nodes live: none, bfd, or s-bfd (their data plane answers)',
  'probe-interval': 'time between probes of a node',
  'probe-multiplier': 'probes in a row that may be lost before a node is down',
  'probe-hops': 'hops between nodes that a probe may make',
  'restart-hold': 'how long a node that began anew, or was never heard, is what it was',
  'vxlan-port': 'UDP port of VXLAN',
  'gpe-port': 'UDP port of VXLAN-GPE',
  'geneve-port': 'UDP port of Geneve',
  'lisp-port': 'UDP port of LISP',
  ttl: 'TTL (hop limit) of outer headers',
  dscp: "DSCP of outer headers, or uniform: the inner packet's",
  'flood-rate': 'flooded frames a second and port; 0: no limit',
  'too-big-rate': 'ICMP too-big answers a second and port; 0: no limit',
  specialise: 'make programs for what the table contains: auto or off',
  'log-level': 'error, warn, info or debug',
};

export interface Config {
  readonly node: string;
  readonly table: string;
  readonly underlay: readonly ConfigUnderlay[];
  readonly pinDir: string;
  readonly stateDir: string;
  readonly socket: string;
  readonly hook: 'auto' | 'xdp' | 'tc';
  readonly guard: 'full' | 'mac' | 'off';
  readonly layout: 'hash' | 'compact';
  readonly unknownSegment: 'drop' | 'stack';
  readonly guardGraceMs: number;
  /** Milliseconds after which a node that was down gets its traffic back; 0: at once. */
  readonly returnPolicy: number | 'by-hand';
  readonly probe: 'none' | 'bfd' | 's-bfd';
  readonly probeIntervalMs: number;
  readonly probeMultiplier: number;
  readonly probeHops: number;
  readonly restartHoldMs: number;
  readonly vxlanPort: number;
  readonly gpePort: number;
  readonly genevePort: number;
  readonly lispPort: number;
  readonly ttl: number;
  readonly dscp: number | 'uniform';
  readonly floodRate: number;
  readonly tooBigRate: number;
  readonly specialise: 'auto' | 'off';
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
}

/** What commands beside `run` need: where a daemon and its kernel state are. */
export type Place = Pick<Config, 'pinDir' | 'stateDir' | 'socket'> & Partial<Config>;
