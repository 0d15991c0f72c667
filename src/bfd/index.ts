/** BFD (RFC 5880, 5881, 5883) and the initiator of S-BFD (RFC 7880, 7881): pure, without clock and sockets. */
export { nodeDiscriminator } from './discriminator.ts';
export { type InitiatorOptions, SbfdInitiator } from './initiator.ts';
export {
  type Discards,
  type Incoming,
  type MachineOptions,
  type Outgoing,
  type ProbeKind,
  ProbeMachine,
  type SessionSpec,
} from './machine.ts';
export {
  BFD_MULTIHOP_PORT,
  BFD_PACKET_SIZE,
  BFD_PORT,
  type BfdPacket,
  Diagnostic,
  decodePacket,
  diagnosticName,
  encodePacket,
  type PacketMistake,
  SBFD_PORT,
  SessionState,
  type StateName,
  stateName,
} from './packet.ts';
export { Schedule } from './schedule.ts';
export { BfdSession } from './session.ts';
export type { SessionOptions, SessionStatus, SessionTimers } from './session-base.ts';
