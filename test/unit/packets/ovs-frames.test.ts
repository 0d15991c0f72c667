/** The descriptions of Open vSwitch's frames give its bytes. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { ovsFrames } from '../../fixtures/packets/ovs-tunnel-push-pop.ts';
import { frame } from '../../support/packet.ts';

test('there are all of them', () => {
  expect(ovsFrames.length).toBe(24);
});

test.each(ovsFrames)('%s', (text, sha) => {
  expect(createHash('sha256').update(frame(text)).digest('hex').slice(0, 16)).toBe(sha);
});
