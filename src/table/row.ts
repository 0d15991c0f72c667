/**
 * One record of the table — a node, a network or a port — from a plain value (as JSON has it) to typed form. Written by
 * hand: this is the path of a million rows. Mistakes go to a reporter with the path of the value inside the record;
 * positions are looked up only for them.
 */

import {
  familyOf,
  formatIp,
  formatMac,
  formatPrefix,
  hasHostBits,
  type IpNumber,
  isGroupMac,
  isIpv4Multicast,
  isIpv6LinkLocal,
  isIpv6Multicast,
  isMappedIpv4,
  MAC_BROADCAST,
  networkOf,
  parseIp,
  parseMac,
  parsePrefix,
} from './address.ts';
import { type DiagnosticCode, quote } from './diagnostics.ts';
import { carriesTags, ENCAPS, isIpOnly, MAX_SEGMENT, maxSegment, segmentName } from './encapsulation.ts';
import type { Encap, PortState, TableLocator, TableMove, TableNetwork, TableNode, TableProbe } from './model.ts';
import { nearest } from './suggest.ts';
import { REGION_PREFIX } from './view.ts';

/** Keys and indexes from the record down to a value. */
export type Path = readonly (string | number)[];

export interface MistakeExtra {
  readonly hint?: string | undefined;
  /** The mistake is the key at the end of the path, not its value. */
  readonly key?: boolean;
}

export type RowReport = (code: DiagnosticCode, path: Path, message: string, extra?: MistakeExtra) => void;

/** A port with its addresses as numbers; lists are in the order of the table, locators in order of preference. */
export interface PortRow {
  readonly id: string;
  readonly network: string;
  readonly mac: number;
  readonly macs: readonly number[];
  readonly ips: readonly IpNumber[];
  /** Canonical text. */
  readonly allow: readonly string[];
  readonly role: 'router' | 'dhcp' | undefined;
  readonly at: readonly TableLocator[];
  readonly state: Exclude<PortState, 'up'> | undefined;
  /** 0: none was given. */
  readonly sequence: number;
  readonly move: TableMove | undefined;
}

export const MAX_ID_LENGTH = 64;
export const MAX_LOCATORS = 4;
export const MAX_SHARED_MAC = 4;
export const DEFAULT_NODE_MTU = 1500;
export const DEFAULT_PRIORITY = 1;
export const DEFAULT_WEIGHT = 1;
/** A locator of this priority is never used (RFC 9300). */
export const NEVER_USED = 255;
const MIN_MTU = 576;
const MAX_MTU = 65535;
const MAX_INTERFACE_NAME = 15;

const NODE_KEYS = ['underlay', 'region', 'mtu', 'kind', 'guard', 'udp6-checksum', 'state', 'probe'];
const PROBE_KEYS = ['kind', 'interval', 'multiplier'];
export const MIN_PROBE_MS = 10;
export const MAX_PROBE_MS = 60_000;
const NETWORK_KEYS = ['encap', 'segment', 'mtu', 'flood', 'group', 'unknown', 'vlan', 'link-local'];
const PORT_KEYS = ['network', 'mac', 'macs', 'ips', 'allow', 'role', 'state', 'sequence', 'at', 'move'];
const MOVE_KEYS = ['to', 'send', 'activate'];
const PENDING_KEYS = ['node', 'interface', 'segment'];
export const MAX_SEQUENCE = 0xffff_ffff;
const LOCATOR_KEYS = ['node', 'interface', 'segment', 'priority', 'weight', 'for', 'prefer'];
const NONE: readonly never[] = Object.freeze([]);

export type Fields = Readonly<Record<string, unknown>>;

/** True for a mapping: what JSON calls an object. */
export function isMapping(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Of a port's moves. */
export function isSequence(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_SEQUENCE;
}

/** What a value is, for messages. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return `the text ${quote(value)}`;
  if (typeof value === 'number') return `the number ${value}`;
  return `${String(value)}`;
}

// Control characters, line and paragraph separators, and the marks that turn the direction of text around.
const FORBIDDEN_IN_ID = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/u;
export const PLAIN_ID = /^[A-Za-z0-9._:@/+-]{1,64}$/;

/** Why a text is no id; undefined when it is one. */
export function idMistake(id: string): string | undefined {
  if (PLAIN_ID.test(id)) return undefined;
  if (id.length === 0) return 'is empty';
  const length = id.length > MAX_ID_LENGTH ? Array.from(id).length : id.length;
  if (length > MAX_ID_LENGTH) return `has ${length} characters; ids have at most ${MAX_ID_LENGTH}`;
  if (FORBIDDEN_IN_ID.test(id)) return 'has a control character in it';
  if (id.trim() !== id) return 'begins or ends with a space';
  return undefined;
}

/** True for a name that Linux gives a network interface (dev_valid_name, net/core/dev.c), without control characters. */
export function isInterfaceName(name: string): boolean {
  if (name.length === 0 || Buffer.byteLength(name) > MAX_INTERFACE_NAME) return false;
  return name !== '.' && name !== '..' && !/[/:\s\u0000-\u001f\u007f-\u009f]/.test(name);
}

export function checkKeys(
  value: Fields,
  known: readonly string[],
  path: Path,
  subject: string,
  report: RowReport,
): void {
  for (const key in value) {
    if (known.includes(key)) continue;
    const meant = nearest(key, known);
    report('MW101', [...path, key], `${subject} has the unknown key ${quote(key)}`, {
      key: true,
      hint: meant === undefined ? `the keys are ${known.join(', ')}` : `did you mean '${meant}'?`,
    });
  }
}

/** A text, or undefined after a report. */
function text(value: unknown, path: Path, what: string, report: RowReport): string | undefined {
  if (typeof value === 'string') return value;
  const quoting = typeof value === 'number' || typeof value === 'boolean' ? 'write it in quotes' : undefined;
  report('MW103', path, `${what} must be text, not ${describe(value)}`, { hint: quoting });
  return undefined;
}

/** A reference to a node or network, or another id. */
export function idText(value: unknown, path: Path, what: string, report: RowReport): string | undefined {
  const id = text(value, path, what, report);
  if (id === undefined) return undefined;
  const mistake = idMistake(id);
  if (mistake === undefined) return id;
  report('MW108', path, `${what} ${quote(id)} ${mistake}`);
  return undefined;
}

export function choice<T extends string>(
  value: unknown,
  words: readonly T[],
  path: Path,
  what: string,
  report: RowReport,
): T | undefined {
  if (typeof value === 'string' && (words as readonly string[]).includes(value)) return value as T;
  const list = words.join(', ');
  if (typeof value !== 'string') {
    report('MW103', path, `${what} must be one of ${list}, not ${describe(value)}`);
    return undefined;
  }
  const meant = nearest(value, words);
  report('MW109', path, `${what} must be one of ${list}, not ${quote(value)}`, {
    hint: meant === undefined ? undefined : `did you mean '${meant}'?`,
  });
  return undefined;
}

export function whole(
  value: unknown,
  low: number,
  high: number,
  code: DiagnosticCode,
  path: Path,
  what: string,
  report: RowReport,
): number | undefined {
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    const hint = typeof value === 'string' && /^\d+$/.test(value) ? 'write it without quotes' : undefined;
    report('MW103', path, `${what} must be a whole number, not ${describe(value)}`, { hint });
    return undefined;
  }
  if (value >= low && value <= high) return value;
  report(code, path, `${what} is ${value}; it must be ${low}–${high}`);
  return undefined;
}

/** @param owner what has it: "a locator of port 'web-1'" */
export function weightOf(value: unknown, path: Path, owner: string, report: RowReport): number | undefined {
  if (value === undefined) return DEFAULT_WEIGHT;
  return whole(value, 1, 100, 'MW110', [...path, 'weight'], `the weight of ${owner}`, report);
}

/** @param owner what has it: "a locator of port 'web-1'" */
export function priorityOf(
  value: unknown,
  largest: number,
  path: Path,
  owner: string,
  report: RowReport,
): number | undefined {
  if (value === undefined) return DEFAULT_PRIORITY;
  return whole(value, 0, largest, 'MW110', [...path, 'priority'], `the priority of ${owner}`, report);
}

export function list(value: unknown, path: Path, what: string, report: RowReport): readonly unknown[] {
  if (Array.isArray(value)) return value;
  report('MW103', path, `${what} must be a list, not ${describe(value)}`, {
    hint: typeof value === 'string' ? `write [${value.length > 40 ? '…' : value}]` : undefined,
  });
  return NONE;
}

/** An IP address, or undefined after a report. */
function address(
  value: unknown,
  code: DiagnosticCode,
  path: Path,
  what: string,
  report: RowReport,
): IpNumber | undefined {
  const written = text(value, path, what, report);
  if (written === undefined) return undefined;
  const ip = parseIp(written);
  if (ip === undefined)
    report(code, path, `${what} ${quote(written)} is no IP address`, { hint: addressHint(written) });
  return ip;
}

function addressHint(written: string): string | undefined {
  if (written.includes('%')) return 'write it without the zone';
  if (written.includes('/')) return 'write it without the prefix length';
  if (/^\[.*\]$/.test(written)) return 'write it without the brackets';
  if (written.includes('.') && written.split('.').some((part) => /^0\d/.test(part))) {
    return 'write the numbers without leading zeros, which some programs read as octal';
  }
  if (written.trim() !== written) return 'write it without spaces';
  return undefined;
}

/** Why nobody can have the address; undefined when somebody can. */
export function unusableIp(ip: IpNumber): string | undefined {
  if (typeof ip === 'number') {
    if (ip >>> 24 === 0) return "is of 0.0.0.0/8, 'this network'";
    if (ip >>> 24 === 127) return 'is a loopback address';
    if (isIpv4Multicast(ip)) return 'is a multicast address';
    if (ip === 0xffff_ffff) return 'is the broadcast address';
    return undefined;
  }
  if (isIpv6Multicast(ip)) return 'is a multicast address';
  if (isMappedIpv4(ip)) return 'is an IPv4 address in IPv6 form';
  if (ip[0] === 0 && ip[1] === 0 && ip[2] === 0) {
    if (ip[3] === 0) return 'is the unspecified address';
    if (ip[3] === 1) return 'is the loopback address';
  }
  return undefined;
}

/** A node from its value under `nodes:` (or its record without the `node` key); undefined after reports. */
export function nodeOf(id: string, value: unknown, report: RowReport): TableNode | undefined {
  const subject = `node ${quote(id)}`;
  if (!isMapping(value)) {
    report('MW103', [], `${subject} must be a mapping, not ${describe(value)}`, {
      hint: typeof value === 'string' ? `write { underlay: ${value.length > 40 ? '…' : value} }` : undefined,
    });
    return undefined;
  }
  let good = true;
  const strict: RowReport = (code, path, message, extra) => {
    good = false;
    report(code, path, message, extra);
  };
  checkKeys(value, NODE_KEYS, [], subject, strict);
  const underlay = underlayOf(value.underlay, subject, strict);
  const region =
    value.region === undefined ? undefined : idText(value.region, ['region'], `the region of ${subject}`, strict);
  const mtu =
    value.mtu === undefined
      ? DEFAULT_NODE_MTU
      : whole(value.mtu, MIN_MTU, MAX_MTU, 'MW152', ['mtu'], `the mtu of ${subject}`, strict);
  const kind = optionalChoice(value, 'kind', ['mapwire', 'foreign'], subject, strict);
  const guard = optionalChoice(value, 'guard', ['full', 'open', 'off'], subject, strict);
  if (value.guard !== undefined && kind === 'mapwire') {
    strict('MW144', ['guard'], `${subject} has a 'guard', which is for foreign nodes only`, {
      key: true,
      hint: "remove 'guard', or write 'kind: foreign' if the node does not run Mapwire",
    });
  }
  const udp6Checksum = optionalChoice(value, 'udp6-checksum', ['auto', 'zero', 'computed'], subject, strict);
  const state =
    value.state === undefined
      ? undefined
      : choice(value.state, ['up', 'down', 'drain'] as const, ['state'], `'state' of ${subject}`, strict);
  const probe = value.probe === undefined ? undefined : probeOf(value.probe, kind, subject, strict);
  if (!good || mtu === undefined || !kind || !guard || !udp6Checksum) return undefined;
  return Object.freeze({
    id,
    underlay,
    ...(region !== undefined && { region }),
    mtu,
    kind,
    guard,
    udp6Checksum,
    ...(state !== undefined && { state }),
    ...(probe !== undefined && { probe }),
  });
}

/** Milliseconds from `300ms` or `1s`; undefined for anything else, and outside 10 ms to 60 s. */
function probeInterval(value: unknown): number | undefined {
  const match = typeof value === 'string' ? /^(\d{1,5}(?:\.\d{1,3})?)\s*(ms|s)$/.exec(value) : null;
  if (match === null) return undefined;
  const milliseconds = Math.round(Number(match[1]) * (match[2] === 's' ? 1000 : 1));
  return milliseconds >= MIN_PROBE_MS && milliseconds <= MAX_PROBE_MS ? milliseconds : undefined;
}

/** `bfd`, or a mapping; undefined after reports. */
function probeOf(
  value: unknown,
  nodeKind: TableNode['kind'] | undefined,
  subject: string,
  report: RowReport,
): TableProbe | undefined {
  const fields: Fields | undefined = isMapping(value) ? value : typeof value === 'string' ? { kind: value } : undefined;
  const path = (key: string): Path => (isMapping(value) ? ['probe', key] : ['probe']);
  if (fields === undefined) {
    report('MW103', ['probe'], `'probe' of ${subject} must be a kind or a mapping, not ${describe(value)}`, {
      hint: 'write none, bfd, s-bfd, or { kind: bfd, interval: 300ms, multiplier: 3 }',
    });
    return undefined;
  }
  checkKeys(fields, PROBE_KEYS, ['probe'], `'probe' of ${subject}`, report);
  const kind =
    fields.kind === undefined
      ? undefined
      : choice(fields.kind, ['none', 'bfd', 's-bfd'] as const, path('kind'), `the probe of ${subject}`, report);
  if (kind === 's-bfd' && nodeKind === 'foreign') {
    report('MW146', path('kind'), `${subject} is foreign and is to be probed with S-BFD`, {
      hint: 'only the data plane of Mapwire reflects such probes: write `bfd`, if the node runs it',
    });
  }
  const intervalMs = fields.interval === undefined ? undefined : probeInterval(fields.interval);
  if (fields.interval !== undefined && intervalMs === undefined) {
    report('MW145', path('interval'), `the probe interval of ${subject} must be 10ms to 60s`, {
      hint: "write a number with its unit, e.g. '300ms' or '1s'",
    });
  }
  const { multiplier } = fields;
  const good = typeof multiplier === 'number' && Number.isInteger(multiplier) && multiplier >= 1 && multiplier <= 255;
  if (multiplier !== undefined && !good) {
    report('MW145', path('multiplier'), `the probe multiplier of ${subject} must be a whole number from 1 to 255`);
  }
  return Object.freeze({
    ...(kind !== undefined && { kind }),
    ...(intervalMs !== undefined && { intervalMs }),
    ...(good && { multiplier: multiplier as number }),
  });
}

/** A word of a list, by default its first; undefined after a report. */
export function optionalChoice<T extends string>(
  fields: Fields,
  key: string,
  words: readonly [T, ...T[]],
  subject: string,
  report: RowReport,
): T | undefined {
  const value = fields[key];
  return value === undefined ? words[0] : choice(value, words, [key], `'${key}' of ${subject}`, report);
}

function underlayOf(value: unknown, subject: string, report: RowReport): readonly string[] {
  if (value === undefined) {
    report('MW102', [], `${subject} has no 'underlay' address`, { key: true, hint: "add 'underlay: ADDRESS'" });
    return NONE;
  }
  const many = Array.isArray(value);
  const items: readonly unknown[] = many ? value : [value];
  if (items.length === 0) report('MW140', ['underlay'], `${subject} has an empty list of underlay addresses`);
  const found: IpNumber[] = [];
  items.forEach((item, index) => {
    const path = many ? ['underlay', index] : ['underlay'];
    const what = `the underlay address of ${subject}`;
    const ip = address(item, 'MW140', path, what, report);
    if (ip === undefined) return;
    const why =
      unusableIp(ip) ?? (typeof ip !== 'number' && isIpv6LinkLocal(ip) ? 'is a link-local address' : undefined);
    if (why !== undefined) {
      report('MW140', path, `${what} ${formatIp(ip)} ${why}`);
      return;
    }
    if (found.some((other) => familyOf(other) === familyOf(ip))) {
      report('MW142', path, `${subject} has a second IPv${familyOf(ip)} underlay address, ${formatIp(ip)}`, {
        hint: 'at most one of each family is used',
      });
      return;
    }
    found.push(ip);
  });
  return Object.freeze(found.map(formatIp));
}

/** A network from its value under `networks:`; undefined after reports. */
export function networkOfValue(id: string, value: unknown, report: RowReport): TableNetwork | undefined {
  const subject = `network ${quote(id)}`;
  if (!isMapping(value)) {
    report('MW103', [], `${subject} must be a mapping, not ${describe(value)}`);
    return undefined;
  }
  let good = true;
  const strict: RowReport = (code, path, message, extra) => {
    good = false;
    report(code, path, message, extra);
  };
  checkKeys(value, NETWORK_KEYS, [], subject, strict);
  const encap =
    value.encap === undefined ? 'vxlan' : choice(value.encap, ENCAPS, ['encap'], `the encap of ${subject}`, strict);
  const segment = segmentOf(value.segment, encap, subject, strict);
  const mtu =
    value.mtu === undefined
      ? undefined
      : whole(value.mtu, MIN_MTU, MAX_MTU, 'MW152', ['mtu'], `the mtu of ${subject}`, strict);
  const flood = optionalChoice(value, 'flood', ['replicate', 'multicast', 'none'], subject, strict);
  const unknown = optionalChoice(value, 'unknown', ['drop', 'flood'], subject, strict);
  const vlan = optionalChoice(value, 'vlan', ['drop', 'transparent'], subject, strict);
  const linkLocal = optionalChoice(value, 'link-local', ['any', 'eui64'], subject, strict);
  const group = groupOfValue(value, flood, encap, subject, strict);
  if (encap !== undefined) checkCarried(encap, unknown, vlan, subject, strict);
  if (!good || !encap || segment === undefined || !flood || !unknown || !vlan || !linkLocal) return undefined;
  return Object.freeze({
    id,
    encap,
    segment,
    ...(mtu !== undefined && { mtu }),
    flood,
    ...(group !== undefined && { group }),
    unknown,
    vlan,
    linkLocal,
  });
}

/** A network's segment; that of a flat one may be missing: no tag. Undefined after a report. */
function segmentOf(value: unknown, encap: Encap | undefined, subject: string, report: RowReport): number | undefined {
  if (value !== undefined) {
    const high = encap === undefined ? MAX_SEGMENT : maxSegment(encap);
    const hint =
      encap === 'flat'
        ? "leave 'segment' out for untagged frames"
        : encap && `with ${encap} it is the ${segmentName(encap)}`;
    const hinted: RowReport = (code, path, message) =>
      report(code, path, message, code === 'MW150' ? { hint } : undefined);
    return whole(value, 1, high, 'MW150', ['segment'], `the segment of ${subject}`, hinted);
  }
  if (encap === 'flat') return 0;
  report('MW102', [], `${subject} has no 'segment'`, {
    key: true,
    hint: `add 'segment: NUMBER'${encap === undefined ? '' : `, its ${segmentName(encap)}`}`,
  });
  return undefined;
}

/** What an encapsulation cannot carry. */
function checkCarried(
  encap: Encap,
  unknown: string | undefined,
  vlan: string | undefined,
  subject: string,
  report: RowReport,
): void {
  if (vlan === 'transparent' && !carriesTags(encap)) {
    report('MW158', ['vlan'], `${subject} cannot carry tagged frames: its encapsulation is ${encap}`, {
      hint: "'vlan: transparent' is possible with vxlan, geneve and gre",
    });
  }
  if (unknown === 'flood' && isIpOnly(encap)) {
    report('MW159', ['unknown'], `${subject} cannot flood unknown unicast: ${encap} carries no MAC addresses`, {
      hint: "leave 'unknown' out, or choose an encapsulation that carries Ethernet: vxlan, geneve, gre",
    });
  }
}

/** The multicast group of a network in canonical text; undefined without one and after reports. */
function groupOfValue(
  value: Fields,
  flood: string | undefined,
  encap: Encap | undefined,
  subject: string,
  report: RowReport,
): string | undefined {
  if (flood === 'multicast' && encap === 'flat') {
    report('MW157', ['flood'], `${subject} is flat: its broadcast goes out as it is, to no multicast group`, {
      hint: "write 'flood: replicate' or 'flood: none'",
    });
    return undefined;
  }
  if (value.group === undefined) {
    if (flood === 'multicast') {
      report('MW154', ['flood'], `${subject} floods by multicast but has no 'group'`, {
        hint: "add 'group: ADDRESS', the underlay multicast group",
      });
    }
    return undefined;
  }
  const group = address(value.group, 'MW154', ['group'], `the group of ${subject}`, report);
  if (group === undefined) return undefined;
  const isGroup = typeof group === 'number' ? isIpv4Multicast(group) : isIpv6Multicast(group);
  const why = isGroup ? unusableGroup(group) : undefined;
  if (!isGroup) {
    report('MW154', ['group'], `the group of ${subject} ${formatIp(group)} is no multicast address`, {
      hint: 'for example 239.1.1.1 or ff15::1',
    });
  } else if (why !== undefined) {
    report('MW155', ['group'], `the group of ${subject} ${formatIp(group)} ${why}`, {
      hint: 'take one of 239.0.0.0/8 (RFC 2365), or with IPv6 one of ff15::/16 or ff18::/16 (RFC 4291 section 2.7)',
    });
  }
  if (flood !== undefined && flood !== 'multicast') {
    report('MW154', ['group'], `${subject} has a 'group' but does not flood by multicast`, {
      key: true,
      hint: "remove 'group', or write 'flood: multicast'",
    });
  }
  return formatIp(group);
}

/** Why no network can have a multicast group; undefined when one can. */
function unusableGroup(group: IpNumber): string | undefined {
  if (typeof group === 'number') {
    return group >>> 8 === 0xe0_0000 ? 'is of 224.0.0.0/24, which the link itself uses' : undefined;
  }
  const scope = (group[0] >>> 16) & 0xf;
  if (scope === 0 || scope === 0xf) return 'has a reserved scope';
  if (scope === 1) return 'never leaves the interface (scope 1)';
  if (scope === 2) return 'is of link-local scope';
  return undefined;
}

/** A port from its value under `ports:`; undefined after reports of errors. Warnings are reported and pass. */
export function portOf(id: string, value: unknown, report: RowReport): PortRow | undefined {
  if (!isMapping(value)) {
    report('MW103', [], `port ${quote(id)} must be a mapping, not ${describe(value)}`);
    return undefined;
  }
  let good = true;
  const strict: RowReport = (code, path, message, extra) => {
    good = false;
    report(code, path, message, extra);
  };
  // The name is put together for mistakes only.
  const subject = { toString: () => `port ${quote(id)}` };
  for (const key in value) {
    if (!PORT_KEYS.includes(key)) {
      checkKeys(value, PORT_KEYS, [], `${subject}`, strict);
      break;
    }
  }
  const network = networkReference(value.network, subject, strict);
  const mac = ownMac(value.mac, subject, strict);
  const macs = value.macs === undefined ? NONE : macsOf(value.macs, mac, subject, strict);
  const ips = value.ips === undefined ? NONE : ipsOf(value.ips, subject, strict);
  const allow = value.allow === undefined ? NONE : allowOf(value.allow, subject, strict, report);
  const role =
    value.role === undefined
      ? undefined
      : choice(value.role, ['router', 'dhcp'] as const, ['role'], `the role of ${subject}`, strict);
  const state =
    value.state === undefined
      ? undefined
      : choice(value.state, ['up', 'down', 'drain'] as const, ['state'], `'state' of ${subject}`, strict);
  const sequence =
    value.sequence === undefined
      ? 0
      : whole(value.sequence, 1, MAX_SEQUENCE, 'MW110', ['sequence'], `the sequence of ${subject}`, strict);
  const at = locatorsOf(value.at, subject, strict, report);
  const moving = value.move === undefined ? undefined : moveOf(value.move, at, value.sequence, subject, strict);
  if (!good || network === undefined || mac === undefined || sequence === undefined) return undefined;
  return {
    id,
    network,
    mac,
    macs,
    ips,
    allow,
    role,
    at: moving === undefined ? at : [...at, moving.to],
    state: state === 'up' ? undefined : state,
    sequence,
    move: moving?.move,
  };
}

/** Where a port moves to, and how. Undefined after a report. */
function moveOf(
  value: unknown,
  at: readonly TableLocator[],
  sequence: unknown,
  subject: Subject,
  report: RowReport,
): { readonly to: TableLocator; readonly move: TableMove } | undefined {
  if (!isMapping(value)) {
    report('MW103', ['move'], `'move' of ${subject} must be a mapping, not ${describe(value)}`, {
      hint: 'write { to: { node: ID } }',
    });
    return undefined;
  }
  checkKeys(value, MOVE_KEYS, ['move'], `'move' of ${subject}`, report);
  if (sequence === undefined) {
    report('MW102', ['move'], `${subject} moves, and has no 'sequence'`, {
      key: true,
      hint: "add 'sequence: NUMBER', higher than that of the move before, so that late news of that one counts no more",
    });
  }
  const send =
    value.send === undefined
      ? 'old'
      : choice(
          value.send,
          ['old', 'new', 'both'] as const,
          ['move', 'send'],
          `'send' of the move of ${subject}`,
          report,
        );
  const activate =
    value.activate === undefined
      ? 'table'
      : choice(
          value.activate,
          ['table', 'announcement'] as const,
          ['move', 'activate'],
          `'activate' of the move of ${subject}`,
          report,
        );
  const to = pendingOf(value.to, at, subject, report);
  return to === undefined || send === undefined || activate === undefined
    ? undefined
    : { to, move: { send, activate } };
}

function pendingOf(
  value: unknown,
  at: readonly TableLocator[],
  subject: Subject,
  report: RowReport,
): TableLocator | undefined {
  const path = ['move', 'to'];
  if (value === undefined) {
    report('MW102', ['move'], `'move' of ${subject} has no 'to'`, { key: true, hint: "add 'to: { node: ID }'" });
    return undefined;
  }
  const to = locatorOf(value, path, subject, report, PENDING_KEYS);
  if (to === undefined) return undefined;
  if (at.some((one) => one.node === to.node)) {
    report('MW191', [...path, 'node'], `${subject} moves to node ${quote(to.node)}, where it is already`, {
      hint: "name another node; when the move is over, remove 'move' and write the new place under 'at'",
    });
    return undefined;
  }
  if (at.length === MAX_LOCATORS) {
    report('MW161', path, `${subject} has ${MAX_LOCATORS} locators, and one more that it moves to`, {
      hint: `at most ${MAX_LOCATORS} are possible: leave one out while it moves`,
    });
    return undefined;
  }
  return { ...to, priority: NEVER_USED, pending: true };
}

export type Subject = { toString(): string };

export function networkReference(value: unknown, subject: Subject, report: RowReport): string | undefined {
  if (typeof value === 'string' && PLAIN_ID.test(value)) return value;
  if (value === undefined) {
    report('MW102', [], `${subject} has no 'network'`, { key: true, hint: "add 'network: ID'" });
    return undefined;
  }
  return idText(value, ['network'], `the network of ${subject}`, report);
}

export function ownMac(value: unknown, subject: Subject, report: RowReport): number | undefined {
  if (value === undefined) {
    report('MW102', [], `${subject} has no 'mac'`, { key: true, hint: "add 'mac: 02:…'" });
    return undefined;
  }
  return macOf(value, ['mac'], subject, report);
}

function macOf(value: unknown, path: Path, subject: Subject, report: RowReport): number | undefined {
  const mac = typeof value === 'string' ? parseMac(value) : undefined;
  if (mac === undefined) {
    const written = text(value, path, `a MAC address of ${subject}`, report);
    if (written === undefined) return undefined;
    const packed = written.replace(/[-.:\s]/g, '');
    const meant = /^[0-9a-f]{12}$/i.test(packed) ? formatMac(Number.parseInt(packed, 16)) : undefined;
    report('MW120', path, `${quote(written)} of ${subject} is no MAC address`, {
      hint: meant === undefined ? 'six pairs of hex digits joined by colons' : `write ${meant}`,
    });
    return undefined;
  }
  if (mac !== 0 && !isGroupMac(mac)) return mac;
  let why = 'is a group address';
  if (mac === 0) why = 'is all zero';
  else if (mac === MAC_BROADCAST) why = 'is the broadcast address';
  report('MW121', path, `the MAC address ${formatMac(mac)} of ${subject} ${why}`);
  return undefined;
}

function macsOf(value: unknown, own: number | undefined, subject: Subject, report: RowReport): readonly number[] {
  const found: number[] = [];
  list(value, ['macs'], `'macs' of ${subject}`, report).forEach((item, index) => {
    const mac = macOf(item, ['macs', index], subject, report);
    if (mac === undefined) return;
    if (found.includes(mac)) {
      report('MW129', ['macs', index], `'macs' of ${subject} has ${formatMac(mac)} twice`);
    } else if (mac === own) {
      report('MW129', ['macs', index], `'macs' of ${subject} repeats its own MAC address`, { hint: 'remove it' });
    } else {
      found.push(mac);
    }
  });
  return found;
}

function ipsOf(value: unknown, subject: Subject, report: RowReport): readonly IpNumber[] {
  const items = list(value, ['ips'], `'ips' of ${subject}`, report);
  const found: IpNumber[] = [];
  for (let index = 0; index < items.length; index++) {
    const item = items[index];
    const ip = (typeof item === 'string' ? parseIp(item) : undefined) ?? notIp(item, index, subject, report);
    if (ip === undefined) continue;
    const why = unusableIp(ip);
    if (why !== undefined) {
      report('MW123', ['ips', index], `the address ${formatIp(ip)} of ${subject} ${why}`, {
        hint: typeof ip !== 'number' && isMappedIpv4(ip) ? `write ${formatIp(ip[3])}` : undefined,
      });
    } else if (repeats(found, ip)) {
      report('MW129', ['ips', index], `'ips' of ${subject} has ${formatIp(ip)} twice`);
    } else {
      found.push(ip);
    }
  }
  return found;
}

export function notIp(item: unknown, index: number, subject: Subject, report: RowReport): undefined {
  const written = text(item, ['ips', index], `an address of ${subject}`, report);
  if (written === undefined) return undefined;
  report('MW122', ['ips', index], `${quote(written)} of ${subject} is no IP address`, {
    hint: parsePrefix(written) ? "a prefix belongs under 'allow'" : addressHint(written),
  });
  return undefined;
}

export function repeats(found: readonly IpNumber[], ip: IpNumber): boolean {
  if (typeof ip === 'number') return found.includes(ip);
  return found.some(
    (other) =>
      typeof other !== 'number' && other[3] === ip[3] && other[2] === ip[2] && other[1] === ip[1] && other[0] === ip[0],
  );
}

function allowOf(value: unknown, subject: Subject, report: RowReport, warn: RowReport): readonly string[] {
  const found: string[] = [];
  list(value, ['allow'], `'allow' of ${subject}`, report).forEach((item, index) => {
    const path = ['allow', index];
    const written = text(item, path, `a prefix of ${subject}`, report);
    if (written === undefined) return;
    const prefix = parsePrefix(written);
    if (prefix === undefined) {
      const ip = parseIp(written);
      const hint = ip === undefined ? undefined : `write ${formatIp(ip)}/${familyOf(ip) === 4 ? 32 : 128}`;
      report('MW124', path, `${quote(written)} of ${subject} is no address prefix`, { hint });
      return;
    }
    const canonical = formatPrefix(prefix);
    if (hasHostBits(prefix)) {
      report('MW125', path, `the prefix ${canonical} of ${subject} has bits set after its length`, {
        hint: `did you mean '${formatPrefix(networkOf(prefix))}'?`,
      });
      return;
    }
    const why = unusablePrefix(prefix.address, prefix.length);
    if (why !== undefined) {
      report('MW123', path, `the prefix ${canonical} of ${subject} ${why}`);
    } else if (found.includes(canonical)) {
      report('MW129', path, `'allow' of ${subject} has ${canonical} twice`);
    } else {
      if (prefix.length === 0) {
        warn('MW202', path, `${subject} may send from every IPv${familyOf(prefix.address)} address: ${canonical}`);
      }
      found.push(canonical);
    }
  });
  return found;
}

/** A prefix whose addresses can all not be a source. */
function unusablePrefix(ip: IpNumber, length: number): string | undefined {
  if (typeof ip === 'number') {
    if (length >= 4 && isIpv4Multicast(ip)) return 'is of multicast addresses';
    if (length >= 8 && ip >>> 24 === 127) return 'is of loopback addresses';
    return undefined;
  }
  if (length >= 8 && isIpv6Multicast(ip)) return 'is of multicast addresses';
  if (length >= 96 && isMappedIpv4(ip)) return 'is of IPv4 addresses in IPv6 form';
  return undefined;
}

function locatorsOf(value: unknown, subject: Subject, report: RowReport, warn: RowReport): readonly TableLocator[] {
  if (value === undefined) {
    report('MW160', [], `${subject} has no 'at': it is nowhere`, { key: true, hint: "add 'at: { node: ID }'" });
    return NONE;
  }
  if (!Array.isArray(value)) {
    const locator = locatorOf(value, ['at'], subject, report);
    if (locator === undefined) return NONE;
    if (locator.priority === NEVER_USED) unreachable(subject, warn);
    return [locator];
  }
  if (value.length === 0) {
    report('MW160', ['at'], `${subject} has an empty list of locators`, { hint: "add '{ node: ID }'" });
    return NONE;
  }
  if (value.length > MAX_LOCATORS) {
    report(
      'MW161',
      ['at', MAX_LOCATORS],
      `${subject} has ${value.length} locators; at most ${MAX_LOCATORS} are possible`,
    );
    return NONE;
  }
  const found: TableLocator[] = [];
  for (let index = 0; index < value.length; index++) {
    const locator = locatorOf(value[index], ['at', index], subject, report);
    if (locator === undefined) continue;
    if (found.some((other) => other.node === locator.node)) {
      report('MW162', ['at', index, 'node'], `${subject} names node ${quote(locator.node)} twice`, {
        hint: 'a standby is on another node; a node has one locator of a port',
      });
      continue;
    }
    found.push(locator);
    if (locator.prefer !== undefined) idlePreference(locator, ['at', index, 'prefer'], subject, warn);
  }
  if (found.length === value.length && found.every((locator) => locator.priority === NEVER_USED)) {
    unreachable(subject, warn);
  }
  if (found.length > 1) found.sort((a, b) => a.priority - b.priority);
  return found;
}

/** Told of what is certain without the nodes: whether a region names one that has the locator, only they say. */
function idlePreference(locator: TableLocator, path: Path, subject: Subject, warn: RowReport): void {
  const { node, for: limit, prefer = NONE } = locator;
  if (locator.priority === NEVER_USED) {
    warn(
      'MW209',
      path,
      `a locator of ${subject} is preferred by some and has priority ${NEVER_USED}: it is never used`,
      {
        hint: 'give it another priority, or remove its `prefer`',
      },
    );
    return;
  }
  const isRegion = (name: string): boolean => name.startsWith(REGION_PREFIX);
  if (limit === undefined || limit.some(isRegion)) return;
  const idle = prefer.find((name) => !isRegion(name) && name !== node && !limit.includes(name));
  if (idle === undefined) return;
  warn('MW209', path, `a locator of ${subject} is preferred by node ${quote(idle)}, which does not have it`, {
    hint: `name it under 'for' too, or remove it here`,
  });
}

function unreachable(subject: Subject, warn: RowReport): void {
  warn('MW201', ['at'], `${subject} can never be reached: priority ${NEVER_USED} means never used`);
}

function locatorOf(
  value: unknown,
  path: Path,
  subject: Subject,
  report: RowReport,
  keys: readonly string[] = LOCATOR_KEYS,
): TableLocator | undefined {
  if (!isMapping(value)) {
    report('MW103', path, `a locator of ${subject} must be a mapping, not ${describe(value)}`, {
      hint: typeof value === 'string' ? `write { node: ${value.length > 40 ? '…' : value} }` : undefined,
    });
    return undefined;
  }
  for (const key in value) {
    if (!keys.includes(key)) {
      checkKeys(value, keys, path, `a locator of ${subject}`, report);
      break;
    }
  }
  const node = nodeReference(value.node, path, subject, report);
  const priority = priorityOf(value.priority, NEVER_USED, path, `a locator of ${subject}`, report);
  const weight = weightOf(value.weight, path, `a locator of ${subject}`, report);
  const segment =
    value.segment === undefined
      ? undefined
      : whole(
          value.segment,
          1,
          // The network's encapsulation, which is not known here, may set a lower limit: checks.ts.
          MAX_SEGMENT,
          'MW150',
          [...path, 'segment'],
          `the segment of a locator of ${subject}`,
          report,
        );
  const name = value.interface === undefined ? undefined : interfaceOf(value.interface, path, subject, report);
  const limit = value.for === undefined ? undefined : namedNodes(value.for, [...path, 'for'], subject, report);
  const prefer =
    value.prefer === undefined ? undefined : namedNodes(value.prefer, [...path, 'prefer'], subject, report);
  if (node === undefined || priority === undefined || weight === undefined) return undefined;
  return {
    node,
    ...(name !== undefined && { interface: name }),
    ...(segment !== undefined && { segment }),
    priority,
    weight,
    ...(limit !== undefined && { for: limit }),
    ...(prefer !== undefined && { prefer }),
  };
}

/** Nodes and regions of `for` or `prefer`, the last key of the path: one, or a list. */
function namedNodes(value: unknown, path: Path, subject: Subject, report: RowReport): readonly string[] | undefined {
  const key = `'${path.at(-1)}' of a locator of ${subject}`;
  const many = Array.isArray(value);
  const items: readonly unknown[] = many ? value : [value];
  if (items.length === 0) {
    report('MW166', path, `${key} is an empty list`, {
      hint: `name nodes or regions: [host-a, ${REGION_PREFIX}north], or leave it out`,
    });
    return undefined;
  }
  const found: string[] = [];
  items.forEach((item, index) => {
    const place = many ? [...path, index] : path;
    const name = idText(item, place, `a node in ${key}`, report);
    if (name === undefined) return;
    if (found.includes(name)) report('MW129', place, `${key} has ${quote(name)} twice`);
    else found.push(name);
  });
  return found;
}

function nodeReference(value: unknown, path: Path, subject: Subject, report: RowReport): string | undefined {
  if (typeof value === 'string' && PLAIN_ID.test(value)) return value;
  if (value === undefined) {
    report('MW102', path, `a locator of ${subject} has no 'node'`, { hint: "add 'node: ID'" });
    return undefined;
  }
  return idText(value, [...path, 'node'], `the node of a locator of ${subject}`, report);
}

function interfaceOf(value: unknown, path: Path, subject: Subject, report: RowReport): string | undefined {
  const name = text(value, [...path, 'interface'], `the interface of ${subject}`, report);
  if (name === undefined || isInterfaceName(name)) return name;
  report('MW163', [...path, 'interface'], `${quote(name)} of ${subject} is no name that an interface can have`, {
    hint: `1 to ${MAX_INTERFACE_NAME} bytes without '/', ':' and spaces`,
  });
  return undefined;
}
