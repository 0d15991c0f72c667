import { describe, expect, test } from 'vitest';
import {
  type BfdPacket,
  decodePacket,
  diagnosticName,
  encodePacket,
  nodeDiscriminator,
  SessionState,
  stateName,
} from '../../../src/bfd/index.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

const PACKET: BfdPacket = {
  diagnostic: 3,
  state: SessionState.INIT,
  poll: true,
  final: false,
  controlPlaneIndependent: false,
  demand: false,
  multiplier: 3,
  myDiscriminator: 0x0102_0304,
  yourDiscriminator: 0xfffe_fdfc,
  desiredMinTxUs: 300_000,
  requiredMinRxUs: 50_000,
  requiredMinEchoRxUs: 0,
};
// RFC 5880 section 4.1, field by field: version 1, diagnostic 3; Init, P; 3; 24
const BYTES = hex('23 a0 03 18 01020304 fffefdfc 000493e0 0000c350 00000000');

describe('the control packet', () => {
  test('is laid out as RFC 5880 section 4.1 says', () => {
    expect(Buffer.from(encodePacket(PACKET)).toString('hex')).toBe(Buffer.from(BYTES).toString('hex'));
    expect(decodePacket(BYTES)).toEqual(PACKET);
    const all: BfdPacket = {
      ...PACKET,
      diagnostic: 31,
      state: SessionState.UP,
      poll: false,
      final: true,
      controlPlaneIndependent: true,
      demand: true,
      multiplier: 255,
    };
    expect([...encodePacket(all).subarray(0, 4)]).toEqual([0x3f, 0xda, 255, 24]);
    expect(decodePacket(encodePacket(all))).toEqual(all);
  });

  test('may be followed by something', () => {
    expect(decodePacket(new Uint8Array([...BYTES, 1, 2, 3]))).toEqual(PACKET);
  });

  const changed = (at: number, byte: number) => {
    const bytes = BYTES.slice();
    bytes[at] = byte;
    return bytes;
  };
  test.each([
    ['version', changed(0, 0x43)],
    ['version', changed(0, 0x03)],
    ['length', BYTES.subarray(0, 23)],
    ['length', new Uint8Array()],
    ['length', changed(3, 23)],
    ['length', changed(3, 25)],
    ['multiplier', changed(2, 0)],
    ['multipoint', changed(1, 0xa1)],
    ['my-discriminator', new Uint8Array([...BYTES.subarray(0, 4), 0, 0, 0, 0, ...BYTES.subarray(8)])],
    ['your-discriminator', new Uint8Array([...BYTES.subarray(0, 8), 0, 0, 0, 0, ...BYTES.subarray(12)])],
    // the A bit without room for an authentication section, and with it
    ['length', changed(1, 0xa4)],
    ['authenticated', new Uint8Array([0x23, 0xa4, 3, 26, ...BYTES.subarray(4), 1, 2])],
  ] as const)('%s: discarded', (mistake, bytes) => {
    expect(decodePacket(bytes)).toBe(mistake);
  });

  test('with no discriminator of ours is for a session that is not up', () => {
    for (const [state, ok] of [
      [SessionState.DOWN, true],
      [SessionState.ADMIN_DOWN, true],
      [SessionState.INIT, false],
      [SessionState.UP, false],
    ] as const) {
      const decoded = decodePacket(encodePacket({ ...PACKET, state, yourDiscriminator: 0 }));
      expect(typeof decoded === 'object', stateName(state)).toBe(ok);
    }
  });
});

test('names', () => {
  expect([0, 1, 2, 3].map((state) => stateName(state as SessionState))).toEqual(['admin-down', 'down', 'init', 'up']);
  expect(diagnosticName(1)).toBe('detection-time-expired');
  expect(diagnosticName(12)).toBe('diagnostic-12');
});

test('the discriminator of a node is FNV-1a of its id', () => {
  // vectors of the FNV reference (draft-eastlake-fnv, test suite): "", "a", "foobar"
  expect(nodeDiscriminator('')).toBe(0x811c9dc5);
  expect(nodeDiscriminator('a')).toBe(0xe40c292c);
  expect(nodeDiscriminator('foobar')).toBe(0xbf9cf968);
});
