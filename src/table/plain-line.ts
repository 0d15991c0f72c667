/**
 * The usual line of a big table, read from its bytes: a port with an id, a network, a MAC, at most one address of each family and one
 * node, all of it plain text. Whatever is not exactly that is for the full reader, which says what is wrong with it, if anything is.
 */

import { type Ip6Words, isGroupMac, parseIpv6 } from './address.ts';
import type { PlainPort } from './port-store.ts';
import { MAX_ID_LENGTH, unusableIp } from './row.ts';

/** Characters of a plain id (PLAIN_ID): 1. */
const PLAIN = new Uint8Array(256);
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@/+-')
  PLAIN[char.charCodeAt(0)] = 1;

/** Value of a hex digit by its code; 255: none. */
const DIGIT = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) {
  DIGIT[i.toString(16).charCodeAt(0)] = i;
  DIGIT[i.toString(16).toUpperCase().charCodeAt(0)] = i;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const DOT = 0x2e;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const SPACE = 0x20;
const TAB = 0x09;
const RETURN = 0x0d;

const KEYS = ['port', 'network', 'mac', 'ips', 'at'] as const;
type Key = (typeof KEYS)[number];
const KEY_BYTES = KEYS.map((key) => Buffer.from(key));
const NODE_KEY = [Buffer.from('node')];
/** What a port has to have. */
const NEEDED =
  (1 << KEYS.indexOf('port')) | (1 << KEYS.indexOf('network')) | (1 << KEYS.indexOf('mac')) | (1 << KEYS.indexOf('at'));

const NAMES = 4096;

/** Texts of names that come again and again, found by their bytes. */
class NameCache {
  readonly #bytes: (Uint8Array | undefined)[] = new Array(NAMES).fill(undefined);
  readonly #texts: string[] = new Array(NAMES).fill('');

  get(bytes: Buffer, start: number, end: number): string {
    let hash = end - start;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
    const at = (hash ^ (hash >>> 12)) & (NAMES - 1);
    const known = this.#bytes[at];
    if (known !== undefined && sameBytes(known, bytes, start, end)) return this.#texts[at]!;
    const text = bytes.toString('latin1', start, end);
    this.#bytes[at] = Uint8Array.prototype.slice.call(bytes, start, end);
    this.#texts[at] = text;
    return text;
  }
}

function sameBytes(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}

export class PlainLine implements PlainPort {
  bytes: Buffer = Buffer.alloc(0);
  idStart = 0;
  idEnd = 0;
  network = '';
  mac = 0;
  ip4 = -1;
  ip6: Ip6Words | undefined;
  node = '';
  readonly #names = new NameCache();
  #at = 0;
  #end = 0;
  #textStart = 0;

  /** Reads a line. False: it is not the usual one, and what is in the fields means nothing. */
  parse(bytes: Buffer, start: number, end: number): boolean {
    this.bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.ip4 = -1;
    this.ip6 = undefined;
    if (!this.#skip(OPEN)) return false;
    let seen = 0;
    for (;;) {
      const key = this.#key(KEY_BYTES);
      if (key < 0 || (seen & (1 << key)) !== 0) return false;
      seen |= 1 << key;
      if (!this.#value(KEYS[key]!)) return false;
      const next = this.#next();
      if (next === COMMA) continue;
      if (next !== CLOSE || (seen & NEEDED) !== NEEDED) return false;
      return this.#isAtEnd();
    }
  }

  #value(key: Key): boolean {
    switch (key) {
      case 'port': {
        const end = this.#plainText();
        this.idStart = this.#textStart;
        this.idEnd = end;
        return end > 0;
      }
      case 'network': {
        const end = this.#plainText();
        if (end <= 0) return false;
        this.network = this.#names.get(this.bytes, this.#textStart, end);
        return true;
      }
      case 'mac':
        return this.#macText();
      case 'ips':
        return this.#addresses();
      case 'at': {
        if (!this.#skip(OPEN) || this.#key(NODE_KEY) < 0) return false;
        const end = this.#plainText();
        if (end <= 0 || !this.#skip(CLOSE)) return false;
        this.node = this.#names.get(this.bytes, this.#textStart, end);
        return true;
      }
    }
  }

  /** The next character that is no space. */
  #next(): number {
    const { bytes } = this;
    while (this.#at < this.#end) {
      const code = bytes[this.#at++]!;
      if (code !== SPACE && code !== TAB) return code;
    }
    return -1;
  }

  #skip(code: number): boolean {
    return this.#next() === code;
  }

  /** Which of the keys comes, with the colon after it; -1: none of them. */
  #key(keys: readonly Uint8Array[]): number {
    if (!this.#skip(QUOTE)) return -1;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      const end = this.#at + key.length;
      if (end >= this.#end || this.bytes[end] !== QUOTE || !sameBytes(key, this.bytes, this.#at, end)) continue;
      this.#at = end + 1;
      return this.#skip(COLON) ? i : -1;
    }
    return -1;
  }

  /** A text of plain characters: where it ends, and where it begins in `#textStart`. 0: it is not one. */
  #plainText(): number {
    if (!this.#skip(QUOTE)) return 0;
    const { bytes } = this;
    const start = this.#at;
    let at = start;
    while (at < this.#end && PLAIN[bytes[at]!] === 1) at++;
    if (at === start || at >= this.#end || bytes[at] !== QUOTE || at - start > MAX_ID_LENGTH) return 0;
    this.#textStart = start;
    this.#at = at + 1;
    return at;
  }

  #macText(): boolean {
    if (!this.#skip(QUOTE)) return false;
    const { bytes } = this;
    const start = this.#at;
    if (start + 17 >= this.#end || bytes[start + 17] !== QUOTE) return false;
    let value = 0;
    for (let i = start; i < start + 17; i += 3) {
      const high = DIGIT[bytes[i]!]!;
      const low = DIGIT[bytes[i + 1]!]!;
      if ((high | low) > 15 || (i < start + 15 && bytes[i + 2] !== COLON)) return false;
      value = value * 256 + high * 16 + low;
    }
    this.#at = start + 18;
    this.mac = value;
    return value !== 0 && !isGroupMac(value);
  }

  /** At most one of each family, IPv4 first. */
  #addresses(): boolean {
    if (!this.#skip(OPEN_LIST)) return false;
    for (let first = true; ; first = false) {
      const code = this.#next();
      if (code === CLOSE_LIST) return first;
      if (code !== QUOTE) return false;
      this.#at--;
      const end = this.#plainText();
      if (end <= 0 || !this.#address(this.#textStart, end)) return false;
      const next = this.#next();
      if (next === CLOSE_LIST) return true;
      if (next !== COMMA) return false;
      // A comma before the end is no list.
      if (this.#at < this.#end && this.bytes[this.#at] === CLOSE_LIST) return false;
    }
  }

  #address(start: number, end: number): boolean {
    const ip = this.#ipv4(start, end);
    if (ip >= 0) {
      if (this.ip4 >= 0 || this.ip6 !== undefined || unusableIp(ip) !== undefined) return false;
      this.ip4 = ip;
      return true;
    }
    const words = parseIpv6(this.bytes.toString('latin1', start, end));
    if (words === undefined || this.ip6 !== undefined || unusableIp(words) !== undefined) return false;
    this.ip6 = words;
    return true;
  }

  /** -1: it is none. */
  #ipv4(start: number, end: number): number {
    const { bytes } = this;
    let value = 0;
    let octet = 0;
    let digits = 0;
    let dots = 0;
    for (let i = start; i < end; i++) {
      const code = bytes[i]!;
      if (code === DOT) {
        if (digits === 0 || dots === 3) return -1;
        value = value * 256 + octet;
        octet = 0;
        digits = 0;
        dots++;
        continue;
      }
      const digit = code - 0x30;
      if (digit < 0 || digit > 9 || (digits > 0 && octet === 0)) return -1;
      octet = octet * 10 + digit;
      digits++;
      if (octet > 255) return -1;
    }
    return dots !== 3 || digits === 0 ? -1 : value * 256 + octet;
  }

  #isAtEnd(): boolean {
    const { bytes } = this;
    let end = this.#end;
    if (end > this.#at && bytes[end - 1] === RETURN) end--;
    for (let i = this.#at; i < end; i++) if (bytes[i] !== SPACE && bytes[i] !== TAB) return false;
    return true;
  }
}
