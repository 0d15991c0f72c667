/** Guests whose frames leave with a VLAN tag beside them, as those of a VLAN device do; this machine's kernel may have none. */
import { join } from 'node:path';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { compileBpf } from '../../src/bintools/tools/llvm.ts';
import type { Namespace } from './hosts.ts';

/** From now on every frame of the guest's eth0 leaves with tag 10 beside it. */
export async function tagBeside(guest: Namespace): Promise<void> {
  const output = join(await guest.lab.folder(), 'tag-guest.o');
  await compileBpf({ root: packageRoot(), source: 'test/support/tag-guest.bpf.c', output });
  await guest.run(['tc', 'qdisc', 'add', 'dev', 'eth0', 'clsact']);
  await guest.run(['tc', 'filter', 'add', 'dev', 'eth0', 'egress', 'bpf', 'da', 'obj', output, 'sec', 'tc']);
}
