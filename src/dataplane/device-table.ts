import type { LocalPort } from '../compiler/index.ts';
import {
  DeviceFlags,
  deviceFlagsNames,
  Guard,
  type Link,
  LinkFlags,
  LinkRole,
  type Local,
} from '../generated/layout.ts';
import { macBytes } from '../table/address.ts';
import { type DeviceFacts, deviceFlags } from './device-rules.ts';
import { type RawEntry, runtimeCodec } from './map-table.ts';
import type { Slots } from './slots.ts';
import type { DeviceRole, DeviceStatus, GuardSetting, Problem, UnderlayDevice } from './types.ts';
import { isVlanOf } from './underlay.ts';

/** A device of this host as netlink tells it. */
export interface HostDevice {
  readonly ifindex: number;
  readonly name: string;
  /** Six bytes; undefined for devices without a MAC. */
  readonly mac: Uint8Array | undefined;
  readonly mtu: number;
  /** Administratively. */
  readonly up: boolean;
  /** Of a device for a VLAN (802.1Q) of another one here: that one and the tag. */
  readonly vlan: { readonly of: number; readonly id: number } | undefined;
  readonly facts: DeviceFacts;
}

/** A device that the plan or the configuration asks for, by name. */
interface Wanted {
  readonly role: DeviceRole;
  readonly port: LocalPort | undefined;
  /** Role `underlay`: the tag of the tunnels; 0: none. */
  readonly vlan: number;
}

/** What is attached to a device. */
export interface Attached {
  readonly ifindex: number;
  readonly role: DeviceRole;
  readonly hook: 'xdp' | 'tc' | 'none';
  readonly why: string;
}

const WHOSE = { port: 'a port', underlay: 'an underlay device', segmenter: 'the segmenter' } as const;
const GUARDS = { off: Guard.OFF, mac: Guard.MAC, full: Guard.FULL } as const;

/** The devices of this instance: which are wanted, which are there, and what the maps say about them. */
export class DeviceTable {
  readonly #guard: GuardSetting;
  readonly #slots: Slots;
  readonly #wanted = new Map<string, Wanted>();
  /** Table id of a port -> name of its interface. */
  readonly #interfaceOf = new Map<string, string>();
  /** By table id of the port. */
  readonly #conflicts = new Map<string, Problem>();
  #present = new Map<string, HostDevice>();
  readonly #attached = new Map<string, Attached>();

  constructor(underlay: readonly Required<UnderlayDevice>[], guard: GuardSetting, slots: Slots) {
    this.#guard = guard;
    this.#slots = slots;
    for (const { device, vlan } of underlay) this.#wanted.set(device, { role: 'underlay', port: undefined, vlan });
  }

  /** All devices of the host. Returns the names of ours that appeared, vanished or changed. */
  refresh(devices: readonly HostDevice[]): Set<string> {
    const present = new Map(devices.map((device) => [device.name, device]));
    const changed = new Set<string>();
    for (const [name, { vlan }] of this.#wanted) {
      const [before, after] = [this.#present.get(name), present.get(name)];
      if (!sameDevice(before, after) || !sameMac(faceMac(before, vlan, this.#present), faceMac(after, vlan, present))) {
        changed.add(name);
      }
    }
    for (const [name, attached] of this.#attached) {
      if (present.get(name)?.ifindex !== attached.ifindex) changed.add(name);
    }
    this.#present = present;
    return changed;
  }

  /** Sets the local ports; the underlay stays. Returns the names that changed. */
  setPorts(ports: Iterable<LocalPort>): Set<string> {
    const changed = new Set<string>();
    const left = new Set([...this.#interfaceOf.keys(), ...this.#conflicts.keys()]);
    for (const port of ports) {
      left.delete(port.port);
      for (const name of this.setPort(port.port, port)) changed.add(name);
    }
    for (const port of left) for (const name of this.setPort(port, undefined)) changed.add(name);
    return changed;
  }

  /** Sets one port; undefined: it is not local any more. Returns the names that changed. */
  setPort(id: string, port: LocalPort | undefined): Set<string> {
    const changed = new Set<string>();
    const before = this.#interfaceOf.get(id);
    this.#conflicts.delete(id);
    if (before !== undefined && before !== port?.interface) {
      this.#interfaceOf.delete(id);
      if (this.#wanted.get(before)?.port?.port === id) this.#wanted.delete(before);
      changed.add(before);
    }
    const name = port?.interface;
    if (port === undefined || name === undefined) return changed;
    const wanted = this.#wanted.get(name);
    // A name that the underlay or another port has already is a mistake of the table; the first one keeps it.
    if (
      wanted?.role === 'underlay' ||
      wanted?.role === 'segmenter' ||
      (wanted !== undefined && wanted.port?.port !== id)
    ) {
      const whose = wanted.port === undefined ? WHOSE[wanted.role] : `the interface of port '${wanted.port.port}'`;
      this.#conflicts.set(id, {
        code: 'ERR_MW_CONFIG',
        message: `port '${id}' names interface '${name}', which is ${whose}`,
        hint: 'give each port an interface of its own, or mend the underlay setting',
        subject: `port ${id}`,
      });
      return changed;
    }
    this.#interfaceOf.set(id, name);
    this.#wanted.set(name, { role: 'port', port, vlan: 0 });
    changed.add(name);
    return changed;
  }

  /** Sets the far end of the segmenter; undefined: there is none. Returns the names that changed. */
  setSegmenter(name: string | undefined): Set<string> {
    const changed = new Set<string>();
    for (const [known, { role }] of this.#wanted) if (role === 'segmenter' && known !== name) changed.add(known);
    for (const known of changed) this.#wanted.delete(known);
    if (name !== undefined && !this.#wanted.has(name)) {
      this.#wanted.set(name, { role: 'segmenter', port: undefined, vlan: 0 });
      changed.add(name);
    }
    return changed;
  }

  /** Ports whose interface cannot be theirs. */
  conflicts(): Problem[] {
    return [...this.#conflicts.values()];
  }

  names(): string[] {
    // Underlay devices first: they get the low slots.
    return [...this.#wanted.keys()];
  }

  /** Names that something is attached to, wanted or not. */
  attachedNames(): string[] {
    return [...this.#attached.keys()];
  }

  device(name: string): HostDevice | undefined {
    return this.#wanted.has(name) ? this.#present.get(name) : undefined;
  }

  deviceByIndex(ifindex: number): HostDevice | undefined {
    for (const device of this.#present.values()) if (device.ifindex === ifindex) return device;
    return undefined;
  }

  roleOf(name: string): DeviceRole | undefined {
    return this.#wanted.get(name)?.role;
  }

  /** The tag of the tunnels on an underlay device; 0: none. */
  vlanOf(name: string): number {
    return this.#wanted.get(name)?.vlan ?? 0;
  }

  interfaceOf(port: string): string | undefined {
    return this.#interfaceOf.get(port);
  }

  attached(name: string): Attached | undefined {
    return this.#attached.get(name);
  }

  /** Names of devices that are there and that an attempt to attach to did not finish. */
  unfinished(): string[] {
    return [...this.#attached].filter(([name, { hook }]) => hook === 'none' && this.device(name)).map(([name]) => name);
  }

  setAttached(name: string, attached: Attached | undefined): void {
    if (attached === undefined) this.#attached.delete(name);
    else this.#attached.set(name, attached);
  }

  /** How many devices there will be at most: for the sizes of maps. */
  get size(): number {
    return this.#wanted.size;
  }

  /** Entries of the maps `dev`, `local` and `link` for one device; none when it is absent. */
  entries(name: string): RawEntry[] {
    const wanted = this.#wanted.get(name);
    const device = this.#present.get(name);
    if (wanted === undefined || device === undefined) return [];
    const { slot } = this.#slots.take(device.ifindex);
    const flags = deviceFlags(device.facts);
    const entries: RawEntry[] = [];
    const add = (map: 'dev' | 'local' | 'link', key: number, value: unknown): void => {
      const codec = runtimeCodec(map);
      entries.push({
        map,
        key: codec.key.encode(key),
        value: (codec.value.encode as (v: unknown) => Uint8Array)(value),
      });
    };
    if ((flags & DeviceFlags.XDP_REDIRECT) !== 0 && wanted.role !== 'segmenter') {
      add('dev', device.ifindex, { ifindex: device.ifindex, bpfProg: 0 });
    }
    const { port } = wanted;
    if (port !== undefined) {
      const local: Local = {
        port: port.id,
        ifindex: device.ifindex,
        slot,
        device: flags,
        mtu: device.mtu,
        network: port.network,
      };
      add('local', port.id, local);
    }
    add('link', device.ifindex, this.#link(wanted, device, slot, flags));
    return entries;
  }

  #link(wanted: Wanted, device: HostDevice, slot: number, flags: number): Link {
    const { port } = wanted;
    const common = { ifindex: device.ifindex, slot, device: flags, vlan: wanted.vlan };
    if (wanted.role === 'segmenter') {
      const mac = new Uint8Array(6);
      return { ...common, port: 0, network: 0, flags: 0, role: LinkRole.SEGMENTER, guard: Guard.OFF, mac };
    }
    if (port === undefined) {
      const mac = faceMac(device, wanted.vlan, this.#present) ?? new Uint8Array(6);
      return { ...common, port: 0, network: 0, flags: 0, role: LinkRole.UNDERLAY, guard: Guard.OFF, mac };
    }
    let bits = 0;
    if (port.hasAllow) bits |= LinkFlags.HAS_ALLOW;
    if (port.hasMacs) bits |= LinkFlags.HAS_MACS;
    if (port.role === 'router') bits |= LinkFlags.ROUTER;
    if (port.role === 'dhcp') bits |= LinkFlags.DHCP;
    if (port.linkLocal === 'any') bits |= LinkFlags.LOCAL_ANY;
    if (port.transparent) bits |= LinkFlags.TRANSPARENT;
    if (port.ipOnly) bits |= LinkFlags.IP;
    return {
      ...common,
      port: port.id,
      network: port.network,
      flags: bits,
      role: LinkRole.PORT,
      guard: GUARDS[this.#guard],
      mac: macBytes(port.mac),
    };
  }

  status(name: string): DeviceStatus {
    const wanted = this.#wanted.get(name);
    const device = this.#present.get(name);
    const attached = this.#attached.get(name);
    return {
      name,
      role: wanted?.role ?? attached?.role ?? 'port',
      port: wanted?.port?.port,
      vlan: wanted?.vlan ?? 0,
      ifindex: device?.ifindex ?? 0,
      kind: device?.facts.kind,
      mtu: device?.mtu ?? 0,
      hook: attached?.hook ?? 'none',
      why: device === undefined ? 'the device is absent' : (attached?.why ?? 'not attached yet'),
      capabilities: device === undefined ? [] : deviceFlagsNames(deviceFlags(device.facts)),
      slot: device === undefined ? undefined : this.#slots.slotOf(device.ifindex),
    };
  }
}

function sameDevice(a: HostDevice | undefined, b: HostDevice | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.ifindex === b.ifindex &&
    a.mtu === b.mtu &&
    deviceFlags(a.facts) === deviceFlags(b.facts) &&
    a.facts.kind === b.facts.kind &&
    a.facts.xdp?.basic === b.facts.xdp?.basic &&
    a.facts.xdp?.rxMetadata.vlanTag === b.facts.xdp?.rxMetadata.vlanTag &&
    sameMac(a.mac, b.mac)
  );
}

function sameMac(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return Buffer.compare(a ?? new Uint8Array(0), b ?? new Uint8Array(0)) === 0;
}

/** The MAC that tunnels come to: a VLAN device has one of its own, if it is there. */
function faceMac(
  device: HostDevice | undefined,
  vlan: number,
  present: ReadonlyMap<string, HostDevice>,
): Uint8Array | undefined {
  if (device === undefined || vlan === 0) return device?.mac;
  for (const one of present.values()) if (isVlanOf(one, device.ifindex, vlan)) return one.mac;
  return device.mac;
}
