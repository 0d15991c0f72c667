import { existsSync } from 'node:fs';
import { findTool, run, type Tool } from './tool.ts';

/** The release the objects are developed with first, then others that are known to do. */
const VERSIONS = [19, 18, 20, 21, 22, 17, 16, 15, 14] as const;

/** clang 14 is the oldest that knows BTF type tags and -mcpu=v3 well. */
const MINIMUM = 14;

function llvm(name: string, variable: string, packageOf: (version: number) => string, first?: number): Promise<Tool> {
  const versions = first === undefined ? VERSIONS : [first, ...VERSIONS.filter((version) => version !== first)];
  return findTool({
    name,
    variable,
    candidates: [...versions.map((version) => `${name}-${version}`), name],
    minimum: MINIMUM,
    packages: `${packageOf(19)} (or ${packageOf(18)})`,
  });
}

/** clang 14 or newer, best 19; `CLANG` overrides. Throws ERR_MW_TOOL. */
export function clang(): Promise<Tool> {
  return llvm('clang', 'CLANG', (version) => `clang-${version}`);
}

/** llvm-strip, best of clang's own release; `LLVM_STRIP` overrides. Throws ERR_MW_TOOL. */
export async function llvmStrip(): Promise<Tool> {
  return llvm('llvm-strip', 'LLVM_STRIP', (version) => `llvm-${version}`, (await clang()).version);
}

/** llvm-objdump; `LLVM_OBJDUMP` overrides. Throws ERR_MW_TOOL. */
export async function llvmObjdump(): Promise<Tool> {
  return llvm('llvm-objdump', 'LLVM_OBJDUMP', (version) => `llvm-${version}`, (await clang()).version);
}

export interface CompileOptions {
  /** Folder the source's path is relative to; that path, not the absolute one, enters the object. */
  readonly root: string;
  /** The C file, relative to `root`. */
  readonly source: string;
  /** The object to write. */
  readonly output: string;
  readonly includes?: readonly string[];
  readonly extra?: readonly string[];
}

/** Compiles one eBPF object with BTF (and, until it is stripped, DWARF). Throws ERR_MW_TOOL with clang's messages. */
export async function compileBpf(options: CompileOptions): Promise<void> {
  const tool = await clang();
  const includes = [...(options.includes ?? []).map((folder) => `-I${folder}`), ...systemIncludes()];
  await run(
    tool,
    [
      ...['-target', 'bpfel', '-mcpu=v3', '-O2', '-g', '-Wall', '-Werror', '-ffile-compilation-dir=.'],
      ...includes,
      ...(options.extra ?? []),
      ...['-c', options.source, '-o', options.output],
    ],
    options.root,
  );
}

/** Removes the DWARF; BTF stays. Throws ERR_MW_TOOL. */
export async function stripDebug(object: string): Promise<void> {
  await run(await llvmStrip(), ['-g', object]);
}

/** The disassembly of all sections with code. Throws ERR_MW_TOOL. */
export async function disassemble(object: string): Promise<string> {
  return run(await llvmObjdump(), ['-d', '--no-show-raw-insn', object]);
}

const MULTIARCH: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/** Debian keeps asm/ of the kernel's headers in a folder of the machine's, which no target bpf looks into. */
function systemIncludes(): string[] {
  const folder = `/usr/include/${MULTIARCH[process.arch] ?? ''}`;
  return MULTIARCH[process.arch] !== undefined && existsSync(folder) ? ['-idirafter', folder] : [];
}
