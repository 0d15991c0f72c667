/** The BFD control packet (RFC 5880 section 4.1): 24 bytes, big-endian, intervals in microseconds. No authentication. */

/** UDP destination ports: single hop (RFC 5881), several hops (RFC 5883), the reflector of S-BFD (RFC 7881). */
export const BFD_PORT = 3784;
export const BFD_MULTIHOP_PORT = 4784;
export const SBFD_PORT = 7784;

/** Bytes of a packet without authentication. */
export const BFD_PACKET_SIZE = 24;
const AUTHENTICATED_SIZE = 26;
const VERSION = 1;

export const SessionState = { ADMIN_DOWN: 0, DOWN: 1, INIT: 2, UP: 3 } as const;
export type SessionState = (typeof SessionState)[keyof typeof SessionState];

const STATE_NAMES = ['admin-down', 'down', 'init', 'up'] as const;
export type StateName = (typeof STATE_NAMES)[number];

export function stateName(state: SessionState): StateName {
  return STATE_NAMES[state];
}

/** Why a session last left Up (RFC 5880 section 4.1). */
export const Diagnostic = {
  NONE: 0,
  EXPIRED: 1,
  ECHO_FAILED: 2,
  NEIGHBOUR_DOWN: 3,
  FORWARDING_RESET: 4,
  PATH_DOWN: 5,
  CONCATENATED_PATH_DOWN: 6,
  ADMIN_DOWN: 7,
  REVERSE_CONCATENATED_PATH_DOWN: 8,
} as const;

const DIAGNOSTIC_NAMES = [
  'none',
  'detection-time-expired',
  'echo-failed',
  'neighbour-signaled-down',
  'forwarding-plane-reset',
  'path-down',
  'concatenated-path-down',
  'administratively-down',
  'reverse-concatenated-path-down',
] as const;

/** Codes from 9 on are reserved: their number. */
export function diagnosticName(code: number): string {
  return DIAGNOSTIC_NAMES[code] ?? `diagnostic-${code}`;
}

export interface BfdPacket {
  /** 0 to 31. */
  readonly diagnostic: number;
  readonly state: SessionState;
  readonly poll: boolean;
  readonly final: boolean;
  readonly controlPlaneIndependent: boolean;
  readonly demand: boolean;
  /** Detection time multiplier, 1 to 255. */
  readonly multiplier: number;
  /** 32 bits, not 0. */
  readonly myDiscriminator: number;
  /** 32 bits; 0: not known yet. */
  readonly yourDiscriminator: number;
  readonly desiredMinTxUs: number;
  /** 0: send none. */
  readonly requiredMinRxUs: number;
  /** 0: no echo, as always here. */
  readonly requiredMinEchoRxUs: number;
}

/** Why a packet is discarded (RFC 5880 section 6.8.6), before it is known whose it is. */
export type PacketMistake =
  | 'version'
  | 'length'
  | 'multiplier'
  | 'multipoint'
  | 'my-discriminator'
  | 'your-discriminator'
  | 'authenticated';

export function encodePacket(packet: BfdPacket): Uint8Array {
  const bytes = new Uint8Array(BFD_PACKET_SIZE);
  const view = new DataView(bytes.buffer);
  bytes[0] = (VERSION << 5) | packet.diagnostic;
  bytes[1] =
    (packet.state << 6) |
    (packet.poll ? 0x20 : 0) |
    (packet.final ? 0x10 : 0) |
    (packet.controlPlaneIndependent ? 0x08 : 0) |
    (packet.demand ? 0x02 : 0);
  bytes[2] = packet.multiplier;
  bytes[3] = BFD_PACKET_SIZE;
  view.setUint32(4, packet.myDiscriminator);
  view.setUint32(8, packet.yourDiscriminator);
  view.setUint32(12, packet.desiredMinTxUs);
  view.setUint32(16, packet.requiredMinRxUs);
  view.setUint32(20, packet.requiredMinEchoRxUs);
  return bytes;
}

/** @param bytes a UDP payload; what follows the packet's own length is ignored */
export function decodePacket(bytes: Uint8Array): BfdPacket | PacketMistake {
  const [first = 0, flags = 0, multiplier = 0, length = 0] = bytes;
  if (bytes.byteLength < BFD_PACKET_SIZE) return 'length';
  if (first >> 5 !== VERSION) return 'version';
  const authenticated = (flags & 0x04) !== 0;
  if (length < (authenticated ? AUTHENTICATED_SIZE : BFD_PACKET_SIZE) || length > bytes.byteLength) return 'length';
  if (multiplier === 0) return 'multiplier';
  if ((flags & 0x01) !== 0) return 'multipoint';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const state = (flags >> 6) as SessionState;
  const packet: BfdPacket = {
    diagnostic: first & 0x1f,
    state,
    poll: (flags & 0x20) !== 0,
    final: (flags & 0x10) !== 0,
    controlPlaneIndependent: (flags & 0x08) !== 0,
    demand: (flags & 0x02) !== 0,
    multiplier,
    myDiscriminator: view.getUint32(4),
    yourDiscriminator: view.getUint32(8),
    desiredMinTxUs: view.getUint32(12),
    requiredMinRxUs: view.getUint32(16),
    requiredMinEchoRxUs: view.getUint32(20),
  };
  if (packet.myDiscriminator === 0) return 'my-discriminator';
  if (packet.yourDiscriminator === 0 && state !== SessionState.DOWN && state !== SessionState.ADMIN_DOWN) {
    return 'your-discriminator';
  }
  // No key is configured here, so an authenticated packet is nobody's.
  return authenticated ? 'authenticated' : packet;
}
