/** Generated codecs: round trips, padding, byte order, ranges; and the ones made at run time agree with them. */

import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findType } from '../../../src/bintools/btf.ts';
import { type Codec, INT_CODECS } from '../../../src/bintools/codec.ts';
import { layoutHash, objectLayoutHash } from '../../../src/bintools/layout-hash.ts';
import { readObject } from '../../../src/bintools/object.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { shapeOf } from '../../../src/bintools/shape.ts';
import { codecOf, type Value } from '../../../src/bintools/shape-codec.ts';
import * as layout from '../../../src/generated/layout.ts';
import { withCompiled } from './compiled.ts';
import { expectRefusal } from './mapwire-error.ts';
import { arbitraryValue, paddingOf } from './values.ts';

/** Every codec of src/generated/ and of the integers, by its C name. */
const CODECS = new Map<string, Codec<Value>>(
  [...Object.values(layout), ...Object.values(INT_CODECS)]
    .filter((thing) => typeof thing === 'object' && 'encode' in thing && 'shape' in thing)
    .map((codec) => [(codec as { name: string }).name, codec as unknown as Codec<Value>]),
);
const NAMES = [...CODECS.keys()];

function codec(name: string): Codec<Value> {
  return CODECS.get(name) ?? expect.fail(`no codec ${name}`);
}

describe('every codec', () => {
  test('of the maps and constants is there', () => {
    for (const name of ['mw_ip4_key', 'mw_port', 'mw_locator', 'mw_flood_target', 'mw_config', 'bpf_devmap_val']) {
      expect(NAMES).toContain(`struct ${name}`);
    }
  });

  test.each(NAMES)('%s: what is encoded is decoded', (name) => {
    const { shape, size, encode, decode } = codec(name);
    fc.assert(
      fc.property(arbitraryValue(shape), (value) => {
        const bytes = encode(value);
        expect(bytes.length).toBe(size);
        expect(decode(bytes)).toEqual(value);
      }),
    );
  });

  test.each(NAMES)('%s: padding is written as zero, nothing outside is touched', (name) => {
    const { shape, size, encode, write, read } = codec(name);
    const padding = paddingOf(shape);
    fc.assert(
      fc.property(arbitraryValue(shape), fc.nat(9), fc.nat(9), fc.nat(255), (value, before, after, dirt) => {
        const bytes = new Uint8Array(before + size + after).fill(dirt);
        // a view into the middle of a buffer, as batches use
        const view = new DataView(bytes.buffer, before === 0 ? 0 : 1);
        const at = before === 0 ? 0 : before - 1;
        write(view, at, value);
        expect(bytes.subarray(before, before + size)).toEqual(encode(value));
        for (const offset of padding) expect(bytes[before + offset]).toBe(0);
        expect(bytes.subarray(0, before).every((byte) => byte === dirt)).toBe(true);
        expect(bytes.subarray(before + size).every((byte) => byte === dirt)).toBe(true);
        expect(read(view, at)).toEqual(value);
      }),
    );
  });

  test.each(NAMES.filter((name) => name !== 'bool'))('%s: any bytes are a value, only padding is lost', (name) => {
    const { shape, size, encode, decode } = codec(name);
    const padding = new Set(paddingOf(shape));
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (bytes) => {
        const kept = bytes.map((byte, index) => (padding.has(index) ? 0 : byte));
        expect(encode(decode(bytes))).toEqual(kept);
      }),
    );
  });

  test.each(NAMES)('%s: the codec made at run time gives the same bytes', (name) => {
    const { shape, encode } = codec(name);
    const made = codecOf(shape);
    fc.assert(
      fc.property(arbitraryValue(shape), (value) => {
        const bytes = encode(value);
        expect(made.encode(value)).toEqual(bytes);
        expect(made.decode(bytes)).toEqual(value);
      }),
    );
  });

  test.each(NAMES)('%s: other lengths are refused', (name) => {
    const { size, decode } = codec(name);
    expectRefusal(() => decode(new Uint8Array(size + 1)), 'ERR_MW_INVALID_ARGUMENT', /bytes, not/);
    expectRefusal(() => decode(new Uint8Array(size - 1)), 'ERR_MW_INVALID_ARGUMENT', /bytes, not/);
  });
});

describe('bytes', () => {
  test('network order where the type says so, little-endian elsewhere', () => {
    expect([...layout.ip4Key.encode({ network: 0x01020304, addr: 0xc0000201 })]).toEqual([4, 3, 2, 1, 192, 0, 2, 1]);
    expect([...INT_CODECS.be16.encode(0x1234)]).toEqual([0x12, 0x34]);
    expect([...INT_CODECS.i64.encode(-2n)]).toEqual([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    const mac = new Uint8Array([2, 0, 0, 0, 0, 1]);
    expect([...layout.macKey.encode({ network: 7, mac })]).toEqual([7, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0]);
  });

  test('missing elements of an array are zero', () => {
    const locator = { node: 1, segment: 2, priority: 3, weight: 4, flags: 5 };
    const value = { port: 1, network: 2, mac: new Uint8Array(6), flags: 0, former: 0, sequence: 0, formerUntil: 0n };
    const dirty = new Uint8Array(layout.port.size).fill(0xff);
    layout.port.write(new DataView(dirty.buffer), 0, { ...value, at: [locator] });
    const none = { node: 0, segment: 0, priority: 0, weight: 0, flags: 0 };
    expect(layout.port.decode(dirty).at).toEqual([locator, none, none, none]);
  });
});

describe('refused is', () => {
  const key = { network: 1, mac: new Uint8Array(6) };
  test.each<[string, () => unknown, RegExp]>([
    ['a number too large', () => layout.ip4Key.encode({ network: 2 ** 32, addr: 0 }), /mw_ip4_key.network: 4294967296/],
    ['a negative one', () => layout.ip4Key.encode({ network: -1, addr: 0 }), /mw_ip4_key.network: -1 is no u32/],
    ['a fraction', () => layout.ip4Key.encode({ network: 1, addr: 0.5 }), /mw_ip4_key.addr_be: 0.5 is no be32/],
    ['no number', () => layout.ip4Key.encode({ network: 1, addr: undefined as never }), /addr_be: undefined/],
    ['NaN', () => layout.ip4Key.encode({ network: Number.NaN, addr: 1 }), /network: NaN/],
    ['too few bytes', () => layout.macKey.encode({ ...key, mac: new Uint8Array(5) }), /mac: needs 6 bytes, not 5/],
    [
      'text for bytes',
      () => layout.macKey.encode({ ...key, mac: 'abcdef' as never }),
      /mac: needs 6 bytes, not abcdef/,
    ],
    ['a number for 64 bits', () => layout.counter.encode({ packets: 1 as never, bytes: 1n }), /packets: 1 is no u64/],
    [
      'more than 64 bits',
      () => layout.counter.encode({ packets: 1n << 64n, bytes: 1n }),
      /packets: 18446744073709551616n/,
    ],
    ['a wrong i8', () => INT_CODECS.i8.encode(128), /128 is no i8/],
    ['a wrong i64', () => INT_CODECS.i64.encode(1n << 63n), /is no i64/],
    ['a wrong bool', () => INT_CODECS.bool.encode(1 as never), /1 is no bool/],
    [
      'an array too long',
      () => layout.sourceMacValue.encode({ ...key, port: [1, 2, 3, 4, 5] }),
      /mw_source_mac_value.port: takes at most 4 elements, not 5/,
    ],
    [
      'a wrong element',
      () => layout.sourceMacValue.encode({ ...key, port: [1, -2] }),
      /mw_source_mac_value.port: -2 is no u32/,
    ],
  ])('%s', (_title, attempt, message) => {
    expectRefusal(attempt, 'ERR_MW_INVALID_ARGUMENT', message);
  });
});

describe('enums', () => {
  test('give numbers and names', () => {
    expect(layout.Reason.GUARD_MAC).toBe(18);
    expect(layout.reasonName(layout.Reason.GUARD_MAC)).toBe('guard-mac');
    expect(layout.reasonName(63)).toBe('unknown-63');
    expect([...layout.REASON_NAMES.values()]).not.toContain('count');
    expect(layout.linkFlagsNames(layout.LinkFlags.ROUTER | layout.LinkFlags.HAS_ALLOW)).toEqual([
      'has-allow',
      'router',
    ]);
    expect(layout.LAYOUT_VERSION).toBe(5);
    expect(layout.META_MAGIC).toBe(0x4d415057);
  });
});

describe('the layout hash', () => {
  test('is the same from the generated table and from the object', async () => {
    expect(layoutHash(Object.values(layout.MAPS))).toBe(layout.LAYOUT_HASH);
    await withCompiled('#include "xdp.bpf.c"\n', [join(packageRoot(), 'bpf')], ({ bytes }) => {
      expect(objectLayoutHash(readObject(bytes))).toBe(layout.LAYOUT_HASH);
    });
  });

  test('changes with a field, not with the size in entries', () => {
    const { port, ...others } = layout.MAPS;
    const larger = [...Object.values(others), { ...port, maxEntries: 1 }];
    expect(layoutHash(larger)).toBe(layout.LAYOUT_HASH);
    expect(layoutHash([...Object.values(others), { ...port, value: layout.node }])).not.toBe(layout.LAYOUT_HASH);
    expect(layoutHash(Object.values(others))).not.toBe(layout.LAYOUT_HASH);
  });
});

describe('codecs made at run time', () => {
  test('hold what the generated ones of this project have no need of', async () => {
    const text = `#include <linux/bpf.h>
      typedef _Bool flag_t;
      enum colour { RED, GREEN = 2 };
      enum wide { LARGE = 0x123456789abcdef0ull };
      struct inner { __s16 a; __s8 b; flag_t c; };
      struct value {
        struct inner grid[2][3];
        enum colour colour;
        __s32 number;
        enum wide wide;
        __s64 signed_wide;
        __be64 wide_be;
        __u8 macs[2][6];
        __be16 port_be;
        __u16 pad;
      } value;`;
    await withCompiled(text, [], ({ bytes }) => {
      const { btf } = readObject(bytes);
      const shape = shapeOf(btf, findType(btf, 'struct', 'value')?.id ?? 0);
      const made = codecOf(shape);
      fc.assert(
        fc.property(arbitraryValue(shape), (value) => {
          expect(made.decode(made.encode(value))).toEqual(value);
        }),
      );
      const zero = made.decode(new Uint8Array(made.size)) as Readonly<Record<string, Value>>;
      expect(made.encode({ ...zero, wide: 0x123456789abcdef0n, port: 0x1234 }).slice(-4)).toEqual(
        new Uint8Array([0x12, 0x34, 0, 0]),
      );
    });
  });
});
