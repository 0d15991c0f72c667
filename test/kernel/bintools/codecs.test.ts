/**
 * The codecs against the kernel: what they encode is written into real maps, and bpftool, which reads the kernel's BTF,
 * must show each field with the value that was encoded.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readBtf } from '../../../src/bintools/btf.ts';
import type { Codec } from '../../../src/bintools/codec.ts';
import { compareMap } from '../../../src/bintools/compare-map.ts';
import { mapTypeHasBtf } from '../../../src/bintools/map-types.ts';
import { fieldName } from '../../../src/bintools/names.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import type { IntShape, Shape } from '../../../src/bintools/shape.ts';
import { codecOf, type Value } from '../../../src/bintools/shape-codec.ts';
import { bpftool } from '../../../src/bintools/tools/bpftool.ts';
import { run } from '../../../src/bintools/tools/tool.ts';
import { LAYOUT_VERSION, MAPS } from '../../../src/generated/layout.ts';
import { Btf, RawMap } from '../../../src/libbpf/index.ts';
import { withCompiled } from '../../unit/bintools/compiled.ts';
import { arbitraryValue } from '../../unit/bintools/values.ts';

const PINS = `/sys/fs/bpf/mwbin-${process.pid}`;
const SEED = Number(process.env.MW_TEST_SEED ?? Date.now() % 1_000_000);
const SAMPLES = 5;

const SOURCE = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "maps.h"
#include "btf_anchor.h"
SEC("xdp") int nothing(struct xdp_md *ctx) { return XDP_PASS; }
char LICENSE[] SEC("license") = "Dual BSD/GPL";
`;

const FORMATTED = Object.values(MAPS).filter((map) => mapTypeHasBtf(map.type));

beforeAll(async () => {
  mkdirSync(PINS);
  await withCompiled(SOURCE, [join(packageRoot(), 'bpf')], async ({ file }) => {
    await run(await bpftool(), ['prog', 'load', file, `${PINS}/program`, 'pinmaps', PINS]);
  });
});

afterAll(() => rmSync(PINS, { recursive: true, force: true }));

const hex = (bytes: Uint8Array): string[] => [...bytes].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`);

/** The value as bpftool shows it: C's names, every integer as the CPU (little-endian) reads it, padding as zero. */
function shown(shape: Shape, value: Value): unknown {
  switch (shape.kind) {
    case 'int':
      return asText(shape, value);
    case 'bytes':
      return [...(value as Uint8Array)].map(String);
    case 'array':
      return (value as readonly Value[]).map((element) => shown(shape.element, element));
    case 'struct': {
      const fields = value as Readonly<Record<string, Value>>;
      return Object.fromEntries(
        shape.fields.map((field) => [
          field.name,
          field.padding
            ? shown(field.shape, zero(field.shape))
            : shown(field.shape, fields[fieldName(field.name)] as Value),
        ]),
      );
    }
  }
}

function zero(shape: Shape): Value {
  return codecOf(shape).decode(new Uint8Array(shape.size));
}

function asText(shape: IntShape, value: Value): string {
  if (!shape.type.startsWith('be')) return String(value);
  const hexadecimal = value.toString(16).padStart(shape.size * 2, '0');
  return String(BigInt(`0x${(hexadecimal.match(/../g) ?? []).reverse().join('')}`));
}

/** Numbers as text, so that 64 bits stay exact. */
function parseExact(json: string): unknown {
  return JSON.parse(json.replace(/(?<=[:[,]\s*)-?\d+(?=\s*[,\]}])/g, '"$&"'));
}

interface Entry {
  readonly formatted: {
    readonly key: unknown;
    readonly value?: unknown;
    readonly values?: readonly { readonly cpu: string; readonly value: unknown }[];
  };
}

async function dump(name: string): Promise<readonly Entry[]> {
  return parseExact(await run(await bpftool(), ['-j', 'map', 'dump', 'pinned', join(PINS, name)])) as Entry[];
}

describe(`what the codecs write, bpftool reads (seed ${SEED}, MW_TEST_SEED replays)`, () => {
  test('maps with BTF are most of them', () => expect(FORMATTED.length).toBeGreaterThan(15));

  test.each(FORMATTED)('$name', async (map) => {
    const key = map.key as unknown as Codec<Value>;
    const value = map.value as unknown as Codec<Value>;
    const isArray = map.type.endsWith('array');
    const count = isArray ? Math.min(SAMPLES, map.maxEntries) : SAMPLES;
    const keys: Value[] = isArray
      ? Array.from({ length: count }, (_, index) => index)
      : fc.sample(keyOf(map), { seed: SEED, numRuns: count });
    const values = fc.sample(arbitraryValue(value.shape), { seed: SEED + 1, numRuns: count });
    const expected = new Map<string, readonly [Value, Value]>();
    for (const [index, wanted] of keys.entries()) {
      const entry = [wanted, values[index] as Value] as const;
      expected.set(JSON.stringify(shown(key.shape, wanted)), entry);
      const bytes = { key: hex(key.encode(entry[0])), value: hex(value.encode(entry[1])) };
      const pin = join(PINS, map.name);
      await run(await bpftool(), ['map', 'update', 'pinned', pin, 'key', ...bytes.key, 'value', ...bytes.value]);
    }
    const found = new Map((await dump(map.name)).map(({ formatted }) => [JSON.stringify(formatted.key), formatted]));
    if (!isArray) expect(found.size).toBe(expected.size);
    for (const [text, [, wanted]] of expected) {
      const entry = found.get(text);
      expect(entry, text).toBeDefined();
      const copies = entry?.values?.map((copy) => copy.value) ?? [entry?.value];
      for (const copy of copies) expect(copy).toEqual(shown(value.shape, wanted));
    }
    // and back: what the kernel holds is decoded to what was encoded
    using raw = RawMap.openPinned(join(PINS, map.name));
    for (const [wantedKey, wanted] of expected.values()) {
      const held = raw.lookup(key.encode(wantedKey));
      expect(held && value.decode(held.subarray(0, value.size))).toEqual(wanted);
    }
  });

  /** In an LPM trie the length is bounded and addresses beyond it are ignored: keep it full. */
  function keyOf(map: (typeof FORMATTED)[number]): fc.Arbitrary<Value> {
    const any = arbitraryValue(map.key.shape);
    if (map.type !== 'lpm_trie') return any;
    const bits = (map.key.size - 4) * 8;
    return any.map((key) => ({ ...(key as Readonly<Record<string, Value>>), prefixlen: bits }));
  }
});

describe('maps of the kernel', () => {
  test.each(Object.values(MAPS))('$name is as this build expects it', (map) => {
    using raw = RawMap.openPinned(join(PINS, map.name));
    const { btfId, btfKeyTypeId, btfValueTypeId } = raw.info();
    expect(btfId !== 0).toBe(mapTypeHasBtf(map.type));
    const { typeName: type, keySize, valueSize, flags } = raw;
    const kernel = { type, keySize, valueSize, flags };
    if (btfId === 0) return expect(compareMap(kernel, map)).toEqual([]);
    using loaded = Btf.fromId(btfId);
    const btf = readBtf(loaded.raw());
    const described = { ...kernel, btf, keyTypeId: btfKeyTypeId, valueTypeId: btfValueTypeId };
    expect(compareMap(described, map)).toEqual([]);
    // the same map is not some other one
    expect(compareMap(described, map.name === `mw${LAYOUT_VERSION}_port` ? MAPS.node : MAPS.port)).not.toEqual([]);
  });
});
