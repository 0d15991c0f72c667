/** Probes between three hosts: what every run of the tests shows of them; the rest, both hooks and families, is in test/long. */
import { describe } from 'vitest';
import { probingTests } from '../support/probing-tests.ts';

describe('hook: xdp, underlay: IPv6', () => probingTests('xdp', 6, false));
