import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MapwireError } from '../errors.ts';
import { Errno, hasErrno, Link, Program, removePin, TcFilter } from '../libbpf/index.ts';
import { chooseHook, type DeviceFacts } from './device-rules.ts';
import { DeviceSettings } from './device-settings.ts';
import type { HostNetlink } from './host-netlink.ts';
import { list, makeFolder } from './pin-dir.ts';
import type { StateFile } from './state-file.ts';
import { TAG_STRIPPING, type TagRule, tagRule } from './tag-rules.ts';
import type { HookSetting, Problem } from './types.ts';

export type Role = 'port' | 'underlay';

/** A device to attach to. */
export interface AttachDevice {
  readonly ifindex: number;
  readonly name: string;
  readonly facts: DeviceFacts;
  /** Role underlay: frames with a VLAN tag must come in: tunnels on a tagged underlay, flat networks. */
  readonly tagged: boolean;
  /** Role underlay: the kernel is to merge what comes in. */
  readonly merges: boolean;
}

export interface RolePrograms {
  readonly xdp: Program;
  readonly tc: Program;
  /** The XDP program that is loaded for this device alone, and asks its driver for tags; loaded when there is none. */
  bound(ifindex: number): Promise<Program>;
  /** Lets go of it; none is fine. */
  release(ifindex: number): void;
}

/** What the links of a device are to run. */
export interface LinkPrograms {
  /** undefined: there is none for this device; XDP is taken off. */
  readonly xdp: Program | undefined;
  readonly tc: Program;
}

export interface AttachResult {
  readonly hook: 'xdp' | 'tc' | 'none';
  /** The rule or the obstacle that led to it. */
  readonly why: string;
  readonly problem?: Problem;
}

export interface AttachmentOptions {
  /** `<pin-dir>/links` */
  readonly linksPath: string;
  readonly state: StateFile;
  readonly netlink: HostNetlink;
  readonly onStep?: ((step: string) => void | Promise<void>) | undefined;
}

/** Our place in a clsact qdisc, where the kernel has no TCX (before 6.6): nobody else uses such a handle by chance. */
const CLSACT_PRIORITY = 1;
const CLSACT_HANDLE = 0x4d57;

/** What is changed of devices that programs are attached to. */
const DEVICE_SETTINGS = ['gro', TAG_STRIPPING, 'rx-vlan-filter', 'tx-udp-segmentation'] as const;

type PinKind = 'xdp' | 'tc' | 'clsact';

interface Pin {
  readonly kind: PinKind;
  readonly ifindex: number;
  readonly path: string;
}

/**
 * The programs on devices. Every attachment is a pinned bpf_link, `xdp-<ifindex>` or `tc-<ifindex>`, and is updated in
 * place; where TC has no links, the filter in the clsact qdisc is what holds, and `clsact-<ifindex>`, a pin of the
 * program, says that it is there. TC comes first and goes last: XDP is the fast path in front of it.
 */
export class Attachments {
  readonly #links: string;
  readonly #state: StateFile;
  readonly #netlink: HostNetlink;
  readonly #settings: DeviceSettings;
  readonly #step: (step: string) => Promise<void>;

  constructor(options: AttachmentOptions) {
    this.#links = options.linksPath;
    this.#state = options.state;
    this.#netlink = options.netlink;
    const { onStep } = options;
    this.#step = async (step) => onStep?.(step);
    this.#settings = new DeviceSettings(options.netlink, options.state, this.#step);
  }

  /**
   * Brings one device to where it should be; nothing is done where nothing is to do.
   *
   * @throws ERR_MW_SYSCALL, ERR_MW_NETLINK, ERR_MW_NOT_FOUND when the device went away meanwhile
   */
  async attach(device: AttachDevice, role: Role, setting: HookSetting, programs: RolePrograms): Promise<AttachResult> {
    makeFolder(this.#links);
    const problem = role === 'underlay' ? await this.#prepareUnderlay(device) : undefined;
    const result = await this.#attach(device, role, setting, programs);
    return problem === undefined || result.problem !== undefined ? result : { ...result, problem };
  }

  async #attach(device: AttachDevice, role: Role, setting: HookSetting, programs: RolePrograms): Promise<AttachResult> {
    await this.#attachTc(device, role, programs.tc);
    const choice = chooseHook(setting, device.facts);
    if (!choice.xdp) return await this.#withoutXdp(device, programs, choice.why);
    const tags = await this.#tags(device);
    if (tags === 'hidden') {
      const why = 'XDP would not see VLAN tags here: the driver keeps them beside the frame, and cannot be asked';
      return await this.#withoutXdp(device, programs, why);
    }
    try {
      if (tags === 'ask') await this.#attachBound(device, role, programs);
      else await this.#attachXdp(device, role, programs.xdp);
      return { hook: 'xdp', why: tags === 'ask' ? `${choice.why}; asks the driver for VLAN tags` : choice.why };
    } catch (error) {
      if (!(error instanceof MapwireError)) throw error;
      if (error.code === 'ERR_MW_FOREIGN_PROGRAM') return await this.#foreign(device, error);
      if (error.code !== 'ERR_MW_UNSUPPORTED') throw error;
      return await this.#withoutXdp(device, programs, `native XDP was refused: ${error.message}`);
    }
  }

  /** What an underlay device needs beside programs. Gives what cannot be had. */
  async #prepareUnderlay(device: AttachDevice): Promise<Problem | undefined> {
    // A super-packet of UDP that crosses a veth stays one, with a tunnel around it: the far end could not take it apart.
    if (device.facts.kind === 'veth') {
      await this.#settings.set(device, 'tx-udp-segmentation', false);
      // Physical devices come with it.
      if (device.merges) await this.#settings.set(device, 'gro', true);
    }
    if (!device.tagged) {
      await this.#settings.putBack(device.ifindex, ['rx-vlan-filter']);
      return undefined;
    }
    if (await this.#settings.set(device, 'rx-vlan-filter', false)) return undefined;
    return {
      code: 'ERR_MW_UNSUPPORTED',
      message: `${device.name} filters VLAN tags, and cannot be told not to`,
      hint: `make a VLAN device for each tag, or \`ip link set ${device.name} promisc on\``,
      subject: `device ${device.name}`,
    };
  }

  /** Gives every attachment the program of its role, as the name of the one that runs there tells it. */
  async updateAll(programsOf: (role: Role, ifindex: number) => LinkPrograms): Promise<void> {
    for (const pin of this.#pins()) {
      if (pin.kind === 'clsact') {
        using marker = Program.openPinned(pin.path);
        const program = programsOf(roleOf(marker.info().name), pin.ifindex).tc;
        if (marker.id === program.id) continue;
        await this.#step(`update ${pin.kind}-${pin.ifindex}`);
        await this.#updateClsact(pin, program);
        continue;
      }
      using link = Link.openPinned(pin.path);
      const info = link.info();
      if (info.ifindex === 0) continue;
      using running = Program.fromId(info.programId);
      const program = programsOf(roleOf(running.info().name), pin.ifindex)[pin.kind];
      if (info.programId === program?.id) continue;
      await this.#step(`update ${pin.kind}-${pin.ifindex}`);
      if (program === undefined) await remove(pin, this.#state);
      else await link.update(program, running);
    }
  }

  /** Programs that attachments run now, by id. */
  runningPrograms(): Set<number> {
    const ids = new Set<number>();
    for (const pin of this.#pins()) {
      if (pin.kind === 'clsact') {
        using marker = Program.openPinned(pin.path);
        ids.add(marker.id);
      } else {
        using link = Link.openPinned(pin.path);
        ids.add(link.info().programId);
      }
    }
    return ids;
  }

  /** Takes everything off a device; one without anything is fine. */
  async detach(ifindex: number): Promise<void> {
    for (const kind of ['xdp', 'tc', 'clsact'] as const) {
      const pin = this.#existing(kind, ifindex);
      if (pin !== undefined) await remove(pin, this.#state);
    }
    await this.#settings.putBack(ifindex, DEVICE_SETTINGS);
  }

  /** Removes attachments of devices that are gone or not wanted. Gives how many. */
  async sweep(wanted: ReadonlySet<number>): Promise<number> {
    let removed = 0;
    for (const pin of this.#pins()) {
      if (wanted.has(pin.ifindex) && !isDefunct(pin)) continue;
      await this.#step(`detach ${pin.kind}-${pin.ifindex}`);
      await remove(pin, this.#state);
      await this.#settings.putBack(pin.ifindex, DEVICE_SETTINGS);
      removed += 1;
    }
    return removed;
  }

  #pins(): Pin[] {
    return pins(this.#links);
  }

  /** The pin of one attachment, if there is one. Looked up by name: there may be thousands of others. */
  #existing(kind: PinKind, ifindex: number): Pin | undefined {
    const path = this.#pin(kind, ifindex);
    return existsSync(path) ? { kind, ifindex, path } : undefined;
  }

  #pin(kind: PinKind, ifindex: number): string {
    return join(this.#links, `${kind}-${ifindex}`);
  }

  async #attachTc(device: AttachDevice, role: Role, program: Program): Promise<void> {
    const { ifindex } = device;
    const known = this.#existing('tc', ifindex) ?? this.#existing('clsact', ifindex);
    if (known !== undefined && (await this.#adoptTc(known, program))) return;
    await this.#step(`attach tc-${ifindex} ${role}`);
    const attachment = await this.#attachTcAnew(ifindex, program);
    if (attachment instanceof Link) {
      using link = attachment;
      link.pin(this.#pin('tc', ifindex));
      return;
    }
    attachment.close();
    program.pin(this.#pin('clsact', ifindex));
  }

  async #attachTcAnew(ifindex: number, program: Program): Promise<Link | TcFilter> {
    const place = { ifindex, direction: 'ingress', priority: CLSACT_PRIORITY, handle: CLSACT_HANDLE } as const;
    try {
      return await program.attachTc({ ...place, position: 'first' });
    } catch (error) {
      // A filter at our own place whose marker is missing: this process died between the two.
      if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_FOREIGN_PROGRAM') throw error;
      const filter = await TcFilter.open(place);
      await filter.update(program);
      return filter;
    }
  }

  /** Is the pinned attachment alive? Then it runs the program now. */
  async #adoptTc(pin: Pin, program: Program): Promise<boolean> {
    if (pin.kind === 'clsact') {
      try {
        using filter = await TcFilter.open(clsactPlace(pin.ifindex));
        const { programId } = await filter.info();
        if (programId !== program.id) await this.#updateClsact(pin, program);
        return true;
      } catch (error) {
        if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_NOT_FOUND') throw error;
        removePin(pin.path);
        return false;
      }
    }
    return await this.#adoptLink(pin, program);
  }

  async #adoptLink(pin: Pin, program: Program): Promise<boolean> {
    using link = Link.openPinned(pin.path);
    const info = link.info();
    if (info.ifindex !== pin.ifindex) {
      // The device is gone; another one has its number, or none.
      removePin(pin.path);
      return false;
    }
    if (info.programId !== program.id) await link.update(program);
    return true;
  }

  async #updateClsact(pin: Pin, program: Program): Promise<void> {
    using filter = await TcFilter.open(clsactPlace(pin.ifindex));
    await filter.update(program);
    removePin(pin.path);
    program.pin(pin.path);
  }

  async #attachXdp(device: AttachDevice, role: Role, program: Program): Promise<void> {
    const path = this.#pin('xdp', device.ifindex);
    const known = this.#existing('xdp', device.ifindex);
    if (known !== undefined && (await this.#adoptLink(known, program))) return;
    await this.#step(`attach xdp-${device.ifindex} ${role}`);
    using link = await program.attachXdp({ ifindex: device.ifindex, mode: 'native' });
    await this.#mergeAgain(device);
    link.pin(path);
  }

  async #attachBound(device: AttachDevice, role: Role, programs: RolePrograms): Promise<void> {
    const { ifindex } = device;
    try {
      await this.#attachXdp(device, role, await programs.bound(ifindex));
    } catch (error) {
      // Loaded for a device that had this number before: the kernel takes it on no other.
      if (!hasErrno(error, Errno.EINVAL)) throw error;
      programs.release(ifindex);
      await this.#attachXdp(device, role, await programs.bound(ifindex));
    }
  }

  /** Where XDP finds the tags of this device's frames, once that which can be done about it was done. */
  async #tags(device: AttachDevice): Promise<TagRule> {
    const { active, changeable } = await this.#netlink.offload(device.ifindex, TAG_STRIPPING);
    const stripping = !active ? 'off' : changeable ? 'on' : 'fixed';
    const rule = tagRule(device.facts, stripping);
    if (rule !== 'switch-off') return rule;
    return (await this.#settings.set(device, TAG_STRIPPING, false)) ? 'in-frame' : tagRule(device.facts, 'fixed');
  }

  /** XDP on a veth leaves GRO as it is: off, so nothing that is passed up would be merged. */
  async #mergeAgain(device: AttachDevice): Promise<void> {
    if (device.facts.kind === 'veth') await this.#settings.set(device, 'gro', true);
  }

  async #withoutXdp(device: AttachDevice, programs: RolePrograms, why: string): Promise<AttachResult> {
    const { ifindex } = device;
    const known = this.#existing('xdp', ifindex);
    if (known !== undefined) {
      await this.#step(`detach xdp-${ifindex}`);
      await remove(known, this.#state);
    }
    await this.#settings.putBack(ifindex, [TAG_STRIPPING]);
    programs.release(ifindex);
    return { hook: 'tc', why };
  }

  async #foreign(device: AttachDevice, error: MapwireError): Promise<AttachResult> {
    const id = (await this.#netlink.links()).find(({ ifindex }) => ifindex === device.ifindex)?.xdpProgramId;
    const name = id === undefined ? undefined : programName(id);
    const who = name === undefined ? 'another XDP program' : `XDP program '${name}' (id ${id})`;
    return {
      hook: 'tc',
      why: `${who} holds the XDP hook`,
      problem: {
        code: 'ERR_MW_FOREIGN_PROGRAM',
        message: `${who} is attached to ${device.name}; Mapwire forwards through TC there`,
        hint: error.hint ?? `see \`bpftool net show dev ${device.name}\`; detach it, or choose the tc hook`,
        subject: `device ${device.name}`,
      },
    };
  }
}

/**
 * Takes everything off all devices and removes the pins: for `down`, and needs no programs. Gives how many attachments
 * there were.
 */
export async function detachAll(linksPath: string, state: StateFile): Promise<number> {
  const all = pins(linksPath);
  for (const pin of all) await remove(pin, state);
  return all.length;
}

/** XDP before TC: what XDP leaves must still find its program. */
function pins(linksPath: string): Pin[] {
  const found: Pin[] = [];
  for (const name of list(linksPath)) {
    const match = /^(xdp|tc|clsact)-([1-9]\d*)$/.exec(name);
    if (match === null) continue;
    found.push({ kind: match[1] as PinKind, ifindex: Number(match[2]), path: join(linksPath, name) });
  }
  return found.sort((a, b) => Number(b.kind === 'xdp') - Number(a.kind === 'xdp') || a.ifindex - b.ifindex);
}

function clsactPlace(ifindex: number) {
  return { ifindex, direction: 'ingress', priority: CLSACT_PRIORITY, handle: CLSACT_HANDLE } as const;
}

function isDefunct(pin: Pin): boolean {
  if (pin.kind === 'clsact') return false;
  using link = Link.openPinned(pin.path);
  return link.info().ifindex !== pin.ifindex;
}

async function remove(pin: Pin, state: StateFile): Promise<void> {
  if (pin.kind === 'clsact') {
    try {
      using filter = await TcFilter.open(clsactPlace(pin.ifindex));
      await filter.detach();
    } catch (error) {
      if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_NOT_FOUND') throw error;
    }
    for (const change of state.settings) {
      if (change.ifindex === pin.ifindex && change.setting === 'clsact') state.removeSetting(change);
    }
  } else {
    using link = Link.openPinned(pin.path);
    if (link.info().ifindex !== 0) await link.detach();
  }
  removePin(pin.path);
}

/** Our programs are called `mw_<object>_<role>`; the kernel keeps 15 characters of a name. */
function roleOf(name: string): Role {
  if (/^mw_(xdp|tc)_port/.test(name)) return 'port';
  if (/^mw_(xdp|tc)_under/.test(name)) return 'underlay';
  throw new MapwireError('ERR_MW_PIN_DIR', `program '${name}' is pinned as an attachment, but is none of Mapwire's`, {
    hint: 'the pin directory was changed by hand; `mapwire down` clears it',
  });
}

function programName(id: number): string | undefined {
  try {
    using program = Program.fromId(id);
    return program.info().name;
  } catch {
    return undefined;
  }
}
