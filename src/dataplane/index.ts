/**
 * The data plane: loads, pins, attaches and applies. The only part that knows the kernel's state.
 *
 * ```ts
 * await using plane = await Dataplane.open({ pinDir: '/sys/fs/bpf/mapwire', stateDir: '/var/lib/mapwire', underlay: ['eth0'] });
 * let current = plan(table, 'host-a', plane.ids);
 * await plane.apply(current);                                  // reads everything, writes the difference
 * const next = replan(current, edited, changes);
 * await plane.apply(next.plan, next.changes);                  // writes what the edit changes
 * await Dataplane.down({ pinDir, stateDir });                  // after close(): removes everything
 * ```
 */
export { Dataplane } from './dataplane.ts';
export { chooseHook, type DeviceFacts, deviceFlags } from './device-rules.ts';
export { defaultObjectFiles } from './objects.ts';
export type {
  ApplyReport,
  DataplaneEvent,
  DataplaneOptions,
  DataplaneStatus,
  DeviceRole,
  DeviceStatus,
  DownReport,
  DropCount,
  GroupStatus,
  GuardSetting,
  HookSetting,
  KernelState,
  MapDump,
  MapFill,
  NextHopStatus,
  NextHopWay,
  ObjectFiles,
  Problem,
  TraceResult,
  TrafficCount,
  TunnelPorts,
  UnderlayDevice,
} from './types.ts';
