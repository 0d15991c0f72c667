/** What the kernel asks of the daemon. */
import { MapwireError } from '../errors.ts';
import { type Capability, effectiveCapabilities } from '../libbpf/index.ts';

/** Loading programs and maps; attaching, neighbours and netlink; programs that the verifier lets read packets freely. */
const NEEDED = ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'] as const satisfies readonly Capability[];

/** Capabilities that are missing in a set. CAP_SYS_ADMIN stands for those that were split off it (Linux 5.8). */
export function missingCapabilities(has: ReadonlySet<Capability>): Capability[] {
  const split: readonly Capability[] = ['CAP_BPF', 'CAP_PERFMON'];
  return NEEDED.filter((name) => !has.has(name) && !(split.includes(name) && has.has('CAP_SYS_ADMIN')));
}

/** @throws ERR_MW_PRIVILEGE naming what is missing */
export function assertPrivileges(): void {
  const missing = missingCapabilities(effectiveCapabilities());
  if (missing.length === 0) return;
  throw new MapwireError('ERR_MW_PRIVILEGE', `the daemon lacks ${missing.join(', ')}`, {
    hint: 'run it as root, or through the systemd unit, which grants them',
    details: { missing },
  });
}
