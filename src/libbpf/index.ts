/**
 * libbpf-ts: BPF objects, maps, programs, links, ring buffers and netlink for TypeScript.
 *
 * What holds a kernel object implements `Symbol.dispose` (`using`) and close(), both idempotent; afterwards every call
 * throws ERR_MW_CLOSED. What is dropped unclosed is closed with a process warning `MW_LEAK`: that is a bug of the caller.
 * Failed system calls are `MapwireError`s with `errno`, `errnoName` and `syscall` in `details`.
 */

export { addonPath } from './addon.ts';
export { BpfMap, type MapCodec, PerCpuMap } from './bpf-map.ts';
export {
  BpfObject,
  type GlobalVariable,
  type LoadOptions,
  type MapSetting,
  type ProgramSetting,
} from './bpf-object.ts';
export { Btf } from './btf.ts';
export { type BucketKind, type BucketStats, BucketTable, type BucketTableOptions, PlaceTable } from './bucket-table.ts';
export {
  AttachType,
  LinkType,
  MapFlag,
  MapType,
  type MapTypeName,
  mapTypeName,
  ProgramType,
  type ProgramTypeName,
  programTypeName,
} from './constants.ts';
export { FEATURES, type Feature, probe, probeAll, type Support } from './features.ts';
export { type KindName, objectIds } from './kernel-object.ts';
export {
  type Direction,
  Link,
  type LinkInfo,
  type LinkKind,
  removePin,
  type TcxOptions,
  type XdpOptions,
} from './link.ts';
export { DirectoryLock, flockHolder, tryFlock } from './lock.ts';
export { type Address, AddressFlag, type AddressPlace, type NewAddress } from './netlink/addresses.ts';
export {
  type AttachedXdp,
  type Device,
  type DeviceChange,
  DeviceFlag,
  type OperState,
  type TunInfo,
} from './netlink/devices.ts';
export {
  type Neighbour,
  type NeighbourChange,
  NeighbourFlag,
  type NeighbourPlace,
  NeighbourState,
} from './netlink/neighbours.ts';
export { type AttachedProgram, Netlink } from './netlink/netlink.ts';
export type { Offloads } from './netlink/offloads.ts';
export type { NextHop, Route, RouteQuestion, RouteType } from './netlink/routes.ts';
export type { VethPair } from './netlink/veth.ts';
export type { VxlanDevice } from './netlink/vxlan.ts';
export { type NetlinkEvent, type NetlinkGroup, NetlinkWatch, type WatchOptions } from './netlink/watch.ts';
export type { RxMetadata, XdpFeatures } from './netlink/xdp-features.ts';
export { Program, type ProgramInfo, type TestRunOptions, type TestRunResult } from './program.ts';
export {
  type BatchResult,
  type LookupBatch,
  type MapInfo,
  type PackedEntries,
  RawMap,
  type RawMapSpec,
  type UpdateMode,
} from './raw-map.ts';
export type { ReadinessOptions } from './readiness.ts';
export { RingBuffer, type RingBufferOptions } from './ring-buffer.ts';
export { isBpffs, openDirectory } from './safe-path.ts';
export { sdNotify } from './sd-notify.ts';
export {
  type Capability,
  effectiveCapabilities,
  type KernelVersion,
  kernelVersion,
  libbpfVersion,
  monotonicNs,
  parseKernelRelease,
  possibleCpus,
} from './system.ts';
export { Errno, errnoName, hasErrno } from './system-error.ts';
export { type TcAttachment, TcFilter, type TcFilterInfo, type TcFilterOptions, type TcOptions } from './tc-filter.ts';
export { type SkbContext, skbContext, type XdpContext, xdpContext } from './test-context.ts';
export { type Datagram, type SendOutcome, UdpSocket, type UdpSocketOptions } from './udp-socket.ts';
