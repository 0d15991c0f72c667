import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { addon } from './addon.ts';

let cpus: number | undefined;

/** Counts a kernel CPU list such as `0-3,8`. Exported for its test. */
export function countCpuList(text: string): number {
  let count = 0;
  for (const part of text.trim().split(',')) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (range === null) throw new Error(`not a list of CPUs: '${text.trim()}'`);
    count += Number(range[2] ?? range[1]) - Number(range[1]) + 1;
  }
  return count;
}

/** Possible CPUs: how many values an entry of a per-CPU map has. */
export function possibleCpus(): number {
  cpus ??= countCpuList(readFileSync('/sys/devices/system/cpu/possible', 'utf8'));
  return cpus;
}

export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
  /** As uname(2) says it. */
  readonly release: string;
}

/** Reads a release such as `6.1.0-56-amd64`; undefined when it does not begin with a version. */
export function parseKernelRelease(text: string): KernelVersion | undefined {
  const match = /^(\d+)\.(\d+)(?!\d)/.exec(text);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]), release: text };
}

/** The running kernel, 0.0 if it does not say. Distributions backport: prefer a feature probe to a comparison. */
export function kernelVersion(): KernelVersion {
  const text = release();
  return parseKernelRelease(text) ?? { major: 0, minor: 0, release: text };
}

/** CLOCK_MONOTONIC in nanoseconds: what bpf_ktime_get_ns() returns to programs. */
export function monotonicNs(): bigint {
  return process.hrtime.bigint();
}

/** The libbpf in use, e.g. `1.1`. */
export function libbpfVersion(): string {
  return addon().libbpfVersion();
}

const CAPABILITIES = {
  CAP_DAC_OVERRIDE: 1,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

export type Capability = keyof typeof CAPABILITIES;

/** Which of the capabilities that matter here are in this process's effective set. */
export function effectiveCapabilities(): ReadonlySet<Capability> {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const bits = BigInt(`0x${line}`);
  return new Set(
    (Object.keys(CAPABILITIES) as Capability[]).filter((name) => ((bits >> BigInt(CAPABILITIES[name])) & 1n) === 1n),
  );
}

/** Frees the memory of what `dump` gave now and not when it is collected: nobody may look at it any more. */
export function releaseEntries({ keys, values }: { readonly keys: Uint8Array; readonly values: Uint8Array }): void {
  addon().releaseBuffer(keys.buffer);
  addon().releaseBuffer(values.buffer);
}

/** Gives memory that the allocator of the addon kept back to the system. Returns whether there was some. */
export function trimMemory(): boolean {
  return addon().trimMemory();
}
