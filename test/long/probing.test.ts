/** Probes between three hosts, with everything that happens to them. */
import { describe } from 'vitest';
import { probingTests } from '../support/probing-tests.ts';

describe.each([
  ['tc', 4],
  ['tc', 6],
  ['xdp', 4],
  ['xdp', 6],
] as const)('hook: %s, underlay: IPv%i', (hook, family) => probingTests(hook, family, true));
