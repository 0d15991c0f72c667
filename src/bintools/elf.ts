import { MapwireError } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';

/** `e_machine` of eBPF objects (include/uapi/linux/elf-em.h). */
export const EM_BPF = 247;

const ELF_HEADER_SIZE = 64;
const SECTION_HEADER_SIZE = 64;
const SYMBOL_SIZE = 24;
const REL_SIZE = 16;

const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;
const SHT_REL = 9;

export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** `sh_type`: 1 PROGBITS, 2 SYMTAB, 3 STRTAB, 8 NOBITS, 9 REL. */
  readonly type: number;
  readonly writable: boolean;
  readonly allocated: boolean;
  readonly executable: boolean;
  /** Offset in the file, in bytes. */
  readonly offset: number;
  /** In bytes; those of a NOBITS section are not in the file. */
  readonly size: number;
  readonly link: number;
  readonly info: number;
  /** The content, a view into the file; empty for NOBITS. */
  readonly bytes: Uint8Array;
}

export interface ElfSymbol {
  readonly name: string;
  /** Offset in its section, in bytes. */
  readonly value: number;
  readonly size: number;
  readonly type: 'none' | 'object' | 'func' | 'section' | 'file' | 'other';
  readonly binding: 'local' | 'global' | 'weak' | 'other';
  /** Index of the section it is defined in; 0: undefined here; 0xff00 and above: none. */
  readonly section: number;
}

export interface ElfRelocation {
  /** Where, as an offset in the section that is relocated. */
  readonly offset: number;
  /** `R_BPF_*`: 1 64_64, 2 64_ABS64, 3 64_ABS32, 4 64_NODYLD32, 10 64_32. */
  readonly type: number;
  readonly symbol: ElfSymbol;
}

export interface ElfObject {
  /** `e_type`: 1 is a relocatable object. */
  readonly type: number;
  readonly machine: number;
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
}

/**
 * Reads a 64-bit little-endian ELF file (System V ABI, gABI 4.1). Nothing is copied: sections are views of `bytes`.
 * Throws ERR_MW_ELF for anything else and for any offset, size or index outside the file.
 */
export function readElf(bytes: Uint8Array): ElfObject {
  const file = new ByteReader(bytes, 'ERR_MW_ELF', 'ELF file');
  if (bytes.length < 16 || file.u32(0) !== 0x464c457f) {
    throw new MapwireError('ERR_MW_ELF', 'not an ELF file: it does not begin with the ELF magic', {
      hint: 'expected is an object made by clang -target bpf, e.g. dist/bpf/xdp.bpf.o',
    });
  }
  if (file.u8(4) !== 2 || file.u8(5) !== 1) {
    throw new MapwireError('ERR_MW_ELF', 'not a 64-bit little-endian ELF file', {
      hint: 'compile with -target bpfel on a big-endian machine',
    });
  }
  if (bytes.length < ELF_HEADER_SIZE) throw file.fail('shorter than its header');
  const sections = readSections(file);
  return { type: file.u16(16), machine: file.u16(18), sections, symbols: readSymbols(sections) };
}

/** The first section of that name. */
export function findSection(elf: ElfObject, name: string): ElfSection | undefined {
  return elf.sections.find((section) => section.name === name);
}

/** The relocations that apply to a section, in file order. Throws ERR_MW_ELF when they are damaged. */
export function relocationsOf(elf: ElfObject, section: ElfSection): ElfRelocation[] {
  const relocations: ElfRelocation[] = [];
  for (const table of elf.sections) {
    if (table.type !== SHT_REL || table.info !== section.index) continue;
    const reader = new ByteReader(table.bytes, 'ERR_MW_ELF', `relocations of section '${section.name}'`);
    if (reader.length % REL_SIZE !== 0) throw reader.fail(`${reader.length} bytes are no whole number of entries`);
    for (let at = 0; at < reader.length; at += REL_SIZE) {
      const symbol = elf.symbols[reader.u32(at + 12)];
      if (!symbol)
        throw reader.fail(`entry ${at / REL_SIZE} names symbol ${reader.u32(at + 12)}, which does not exist`);
      relocations.push({ offset: reader.u64(at), type: reader.u32(at + 8), symbol });
    }
  }
  return relocations;
}

function readSections(file: ByteReader): ElfSection[] {
  const tableOffset = file.u64(40);
  const entrySize = file.u16(58);
  const count = file.u16(60);
  const namesIndex = file.u16(62);
  if (tableOffset === 0 || count === 0) throw file.fail('it has no section headers');
  if (entrySize !== SECTION_HEADER_SIZE) throw file.fail(`section headers of ${entrySize} bytes are not ELF64's`);
  const headers: Omit<ElfSection, 'name'>[] = [];
  const nameOffsets: number[] = [];
  for (let index = 0; index < count; index++) {
    const at = tableOffset + index * SECTION_HEADER_SIZE;
    const type = file.u32(at + 4);
    const flags = file.u32(at + 8);
    const offset = file.u64(at + 24);
    const size = file.u64(at + 32);
    const held = index === 0 || type === SHT_NOBITS ? 0 : size;
    nameOffsets.push(file.u32(at));
    headers.push({
      index,
      type,
      writable: (flags & 1) !== 0,
      allocated: (flags & 2) !== 0,
      executable: (flags & 4) !== 0,
      offset,
      size,
      link: file.u32(at + 40),
      info: file.u32(at + 44),
      bytes: held === 0 ? new Uint8Array(0) : file.slice(offset, held),
    });
  }
  const names = headers[namesIndex];
  if (!names || namesIndex === 0) throw file.fail(`section ${namesIndex} of names does not exist`);
  const strings = new ByteReader(names.bytes, 'ERR_MW_ELF', 'section names');
  return headers.map((header, index) => ({
    ...header,
    name: index === 0 ? '' : strings.string(nameOffsets[index] ?? 0),
  }));
}

const SYMBOL_TYPES = ['none', 'object', 'func', 'section', 'file'] as const;
const SYMBOL_BINDINGS = ['local', 'global', 'weak'] as const;

function readSymbols(sections: readonly ElfSection[]): ElfSymbol[] {
  const table = sections.find((section) => section.type === SHT_SYMTAB);
  if (!table) return [];
  const reader = new ByteReader(table.bytes, 'ERR_MW_ELF', 'symbol table');
  if (reader.length % SYMBOL_SIZE !== 0) throw reader.fail(`${reader.length} bytes are no whole number of symbols`);
  const stringTable = sections[table.link];
  if (!stringTable) throw reader.fail(`its string table is section ${table.link}, which does not exist`);
  const strings = new ByteReader(stringTable.bytes, 'ERR_MW_ELF', 'symbol names');
  const symbols: ElfSymbol[] = [];
  for (let at = 0; at < reader.length; at += SYMBOL_SIZE) {
    const nameOffset = reader.u32(at);
    const info = reader.u8(at + 4);
    const section = reader.u16(at + 6);
    if (section >= sections.length && section < 0xff00) {
      throw reader.fail(`symbol ${at / SYMBOL_SIZE} is in section ${section}, which does not exist`);
    }
    symbols.push({
      name: nameOffset === 0 ? '' : strings.string(nameOffset),
      value: reader.u64(at + 8),
      size: reader.u64(at + 16),
      type: SYMBOL_TYPES[info & 15] ?? 'other',
      binding: SYMBOL_BINDINGS[info >> 4] ?? 'other',
      section,
    });
  }
  return symbols;
}
