/** The frames that the bench sends: the generator's sums and places must fit them. */
import { describe, expect, test } from 'vitest';
import { ENCAPS, traffic } from '../../../bench/frames.ts';

/** What packets.bpf.c does with an endpoint's number. */
function drawn(bytes: Uint8Array, draw: Readonly<Record<string, number>>, number: number): Uint8Array {
  const out = bytes.slice();
  const view = new DataView(out.buffer);
  const put = (at = 0) => at > 0 && out.set([number >> 16, (number >> 8) & 255, number & 255], at);
  const putSum = (at = 0, total = 0) => {
    if (at === 0) return;
    const once = (total & 0xffff) + (total >> 16);
    view.setUint16(at, ~(once + (once >> 16)) & 0xffff);
  };
  put(draw.mac_at);
  put(draw.ip_at);
  putSum(draw.sum_at, (draw.sum ?? 0) + (number >> 16) + (number & 0xffff));
  if (draw.node_at) {
    const node = number % (draw.nodes ?? 1);
    out[draw.node_at] = (draw.first_node ?? 0) + node;
    putSum(draw.node_sum_at, (draw.node_sum ?? 0) + node);
  }
  return out;
}

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
