/** Words and numbers of the packet builder (packet.ts). */

export interface Layer {
  readonly name: string;
  readonly words: readonly string[];
  readonly fields: ReadonlyMap<string, string>;
}

export function parseLayer(text: string): Layer {
  const [name, ...rest] = text.trim().split(/\s+/);
  const fields = new Map<string, string>();
  const words: string[] = [];
  for (const word of rest) {
    const equals = word.indexOf('=');
    if (equals > 0) fields.set(word.slice(0, equals), word.slice(equals + 1));
    else words.push(word);
  }
  return { name: name ?? '', words, fields };
}

/** The first word as a number. */
export function count(layer: Layer): number {
  return integer(layer.words[0] ?? '');
}

export function integer(text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isInteger(value)) throw new Error(`no number: '${text}'`);
  return value;
}

export function number(layer: Layer, key: string, otherwise: number): number {
  const text = layer.fields.get(key);
  return text === undefined ? otherwise : integer(text);
}

export function be16(value: number): Uint8Array {
  return Uint8Array.of((value >>> 8) & 0xff, value & 0xff);
}

export function be24(value: number): Uint8Array {
  return Uint8Array.of((value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

export function be32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >>> 8) & 0xff;
  bytes[at + 1] = value & 0xff;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/[\s:]/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`no hex bytes: ${text}`);
  return Uint8Array.from(digits.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** RFC 1071, over whole bytes. */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? bytes[i]! * 256 : bytes[i]!;
  while (sum > 0xffff) sum = Math.floor(sum / 0x10000) + (sum % 0x10000);
  return 0xffff - sum;
}
