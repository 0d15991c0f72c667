/** The frames that the bench sends: the generator's sums and places must fit them. */
import { describe, expect, test } from 'vitest';
import { drawn, ENCAPS, traffic } from '../../../bench/frames.ts';

function headerIsRight(bytes: Uint8Array, at: number): boolean {
  const view = new DataView(bytes.buffer, at, 20);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += view.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum === 0xffff;
}

describe.each(['encap', 'decap'] as const)('%s', (direction) => {
  test.each(ENCAPS)('%s: every header checksum is right, for any endpoint', (encap) => {
    const { bytes, draw, expected } = traffic(direction, encap, 64, 1_000_000);
    for (const number of [0, 1, 255, 65_535, 65_536, 999_999]) {
      const frame = drawn(bytes, draw, number);
      for (const at of [draw.sum_at, draw.node_sum_at])
        if (at !== undefined) expect(headerIsRight(frame, at - 10), `${number}`).toBe(true);
    }
    expect(bytes.length).toBe(direction === 'encap' ? 64 : bytes.length);
    expect(Math.abs(expected - bytes.length)).toBe(
      { flat: 0, gre: 42, 'vxlan-gpe': 36, lisp: 36, vxlan: 50, geneve: 50 }[encap],
    );
  });
});
