import { MapwireError } from '../errors.ts';
import { type Btf, resolve } from './btf.ts';
import { type CStructLayout, sizeOf, structLayout, typeName } from './c-layout.ts';
import type { ElfSymbol } from './elf.ts';
import { keyShape, objectLayoutHash, valueShape } from './layout-hash.ts';
import type { MapDefinition } from './map-definitions.ts';
import { mapFlagNames } from './map-types.ts';
import { type ObjectFile, type ProgramSymbol, readObject } from './object.ts';

/** All that `mapwire inspect` shows of an object, as plain data (sizes and offsets in bytes). */
export interface ObjectDescription {
  readonly license: string | null;
  /** Of all maps' layout; null when some key or value has no representation. */
  readonly layoutHash: string | null;
  readonly sections: readonly {
    readonly name: string;
    readonly type: string;
    /** As readelf writes them: W writable, A allocated, X executable. */
    readonly flags: string;
    readonly offset: number;
    readonly size: number;
  }[];
  readonly programs: readonly ProgramSymbol[];
  readonly maps: readonly MapDescription[];
  readonly variables: readonly {
    readonly name: string;
    readonly section: string;
    readonly type: string;
    readonly offset: number;
    readonly size: number;
  }[];
  /** Structs and unions in maps and variables, those that others contain first. */
  readonly structs: readonly CStructLayout[];
  /** Enums in maps and variables. */
  readonly enums: readonly {
    readonly name: string;
    readonly size: number;
    /** As text, for 64 bits do not fit JSON's numbers. */
    readonly values: readonly { readonly name: string; readonly value: string }[];
  }[];
  readonly symbols: readonly {
    readonly name: string;
    readonly type: ElfSymbol['type'];
    readonly binding: ElfSymbol['binding'];
    readonly section: string;
    readonly value: number;
    readonly size: number;
  }[];
  /** Number of BTF types. */
  readonly btfTypes: number;
  /** Keys and values for which no codec can be generated, and why. */
  readonly refusals: readonly string[];
}

export interface MapDescription {
  readonly name: string;
  readonly type: string;
  readonly flags: readonly string[];
  readonly maxEntries: number;
  readonly keySize: number;
  readonly valueSize: number;
  /** In C; null when only a size is declared. */
  readonly key: string | null;
  readonly value: string | null;
  readonly pinned: boolean;
  readonly inner: MapDescription | null;
}

/**
 * Reads an object and says what is in it. Needs neither root nor a kernel. Throws ERR_MW_ELF or ERR_MW_BTF when it is
 * no readable eBPF object; a layout that no codec can represent is described, not refused.
 */
export function describeObject(bytes: Uint8Array): ObjectDescription {
  const object = readObject(bytes);
  const { elf, btf } = object;
  const types = new TypeCollector(btf);
  for (const map of object.maps) {
    for (const part of map.inner ? [map, map.inner] : [map]) {
      if (part.keyType !== undefined) types.add(part.keyType);
      if (part.valueType !== undefined) types.add(part.valueType);
    }
  }
  for (const variable of object.variables) types.add(variable.type);
  const refusals = refusalsOf(object);
  return {
    license: object.license ?? null,
    layoutHash: refusals.length > 0 ? null : objectLayoutHash(object),
    sections: elf.sections
      .filter((section) => section.index > 0)
      .map(({ name, type, writable, allocated, executable, offset, size }) => ({
        name,
        type: SECTION_TYPES[type] ?? `0x${type.toString(16)}`,
        flags: (writable ? 'W' : '') + (allocated ? 'A' : '') + (executable ? 'X' : ''),
        offset,
        size,
      })),
    programs: object.programs,
    maps: object.maps.map((map) => describeMap(btf, map)),
    variables: object.variables.map(({ name, section, type, offset, size }) => ({
      name,
      section,
      type: typeName(btf, type),
      offset,
      size,
    })),
    structs: [...types.structs.values()],
    enums: [...types.enums.values()],
    symbols: elf.symbols
      .filter((symbol) => symbol.name !== '')
      .map(({ name, type, binding, section, value, size }) => ({
        name,
        type,
        binding,
        section: elf.sections[section]?.name ?? '',
        value,
        size,
      })),
    btfTypes: btf.types.length - 1,
    refusals,
  };
}

const SECTION_TYPES: Readonly<Record<number, string>> = {
  1: 'PROGBITS',
  2: 'SYMTAB',
  3: 'STRTAB',
  4: 'RELA',
  7: 'NOTE',
  8: 'NOBITS',
  9: 'REL',
  1879002115: 'LLVM_ADDRSIG',
};

function describeMap(btf: Btf, map: MapDefinition): MapDescription {
  return {
    name: map.name,
    type: map.type,
    flags: mapFlagNames(map.flags),
    maxEntries: map.maxEntries,
    keySize: map.keySize,
    valueSize: map.valueSize,
    key: map.keyType === undefined ? null : typeName(btf, map.keyType),
    value: map.valueType === undefined ? null : typeName(btf, map.valueType),
    pinned: map.pinning === 1,
    inner: map.inner ? describeMap(btf, map.inner) : null,
  };
}

function refusalsOf(object: ObjectFile): string[] {
  const refusals = new Set<string>();
  const attempt = (shape: () => unknown): void => {
    try {
      shape();
    } catch (error) {
      if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_LAYOUT') throw error;
      refusals.add(error.message);
    }
  };
  for (const map of object.maps) {
    for (const part of map.inner ? [map, map.inner] : [map]) {
      attempt(() => keyShape(object, part));
      attempt(() => valueShape(object, part));
    }
  }
  return [...refusals];
}

/** Follows types by value, pointers not. */
class TypeCollector {
  readonly structs = new Map<number, CStructLayout>();
  readonly enums = new Map<number, ObjectDescription['enums'][number]>();
  readonly #btf: Btf;
  readonly #seen = new Set<number>();

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  add(id: number): void {
    const type = resolve(this.#btf, id);
    if (this.#seen.has(type.id)) return;
    this.#seen.add(type.id);
    // refuses what is nested without end, before this goes into it
    sizeOf(this.#btf, id);
    switch (type.kind) {
      case 'array':
        this.add(type.element);
        break;
      case 'struct':
      case 'union': {
        const layout = structLayout(this.#btf, type);
        for (const member of type.members) this.add(member.type);
        this.structs.set(type.id, layout);
        break;
      }
      case 'enum':
      case 'enum64':
        this.enums.set(type.id, {
          name: type.name,
          size: type.size,
          values: type.values.map(({ name, value }) => ({ name, value: String(value) })),
        });
        break;
      default:
        break;
    }
  }
}
