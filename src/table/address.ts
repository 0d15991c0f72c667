/**
 * Addresses as text, numbers and bytes.
 *
 * A MAC address is a number of 48 bits, an IPv4 address a number of 32 bits, both with the first byte of the wire as
 * the highest; an IPv6 address is four such 32-bit words. Byte arrays are in network order. The parsers are strict and
 * return undefined for what they do not accept; nothing here throws on bad text but the functions named `…Bytes`,
 * which are for text that the table already accepted.
 */

import { MapwireError } from '../errors.ts';

/** An IPv6 address as four 32-bit words, the first word of the wire first. */
export type Ip6Words = readonly [number, number, number, number];

/** An IP address as numbers: IPv4 as one, IPv6 as four. */
export type IpNumber = number | Ip6Words;

export interface Prefix {
  readonly address: IpNumber;
  /** Prefix length in bits, 0–32 or 0–128. */
  readonly length: number;
}

const TWO_32 = 0x1_0000_0000;
const MAC_GROUP = 0x0100_0000_0000;
const MAC_LOCAL = 0x0200_0000_0000;

export const MAC_BROADCAST = 0xffff_ffff_ffff;

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

// MAC addresses

/** `02:00:00:00:00:01`, six pairs of hex digits (either case) joined by colons; anything else is undefined. */
export function parseMac(text: string): number | undefined {
  if (text.length !== 17) return undefined;
  let value = 0;
  for (let i = 0; i < 17; i += 3) {
    const high = hexDigit(text.charCodeAt(i));
    const low = hexDigit(text.charCodeAt(i + 1));
    if (high < 0 || low < 0) return undefined;
    if (i < 15 && text.charCodeAt(i + 2) !== 0x3a) return undefined;
    value = value * 256 + high * 16 + low;
  }
  return value;
}

const HEX_BYTE: readonly string[] = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'));

/** Lower case with colons. */
export function formatMac(mac: number): string {
  const high = Math.floor(mac / TWO_32);
  const low = mac >>> 0;
  return `${HEX_BYTE[(high >>> 8) & 0xff]}:${HEX_BYTE[high & 0xff]}:${HEX_BYTE[low >>> 24]}:${HEX_BYTE[(low >>> 16) & 0xff]}:${HEX_BYTE[(low >>> 8) & 0xff]}:${HEX_BYTE[low & 0xff]}`;
}

/** True for a group address (multicast and broadcast): the lowest bit of the first byte. */
export function isGroupMac(mac: number): boolean {
  return Math.floor(mac / MAC_GROUP) % 2 === 1;
}

export function macNumberToBytes(mac: number): Uint8Array {
  const high = Math.floor(mac / TWO_32);
  const low = mac >>> 0;
  return Uint8Array.of(high >>> 8, high & 0xff, low >>> 24, (low >>> 16) & 0xff, (low >>> 8) & 0xff, low & 0xff);
}

export function macNumberFromBytes(bytes: Uint8Array, offset = 0): number {
  let value = 0;
  for (let i = 0; i < 6; i++) value = value * 256 + byteAt(bytes, offset + i);
  return value;
}

/** Six bytes. Throws ERR_MW_INVALID_ARGUMENT on anything that `parseMac` refuses. */
export function macBytes(text: string): Uint8Array {
  const mac = parseMac(text);
  if (mac === undefined) throw badAddress('MAC address', text);
  return macNumberToBytes(mac);
}

export function macFromBytes(bytes: Uint8Array, offset = 0): string {
  return formatMac(macNumberFromBytes(bytes, offset));
}

// IPv4

/** Dotted quad, decimal, no leading zeros (`010.0.0.1` is octal to some readers, so it is nobody's here). */
export function parseIpv4(text: string): number | undefined {
  const length = text.length;
  if (length < 7 || length > 15) return undefined;
  return parseIpv4Part(text, 0, length);
}

function parseIpv4Part(text: string, start: number, end: number): number | undefined {
  let value = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (digits === 0 || dots === 3) return undefined;
      value = value * 256 + octet;
      octet = 0;
      digits = 0;
      dots++;
      continue;
    }
    const digit = code - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    if (digits > 0 && octet === 0) return undefined;
    octet = octet * 10 + digit;
    digits++;
    if (octet > 255) return undefined;
  }
  if (dots !== 3 || digits === 0) return undefined;
  return value * 256 + octet;
}

export function formatIpv4(ip: number): string {
  return `${ip >>> 24}.${(ip >>> 16) & 0xff}.${(ip >>> 8) & 0xff}.${ip & 0xff}`;
}

// IPv6

/** RFC 4291 section 2.2: hex groups, one `::`, an IPv4 tail. No zone (`%eth0`), no brackets, no prefix length. */
export function parseIpv6(text: string): Ip6Words | undefined {
  const length = text.length;
  if (length < 2 || length > 45) return undefined;
  const groups = [0, 0, 0, 0, 0, 0, 0, 0];
  let count = 0;
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === 0x3a) {
    if (text.charCodeAt(1) !== 0x3a) return undefined;
    gap = 0;
    i = 2;
  }
  while (i < length) {
    if (count === 8) return undefined;
    const start = i;
    let value = 0;
    while (i < length) {
      const digit = hexDigit(text.charCodeAt(i));
      if (digit < 0) break;
      if (i - start === 4) return undefined;
      value = value * 16 + digit;
      i++;
    }
    if (i < length && text.charCodeAt(i) === 0x2e) {
      const tail = count <= 6 ? parseIpv4Part(text, start, length) : undefined;
      if (tail === undefined) return undefined;
      groups[count++] = tail >>> 16;
      groups[count++] = tail & 0xffff;
      i = length;
      break;
    }
    if (i === start) return undefined;
    groups[count++] = value;
    if (i === length) break;
    if (text.charCodeAt(i) !== 0x3a) return undefined;
    i++;
    if (i === length) return undefined;
    if (text.charCodeAt(i) === 0x3a) {
      if (gap >= 0) return undefined;
      gap = count;
      i++;
    }
  }
  if (gap < 0) {
    if (count !== 8) return undefined;
  } else {
    if (count === 8) return undefined;
    groups.copyWithin(gap + 8 - count, gap, count);
    groups.fill(0, gap, gap + 8 - count);
  }
  const [a, b, c, d, e, f, g, h] = groups as [number, number, number, number, number, number, number, number];
  return [a * 65536 + b, c * 65536 + d, e * 65536 + f, g * 65536 + h];
}

/** True for ::ffff:0:0/96. */
export function isMappedIpv4(ip: Ip6Words): boolean {
  return ip[0] === 0 && ip[1] === 0 && ip[2] === 0xffff;
}

/** RFC 5952: lower case, the longest run of at least two zero groups shortened, the first of equals. */
export function formatIpv6(ip: Ip6Words): string {
  if (isMappedIpv4(ip)) return `::ffff:${formatIpv4(ip[3])}`;
  let bestStart = -1;
  let bestLength = 1;
  let runStart = -1;
  for (let i = 0; i < 8; i++) {
    if (group(ip, i) !== 0) {
      runStart = -1;
      continue;
    }
    if (runStart < 0) runStart = i;
    if (i - runStart + 1 > bestLength) {
      bestStart = runStart;
      bestLength = i - runStart + 1;
    }
  }
  let text = '';
  for (let i = 0; i < 8; i++) {
    if (i === bestStart) {
      text += '::';
      i += bestLength - 1;
      continue;
    }
    if (i > 0 && i !== bestStart + bestLength) text += ':';
    else if (i > 0 && bestStart < 0) text += ':';
    text += group(ip, i).toString(16);
  }
  return text;
}

function group(ip: Ip6Words, index: number): number {
  const word = ip[(index >> 1) as 0 | 1 | 2 | 3];
  return index & 1 ? word & 0xffff : word >>> 16;
}

// both families

export function parseIp(text: string): IpNumber | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

export function formatIp(ip: IpNumber): string {
  return typeof ip === 'number' ? formatIpv4(ip) : formatIpv6(ip);
}

export function familyOf(ip: IpNumber): 4 | 6 {
  return typeof ip === 'number' ? 4 : 6;
}

export function equalIp(a: IpNumber, b: IpNumber): boolean {
  if (typeof a === 'number' || typeof b === 'number') return a === b;
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

/** 4 or 16 bytes. Throws ERR_MW_INVALID_ARGUMENT on text that is no address. */
export function ipBytes(text: string): Uint8Array {
  const ip = parseIp(text);
  if (ip === undefined) throw badAddress('IP address', text);
  return ipNumberToBytes(ip);
}

export function ipNumberToBytes(ip: IpNumber): Uint8Array {
  if (typeof ip === 'number') return Uint8Array.of(ip >>> 24, (ip >>> 16) & 0xff, (ip >>> 8) & 0xff, ip & 0xff);
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 8; i++) {
    const value = group(ip, i);
    bytes[2 * i] = value >>> 8;
    bytes[2 * i + 1] = value & 0xff;
  }
  return bytes;
}

/** 4 or 16 bytes to canonical text. Throws ERR_MW_INVALID_ARGUMENT on another length. */
export function ipFromBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return formatIpv4(wordAt(bytes, 0));
  if (bytes.length === 16) return formatIpv6(ip6FromBytes(bytes));
  throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `an IP address has 4 or 16 bytes, not ${bytes.length}`);
}

function ip6FromBytes(bytes: Uint8Array): Ip6Words {
  return [wordAt(bytes, 0), wordAt(bytes, 4), wordAt(bytes, 8), wordAt(bytes, 12)];
}

/** Always 16 bytes: IPv4 in mapped form (::ffff:a.b.c.d), as maps hold underlay addresses. */
export function mappedBytes(text: string): Uint8Array {
  const bytes = ipBytes(text);
  if (bytes.length === 16) return bytes;
  const mapped = new Uint8Array(16);
  mapped[10] = 0xff;
  mapped[11] = 0xff;
  mapped.set(bytes, 12);
  return mapped;
}

/** The reverse of `mappedBytes`: a mapped address comes back as IPv4. */
export function ipFromMappedBytes(bytes: Uint8Array): string {
  if (bytes.length !== 16) {
    throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `a mapped address has 16 bytes, not ${bytes.length}`);
  }
  const ip = ip6FromBytes(bytes);
  return isMappedIpv4(ip) ? formatIpv4(ip[3]) : formatIpv6(ip);
}

export function isIpv4Multicast(ip: number): boolean {
  return ip >>> 28 === 0xe;
}

export function isIpv6Multicast(ip: Ip6Words): boolean {
  return ip[0] >>> 24 === 0xff;
}

/** fe80::/10. */
export function isIpv6LinkLocal(ip: Ip6Words): boolean {
  return ip[0] >>> 22 === 0x3fa;
}

// prefixes

/** `10.9.0.0/24` or `fd00::/8`; the length is required. Host bits are not looked at: see `hasHostBits`. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseIp(text.slice(0, slash));
  if (address === undefined) return undefined;
  const digits = text.slice(slash + 1);
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  if (length > (typeof address === 'number' ? 32 : 128)) return undefined;
  return { address, length };
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix.address)}/${prefix.length}`;
}

/** The 32-bit word with its bits after `length` cleared. */
function maskWord(word: number, length: number): number {
  if (length <= 0) return 0;
  if (length >= 32) return word;
  return (word & (0xffff_ffff << (32 - length))) >>> 0;
}

/** The prefix with its host bits cleared. */
export function networkOf(prefix: Prefix): Prefix {
  const { address, length } = prefix;
  if (typeof address === 'number') return { address: maskWord(address, length), length };
  return {
    address: [
      maskWord(address[0], length),
      maskWord(address[1], length - 32),
      maskWord(address[2], length - 64),
      maskWord(address[3], length - 96),
    ],
    length,
  };
}

export function hasHostBits(prefix: Prefix): boolean {
  return !equalIp(networkOf(prefix).address, prefix.address);
}

export function prefixContains(prefix: Prefix, ip: IpNumber): boolean {
  if (familyOf(prefix.address) !== familyOf(ip)) return false;
  return equalIp(networkOf({ address: ip, length: prefix.length }).address, networkOf(prefix).address);
}

/** Address bytes (4 or 16) and length of a prefix. Throws ERR_MW_INVALID_ARGUMENT on text that is no prefix. */
export function prefixBytes(text: string): { readonly bytes: Uint8Array; readonly length: number } {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw badAddress('prefix', text);
  return { bytes: ipNumberToBytes(prefix.address), length: prefix.length };
}

// addresses made from others

/** fe80::/64 with the modified EUI-64 of the MAC (RFC 4291 appendix A). */
export function linkLocalOfMac(mac: number): Ip6Words {
  const high = Math.floor(mac / TWO_32);
  const low = mac >>> 0;
  return [
    0xfe80_0000,
    0,
    (((high ^ 0x0200) << 16) | ((low >>> 24) << 8) | 0xff) >>> 0,
    (0xfe00_0000 | (low & 0xff_ffff)) >>> 0,
  ];
}

/** The MAC of an address in fe80::/64 that has EUI-64 form; undefined for any other. */
export function macOfLinkLocal(ip: Ip6Words): number | undefined {
  if (ip[0] !== 0xfe80_0000 || ip[1] !== 0) return undefined;
  if ((ip[2] & 0xff) !== 0xff || ip[3] >>> 24 !== 0xfe) return undefined;
  const high = (ip[2] >>> 16) ^ 0x0200;
  const low = ((((ip[2] >>> 8) & 0xff) << 24) | (ip[3] & 0xff_ffff)) >>> 0;
  return high * TWO_32 + low;
}

/** ff02::1:ffXX:XXXX of the address (RFC 4291 section 2.7.1). */
export function solicitedNode(ip: Ip6Words): Ip6Words {
  return [0xff02_0000, 0, 1, (0xff00_0000 | (ip[3] & 0xff_ffff)) >>> 0];
}

/** The Ethernet group address of an IP multicast address (RFC 1112 section 6.4, RFC 2464 section 7). */
export function macOfMulticast(ip: IpNumber): number {
  if (typeof ip === 'number') return 0x0100_5e00_0000 + (ip & 0x7f_ffff);
  return 0x3333_0000_0000 + ip[3];
}

/** True when the locally administered bit is set. */
export function isLocalMac(mac: number): boolean {
  return Math.floor(mac / MAC_LOCAL) % 2 === 1;
}

function byteAt(bytes: Uint8Array, index: number): number {
  const value = bytes[index];
  if (value === undefined) {
    throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `no byte ${index} in ${bytes.length} bytes`);
  }
  return value;
}

function wordAt(bytes: Uint8Array, index: number): number {
  return (
    ((byteAt(bytes, index) << 24) |
      (byteAt(bytes, index + 1) << 16) |
      (byteAt(bytes, index + 2) << 8) |
      byteAt(bytes, index + 3)) >>>
    0
  );
}

function badAddress(what: string, text: string): MapwireError {
  return new MapwireError('ERR_MW_INVALID_ARGUMENT', `${JSON.stringify(text)} is no ${what}`);
}
