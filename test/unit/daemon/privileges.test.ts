import { expect, it } from 'vitest';
import { missingCapabilities } from '../../../src/daemon/privileges.ts';

it.each([
  [['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'], []],
  [['CAP_SYS_ADMIN'], ['CAP_NET_ADMIN']],
  [['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'], ['CAP_SYS_ADMIN']],
  [[], ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN']],
] as const)('of %j, %j are missing', (has, missing) => {
  expect(missingCapabilities(new Set(has))).toEqual(missing);
});
