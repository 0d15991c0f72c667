import { MapwireError } from '../errors.ts';
import { type Btf, readBtf, typeOf } from './btf.ts';
import { sizeOf } from './c-layout.ts';
import { type ElfObject, type ElfSection, EM_BPF, findSection, readElf } from './elf.ts';
import { type MapDefinition, readMapDefinitions } from './map-definitions.ts';

/** A BPF object file as it lies on disk: nothing of it is loaded. */
export interface ObjectFile {
  readonly elf: ElfObject;
  readonly btf: Btf;
  readonly maps: readonly MapDefinition[];
  readonly programs: readonly ProgramSymbol[];
  readonly variables: readonly VariableSymbol[];
  /** Text of section `license`; the kernel lets only GPL-compatible ones call some helpers. */
  readonly license: string | undefined;
}

export interface ProgramSymbol {
  readonly name: string;
  /** What tells libbpf the program type, e.g. `xdp.frags`; `.text` for a subprogram. */
  readonly section: string;
  /** Offset in the section, in bytes. */
  readonly offset: number;
  /** Length in instruction slots of 8 bytes; a 64-bit load takes two. Before linking: without subprograms. */
  readonly instructions: number;
  /** Called by programs of other sections, not loaded for itself. */
  readonly subprogram: boolean;
}

/** A global variable: `.rodata` ones are set before load, the others are maps while the program lives. */
export interface VariableSymbol {
  readonly name: string;
  readonly section: string;
  /** Offset in the section, in bytes. */
  readonly offset: number;
  readonly size: number;
  /** BTF id. */
  readonly type: number;
}

const INSTRUCTION_SIZE = 8;

/** Of a section without content in the file its header may say any size. */
const MAX_VARIABLES = 1 << 24;

/**
 * Reads a BPF object. Throws ERR_MW_ELF for what is no ELF64 little-endian eBPF object, ERR_MW_BTF for missing or
 * damaged BTF or map definitions.
 */
export function readObject(bytes: Uint8Array): ObjectFile {
  const elf = readElf(bytes);
  if (elf.machine !== EM_BPF) {
    throw new MapwireError('ERR_MW_ELF', `an ELF file for machine ${elf.machine}, not for eBPF (${EM_BPF})`, {
      hint: 'compile with clang -target bpf',
    });
  }
  const btfSection = findSection(elf, '.BTF');
  if (!btfSection) {
    throw new MapwireError('ERR_MW_BTF', 'the object has no BTF', { hint: 'compile with -g' });
  }
  const btf = readBtf(btfSection.bytes);
  return {
    elf,
    btf,
    maps: readMapDefinitions(btf),
    programs: readPrograms(elf),
    variables: readVariables(elf, btf),
    license: readLicense(elf),
  };
}

function readPrograms(elf: ElfObject): ProgramSymbol[] {
  const programs: ProgramSymbol[] = [];
  for (const symbol of elf.symbols) {
    const section = elf.sections[symbol.section];
    if (symbol.type !== 'func' || !section?.executable) continue;
    if (symbol.value % INSTRUCTION_SIZE !== 0 || symbol.size % INSTRUCTION_SIZE !== 0) {
      throw damaged(`program '${symbol.name}' is no whole number of instructions`);
    }
    if (symbol.value + symbol.size > section.size) throw damaged(`program '${symbol.name}' ends after its section`);
    programs.push({
      name: symbol.name,
      section: section.name,
      offset: symbol.value,
      instructions: symbol.size / INSTRUCTION_SIZE,
      subprogram: section.name === '.text' || symbol.binding === 'local',
    });
  }
  return programs.sort(
    (a, b) => Number(a.subprogram) - Number(b.subprogram) || compare(a.section, b.section) || a.offset - b.offset,
  );
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function damaged(problem: string): MapwireError {
  return new MapwireError('ERR_MW_ELF', problem, { hint: 'the file may be truncated or damaged' });
}

/** Maps and the licence are read elsewhere; `.ksyms` names what the kernel has: functions and variables of its own. */
const NO_VARIABLES: ReadonlySet<string> = new Set(['.maps', 'license', '.ksyms']);

/** In an object file BTF gives names and types, the symbol table the places. */
function readVariables(elf: ElfObject, btf: Btf): VariableSymbol[] {
  const variables: VariableSymbol[] = [];
  const places = new Map(
    elf.symbols.filter((symbol) => symbol.type === 'object').map((symbol) => [symbol.name, symbol]),
  );
  for (const section of btf.types) {
    if (section.kind !== 'datasec' || NO_VARIABLES.has(section.name)) continue;
    for (const entry of section.variables) {
      const variable = typeOf(btf, entry.type);
      if (variable.kind !== 'var')
        throw damaged(`section '${section.name}' lists type ${entry.type}, which is no variable`);
      const symbol = places.get(variable.name);
      const home = symbol && elf.sections[symbol.section];
      // extern variables (.kconfig, .ksyms) have no place in the file
      if (!symbol || !home || symbol.section === 0) continue;
      const size = sizeOf(btf, variable.type);
      if (symbol.value + size > home.size) throw damaged(`variable '${variable.name}' ends after its section`);
      variables.push({ name: variable.name, section: section.name, offset: symbol.value, size, type: variable.type });
    }
  }
  return variables.sort((a, b) => compare(a.section, b.section) || a.offset - b.offset || compare(a.name, b.name));
}

function readLicense(elf: ElfObject): string | undefined {
  const section = findSection(elf, 'license');
  if (!section) return undefined;
  const end = section.bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? section.bytes : section.bytes.subarray(0, end));
}

/**
 * The content of a section of variables, such as `.rodata`, with some of them replaced: what BpfObject.setRodata takes.
 * Throws ERR_MW_NOT_FOUND for a variable the section has not, ERR_MW_INVALID_ARGUMENT for bytes of the wrong length.
 */
export function sectionWith(
  object: ObjectFile,
  sectionName: string,
  values: Readonly<Record<string, Uint8Array>>,
): Uint8Array {
  const section: ElfSection | undefined = findSection(object.elf, sectionName);
  if (!section) {
    throw new MapwireError('ERR_MW_NOT_FOUND', `the object has no section '${sectionName}'`, {
      hint: 'its variables may have been removed because no program uses them',
    });
  }
  if (section.size > MAX_VARIABLES)
    throw damaged(`section '${sectionName}' of ${section.size} bytes is impossibly large`);
  const content = new Uint8Array(section.size);
  content.set(section.bytes);
  for (const [name, bytes] of Object.entries(values)) {
    const variable = object.variables.find((candidate) => candidate.name === name && candidate.section === sectionName);
    if (!variable) throw new MapwireError('ERR_MW_NOT_FOUND', `section '${sectionName}' has no variable '${name}'`);
    if (bytes.length !== variable.size) {
      throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `'${name}' has ${variable.size} bytes, not ${bytes.length}`);
    }
    content.set(bytes, variable.offset);
  }
  return content;
}
