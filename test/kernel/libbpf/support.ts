import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';
import { compileBpf } from '../../../src/bintools/tools/llvm.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import { BpfObject } from '../../../src/libbpf/index.ts';
import { run } from '../../support/process.ts';

const objects = join(dirname(fileURLToPath(import.meta.url)), 'objects');
const compiled = new Map<string, Promise<Uint8Array>>();

/** A test object, compiled once a process. */
export function objectBytes(name: 'everything' | 'refused'): Promise<Uint8Array> {
  let bytes = compiled.get(name);
  if (bytes === undefined) {
    bytes = compile(name);
    compiled.set(name, bytes);
  }
  return bytes;
}

async function compile(name: string): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), 'mwlib-'));
  try {
    const output = join(folder, 'object.o');
    await compileBpf({ root: objects, source: `${name}.bpf.c`, output });
    return new Uint8Array(readFileSync(output));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The test object, loaded. */
export async function loadEverything(): Promise<BpfObject> {
  return await BpfObject.open(await objectBytes('everything'), { name: 'everything' }).load();
}

/** Descriptors of this process. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

let counter = 0;

/** A name that no other run uses, short enough for an interface. */
export function uniqueName(prefix = 'mwl'): string {
  return `${prefix}${process.pid}${String.fromCharCode(97 + (counter++ % 26))}`;
}

/** A bpffs folder for this test process, removed with what is in it. */
export class PinFolder implements Disposable {
  readonly path = `/sys/fs/bpf/${uniqueName('mwlib-')}`;

  constructor() {
    mkdirSync(this.path);
  }

  at(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    // bpffs has no rename over, and rmSync's retries are not needed: pins are files
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A veth pair: one end here, one in a namespace of its own. */
export class Pair implements AsyncDisposable {
  readonly name: string;
  readonly peer: string;
  readonly namespace: string;
  readonly ifindex: number;

  private constructor(name: string, peer: string, namespace: string, ifindex: number) {
    this.name = name;
    this.peer = peer;
    this.namespace = namespace;
    this.ifindex = ifindex;
  }

  static async create(): Promise<Pair> {
    const name = uniqueName();
    const peer = `${name}p`;
    const namespace = `mwlib-${name}`;
    await run(['ip', 'netns', 'add', namespace]);
    try {
      await run(['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', peer, 'netns', namespace]);
    } catch (error) {
      await run(['ip', 'netns', 'del', namespace]);
      throw error;
    }
    const ifindex = Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
    return new Pair(name, peer, namespace, ifindex);
  }

  /** Both ends up, with 198.51.100.1 here and .2 there. */
  async configure(): Promise<void> {
    await run(['ip', 'addr', 'add', '198.51.100.1/24', 'dev', this.name]);
    await run(['ip', '-n', this.namespace, 'addr', 'add', '198.51.100.2/24', 'dev', this.peer]);
    await run(['ip', 'link', 'set', this.name, 'up']);
    await run(['ip', '-n', this.namespace, 'link', 'set', this.peer, 'up']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(['ip', 'link', 'del', this.name], { check: false });
    await run(['ip', 'netns', 'del', this.namespace], { check: false });
  }
}

/** Matches a MapwireError by code and what is in its details. */
export function mapwireError(code: ErrorCode, details: Readonly<Record<string, unknown>> = {}): unknown {
  return expect.objectContaining({ name: 'MapwireError', code, details: expect.objectContaining(details) });
}

/** What `work` throws, or a failure of the test. */
export async function caught(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

export function u32(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return new Uint8Array(view.buffer);
}

export function readU32(bytes: Uint8Array, offset = 0): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset, true);
}

/** Collects garbage now. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
