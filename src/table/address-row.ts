/** A balanced address from its value under `addresses:`. */

import { formatIp, formatMac, type IpNumber, isIpv6LinkLocal, isMappedIpv4, parseIp } from './address.ts';
import { quote } from './diagnostics.ts';
import { MAX_SLOTS } from './maglev.ts';
import type { TableAddress, TableMember } from './model.ts';
import {
  checkKeys,
  choice,
  describe,
  idText,
  isMapping,
  list,
  networkReference,
  notIp,
  optionalChoice,
  ownMac,
  type Path,
  priorityOf,
  type RowReport,
  repeats,
  type Subject,
  unusableIp,
  weightOf,
  whole,
} from './row.ts';

export const MAX_MEMBERS = 256;
/** Each priority may be two levels, near and far: the data plane has room for twice as many. */
export const MAX_MEMBER_PRIORITIES = 4;

const ADDRESS_KEYS = ['network', 'mac', 'ips', 'affinity', 'prefer', 'slots', 'members'];
const MEMBER_KEYS = ['port', 'weight', 'priority', 'state'];
const LARGEST_PRIORITY = 254;
const NONE: readonly never[] = Object.freeze([]);

/** Undefined after reports of errors. */
export function addressOfValue(id: string, value: unknown, report: RowReport): TableAddress | undefined {
  const subject = `address ${quote(id)}`;
  if (!isMapping(value)) {
    report('MW103', [], `${subject} must be a mapping, not ${describe(value)}`);
    return undefined;
  }
  let good = true;
  const strict: RowReport = (code, path, message, extra) => {
    good = false;
    report(code, path, message, extra);
  };
  checkKeys(value, ADDRESS_KEYS, [], subject, strict);
  const network = networkReference(value.network, subject, strict);
  const mac = ownMac(value.mac, subject, strict);
  const ips = value.ips === undefined ? NONE : ipsOf(value.ips, subject, strict);
  const affinity = optionalChoice(value, 'affinity', ['flow', 'source'], subject, strict);
  const prefer = optionalChoice(value, 'prefer', ['none', 'local', 'region'], subject, strict);
  const slots =
    value.slots === undefined
      ? undefined
      : whole(value.slots, 1, MAX_SLOTS, 'MW110', ['slots'], `the number of slots of ${subject}`, strict);
  const members = membersOf(value.members, subject, strict, report);
  if (!good || network === undefined || mac === undefined || !affinity || !prefer) return undefined;
  return Object.freeze({
    id,
    network,
    mac: formatMac(mac),
    ips: Object.freeze(ips.map(formatIp)),
    affinity,
    prefer,
    ...(slots !== undefined && { slots }),
    members,
  });
}

function ipsOf(value: unknown, subject: Subject, report: RowReport): readonly IpNumber[] {
  const found: IpNumber[] = [];
  list(value, ['ips'], `'ips' of ${subject}`, report).forEach((item, index) => {
    const ip = (typeof item === 'string' ? parseIp(item) : undefined) ?? notIp(item, index, subject, report);
    if (ip === undefined) return;
    const why =
      unusableIp(ip) ?? (typeof ip !== 'number' && isIpv6LinkLocal(ip) ? 'is a link-local address' : undefined);
    if (why !== undefined) {
      report('MW123', ['ips', index], `the address ${formatIp(ip)} of ${subject} ${why}`, {
        hint: typeof ip !== 'number' && isMappedIpv4(ip) ? `write ${formatIp(ip[3])}` : undefined,
      });
    } else if (repeats(found, ip)) {
      report('MW129', ['ips', index], `'ips' of ${subject} has ${formatIp(ip)} twice`);
    } else {
      found.push(ip);
    }
  });
  return found;
}

function membersOf(value: unknown, subject: Subject, report: RowReport, warn: RowReport): readonly TableMember[] {
  if (value === undefined) {
    report('MW182', [], `${subject} has no 'members'`, { key: true, hint: "add 'members: [{ port: ID }]'" });
    return NONE;
  }
  const items = list(value, ['members'], `'members' of ${subject}`, report);
  if (Array.isArray(value) && items.length === 0) {
    report('MW182', ['members'], `${subject} has an empty list of members`, { hint: "add '{ port: ID }'" });
  }
  if (items.length > MAX_MEMBERS) {
    report(
      'MW188',
      ['members', MAX_MEMBERS],
      `${subject} has ${items.length} members; at most ${MAX_MEMBERS} are possible`,
    );
    return NONE;
  }
  const found: TableMember[] = [];
  const ports = new Set<string>();
  const priorities = new Set<number>();
  items.forEach((item, index) => {
    const path = ['members', index];
    const member = memberOf(item, path, subject, report);
    if (member === undefined) return;
    if (ports.has(member.port)) {
      report('MW183', [...path, 'port'], `${subject} has port ${quote(member.port)} twice`, {
        hint: "give it one 'weight'",
      });
      return;
    }
    ports.add(member.port);
    priorities.add(member.priority);
    if (priorities.size === MAX_MEMBER_PRIORITIES + 1) {
      priorities.delete(member.priority);
      report(
        'MW188',
        [...path, 'priority'],
        `${subject} has more than ${MAX_MEMBER_PRIORITIES} different priorities among its members`,
      );
      return;
    }
    found.push(member);
  });
  if (found.length > 0 && found.length === items.length && found.every(({ state }) => state === 'down')) {
    warn('MW210', ['members'], `all members of ${subject} are down: nobody serves it`);
  }
  return Object.freeze(found.sort((a, b) => (a.port < b.port ? -1 : 1)));
}

function memberOf(value: unknown, path: Path, subject: Subject, report: RowReport): TableMember | undefined {
  if (!isMapping(value)) {
    report('MW103', path, `a member of ${subject} must be a mapping, not ${describe(value)}`, {
      hint: typeof value === 'string' ? `write { port: ${value.length > 40 ? '…' : value} }` : undefined,
    });
    return undefined;
  }
  checkKeys(value, MEMBER_KEYS, path, `a member of ${subject}`, report);
  if (value.port === undefined) {
    report('MW102', path, `a member of ${subject} has no 'port'`, { hint: "add 'port: ID'" });
  }
  const port =
    value.port === undefined
      ? undefined
      : idText(value.port, [...path, 'port'], `the port of a member of ${subject}`, report);
  const zeroHint: RowReport = (code, at, message, extra) =>
    report(code, at, message, value.weight === 0 ? { hint: "a member that gets no flows has 'state: down'" } : extra);
  const weight = weightOf(value.weight, path, `a member of ${subject}`, zeroHint);
  const priority = priorityOf(value.priority, LARGEST_PRIORITY, path, `a member of ${subject}`, report);
  const state =
    value.state === undefined
      ? 'up'
      : choice(value.state, ['up', 'down'] as const, [...path, 'state'], `'state' of a member of ${subject}`, report);
  if (port === undefined || weight === undefined || priority === undefined || state === undefined) return undefined;
  return Object.freeze({ port, weight, priority, state });
}
