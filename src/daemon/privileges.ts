/** What the kernel asks of the daemon. */
import { MapwireError } from '../errors.ts';
import { type Capability, effectiveCapabilities } from '../libbpf/index.ts';

/**
 * Attaching, neighbours and netlink; and opening maps, links and BTF by their kernel ids, for which every kernel asks for
 * CAP_SYS_ADMIN (kernel/bpf/syscall.c, bpf_map_get_fd_by_id). That one stands for CAP_BPF and CAP_PERFMON too.
 */
const NEEDED = ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'] as const satisfies readonly Capability[];

/** Capabilities that are missing in a set. */
export function missingCapabilities(has: ReadonlySet<Capability>): Capability[] {
  return NEEDED.filter((name) => !has.has(name));
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
