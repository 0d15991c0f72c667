import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LITTLE_ENDIAN } from '../../../src/libbpf/byte-order.ts';
import {
  type Attribute,
  AttributeMap,
  encodeAttributes,
  flag,
  readAttributes,
  text,
  u8,
  u16,
  u32,
} from '../../../src/libbpf/netlink/attributes.ts';
import { decodeDevice } from '../../../src/libbpf/netlink/devices.ts';
import { decodeRoute } from '../../../src/libbpf/netlink/routes.ts';
import { encodeMessage, readMessages } from '../../../src/libbpf/netlink/socket.ts';
import { decodeXdpFeatures } from '../../../src/libbpf/netlink/xdp-features.ts';

/** A struct of zeros but for some bytes. */
function header(size: number, fields: Readonly<Record<number, readonly number[]>> = {}): number[] {
  const bytes = new Uint8Array(size);
  for (const [at, values] of Object.entries(fields)) bytes.set(values, Number(at));
  return [...bytes];
}

const device = (attributes: readonly Attribute[], fields?: Readonly<Record<number, readonly number[]>>) =>
  decodeDevice(Uint8Array.from([...header(16, fields), ...encodeAttributes(attributes)]));

describe('attributes', () => {
  test('are laid out as the kernel has them', () => {
    expect(LITTLE_ENDIAN).toBe(true);
    expect([...encodeAttributes([[1, u8(7)]])]).toEqual([5, 0, 1, 0, 7, 0, 0, 0]);
    expect([...encodeAttributes([[2, [[3, u16(0x102)]]]])]).toEqual([12, 0, 2, 0x80, 6, 0, 3, 0, 2, 1, 0, 0]);
    expect([...encodeAttributes([[4, flag]])]).toEqual([4, 0, 4, 0]);
    expect([...encodeAttributes([[5, text('a')]])]).toEqual([6, 0, 5, 0, 97, 0, 0, 0]);
    expect(encodeAttributes([])).toEqual(new Uint8Array(0));
  });

  test('read what was written', () => {
    const attribute = fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(fc.array(attribute, { maxLength: 20 }), (attributes) => {
        const read = [...readAttributes(encodeAttributes(attributes))];
        expect(read.map(([type, value]) => [type, [...value]])).toEqual(
          attributes.map(([type, value]) => [type, [...value]]),
        );
      }),
    );
  });

  test('any bytes are read without an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const list = [...readAttributes(bytes)];
        expect(list.reduce((size, [, value]) => size + 4 + value.byteLength, 0)).toBeLessThanOrEqual(bytes.byteLength);
        for (const message of readMessages(bytes)) expect(message.payload.byteLength).toBeLessThan(bytes.byteLength);
        if (bytes.byteLength >= 16) decodeDevice(bytes);
        if (bytes.byteLength >= 12) decodeRoute(bytes);
      }),
    );
  });

  test('values that are too short are absent', () => {
    const map = new AttributeMap(encodeAttributes([[1, u8(1)]]));
    expect([map.u8(1), map.u16(1), map.u32(1), map.u64(1), map.u8(2)]).toEqual([1, ...new Array(4).fill(undefined)]);
    expect(new AttributeMap(encodeAttributes([[1, u32(0xffffffff)]])).i32(1)).toBe(-1);
    expect(new AttributeMap(encodeAttributes([[1, Uint8Array.of(97, 98)]])).text(1)).toBe('ab');
  });
});

describe('messages', () => {
  test('several in one buffer', () => {
    const one = encodeMessage(16, 5, 1, Uint8Array.of(1, 2, 3));
    const two = encodeMessage(3, 2, 2);
    expect(one.byteLength).toBe(20);
    const both = Uint8Array.from([...one, ...two]);
    expect([...readMessages(both)]).toEqual([
      { type: 16, flags: 5, sequence: 1, payload: Uint8Array.of(1, 2, 3) },
      { type: 3, flags: 2, sequence: 2, payload: new Uint8Array(0) },
    ]);
    expect([...readMessages(both.subarray(0, 30))]).toHaveLength(1);
  });
});

describe('devices', () => {
  test('a VLAN', () => {
    const vlan = device(
      [
        [3, text('eth0.30')],
        [5, u32(2)],
        [
          18,
          [
            [1, text('vlan')],
            [
              2,
              [
                [1, u16(30)],
                [5, Uint8Array.of(0x88, 0xa8)],
              ],
            ],
          ],
        ],
      ],
      { 2: [1, 0], 4: [9, 0, 0, 0], 8: [0x43, 0, 1, 0] },
    );
    expect(vlan).toMatchObject({ ifindex: 9, name: 'eth0.30', kind: 'vlan', vlanId: 30, link: 2, up: true });
    expect(vlan.vlanProtocol).toBe(0x88a8);
    expect(vlan).not.toHaveProperty('linkNetnsid');
    expect(vlan).not.toHaveProperty('mac');
  });

  test('XDP of old kernels that name one program only', () => {
    expect(
      device([
        [
          43,
          [
            [2, u8(1)],
            [4, u32(77)],
          ],
        ],
      ]).xdp,
    ).toEqual({ native: 77, generic: 0, offloaded: 0 });
    expect(
      device([
        [
          43,
          [
            [2, u8(2)],
            [4, u32(77)],
          ],
        ],
      ]).xdp,
    ).toEqual({ native: 0, generic: 77, offloaded: 0 });
    expect(
      device([
        [
          43,
          [
            [2, u8(4)],
            [5, u32(1)],
            [6, u32(2)],
          ],
        ],
      ]).xdp,
    ).toEqual({ native: 1, generic: 2, offloaded: 0 });
    expect(device([]).xdp).toEqual({ native: 0, generic: 0, offloaded: 0 });
  });

  test('a tun, alternative names, a bridge port', () => {
    const tun = device([
      [10, u32(4)],
      [
        18,
        [
          [1, text('tun')],
          [
            2,
            [
              [3, u8(1)],
              [5, u8(0)],
              [6, u8(1)],
            ],
          ],
        ],
      ],
      [
        52,
        [
          [53, text('one')],
          [53, text('two')],
        ],
      ],
    ]);
    expect(tun).toMatchObject({
      tun: { mode: 'tun', vnetHeader: false, persistent: true },
      altNames: ['one', 'two'],
      master: 4,
    });
  });
});

test('a route through a gateway of the other family', () => {
  const via = Uint8Array.from([10, 0, 0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1]);
  const route = decodeRoute(
    Uint8Array.from([
      ...header(12, { 0: [2], 1: [24], 4: [254], 7: [1] }),
      ...encodeAttributes([
        [1, Uint8Array.of(10, 0, 0, 0)],
        [4, u32(3)],
        [18, via],
      ]),
    ]),
  );
  expect(route).toMatchObject({ type: 'unicast', prefixLength: 24, nextHops: [{ ifindex: 3, gateway: via.slice(2) }] });
});

test('next hops that are dead, or whose device has no carrier', () => {
  const hop = (ifindex: number, flags: number) => Uint8Array.of(8, 0, flags, 0, ifindex, 0, 0, 0);
  const route = decodeRoute(
    Uint8Array.from([
      ...header(12, { 0: [2], 1: [24], 4: [254], 7: [1] }),
      ...encodeAttributes([[9, Buffer.concat([hop(3, 0), hop(4, 1), hop(5, 16), hop(6, 4)])]]),
    ]),
  );
  expect(route.nextHops).toEqual([
    { ifindex: 3, weight: 1 },
    { ifindex: 4, weight: 1, dead: true },
    { ifindex: 5, weight: 1, dead: true },
    { ifindex: 6, weight: 1 },
  ]);
  const single = decodeRoute(
    Uint8Array.from([
      ...header(12, { 0: [2], 1: [24], 4: [254], 7: [1], 8: [16] }),
      ...encodeAttributes([[4, u32(3)]]),
    ]),
  );
  expect(single.nextHops).toEqual([{ ifindex: 3, weight: 1, dead: true }]);
});

test('XDP features', () => {
  expect(decodeXdpFeatures(0n)).toEqual({
    basic: false,
    redirect: false,
    redirectTarget: false,
    zeroCopy: false,
    hardwareOffload: false,
    frags: false,
    redirectTargetFrags: false,
    rxMetadata: { timestamp: false, hash: false, vlanTag: false },
  });
  expect(decodeXdpFeatures(1n, 0b101n).rxMetadata).toEqual({ timestamp: true, hash: false, vlanTag: true });
  expect(decodeXdpFeatures(0b1100111n)).toMatchObject({ redirectTarget: true, frags: true, redirectTargetFrags: true });
  expect(decodeXdpFeatures(0b0001000n)).toMatchObject({ zeroCopy: true, basic: false });
});
