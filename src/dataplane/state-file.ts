import { readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurably } from '../durable-file.ts';
import { MapwireError } from '../errors.ts';

/** A setting of a device that was changed, and what it was. */
export interface ChangedSetting {
  readonly device: string;
  readonly ifindex: number;
  readonly setting: OffloadSetting | 'clsact';
  readonly before: boolean;
}

/** Offloads that are changed; the others by the kernel's names. */
export type OffloadSetting = 'gro' | 'rx-vlan-hw-parse' | 'rx-vlan-filter' | 'tx-udp-segmentation';

/** A neighbour entry that was made. */
export interface MadeNeighbour {
  readonly ifindex: number;
  readonly address: string;
}

/** What a device was made to receive beside its own: a MAC, or a multicast group that was joined. */
export interface MadeReception {
  readonly device: string;
  readonly ifindex: number;
  readonly kind: 'mac' | 'group';
  /** In text. */
  readonly address: string;
}

/** A veth pair that was made: its names. */
export interface MadePair {
  readonly name: string;
  readonly peer: string;
}

interface Content {
  readonly version: 1;
  readonly settings: readonly ChangedSetting[];
  readonly neighbours: readonly MadeNeighbour[];
  readonly receptions: readonly MadeReception[];
  readonly pairs: readonly MadePair[];
  /** Names of other devices that were made. */
  readonly devices: readonly string[];
}

const EMPTY: Content = { version: 1, settings: [], neighbours: [], receptions: [], pairs: [], devices: [] };

/**
 * What was changed outside the pin directory: written down, durably, before the change, so that `down` can put it back
 * also after a crash. Recorded again is harmless; recorded but not done as well.
 */
export class StateFile {
  readonly #path: string;
  #content: Content;

  private constructor(folder: string, content: Content) {
    this.#path = join(folder, 'host-changes.json');
    this.#content = content;
  }

  /** @throws ERR_MW_CONFIG when the file is there but cannot be understood: better than forgetting what to put back */
  static open(folder: string): StateFile {
    const path = join(folder, 'host-changes.json');
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return new StateFile(folder, EMPTY);
    }
    try {
      const content = JSON.parse(text) as Content;
      if (content.version !== 1 || !Array.isArray(content.settings) || !Array.isArray(content.neighbours)) {
        throw new Error('unknown content');
      }
      // The rest came later: files of earlier versions have none.
      return new StateFile(folder, { ...EMPTY, ...content });
    } catch (cause) {
      throw new MapwireError('ERR_MW_CONFIG', `'${path}' is damaged`, {
        cause,
        hint: 'it lists device settings to put back by `mapwire down`; check the devices and remove the file',
      });
    }
  }

  get settings(): readonly ChangedSetting[] {
    return this.#content.settings;
  }

  get neighbours(): readonly MadeNeighbour[] {
    return this.#content.neighbours;
  }

  get receptions(): readonly MadeReception[] {
    return this.#content.receptions;
  }

  get pairs(): readonly MadePair[] {
    return this.#content.pairs;
  }

  get devices(): readonly string[] {
    return this.#content.devices;
  }

  addReceptions(made: readonly MadeReception[]): void {
    const { receptions } = this.#content;
    const fresh = made.filter((one) => !receptions.some((known) => sameReception(known, one)));
    if (fresh.length > 0) this.#write({ ...this.#content, receptions: [...receptions, ...fresh] });
  }

  removeReceptions(gone: readonly MadeReception[]): void {
    const receptions = this.#content.receptions.filter((one) => !gone.some((other) => sameReception(one, other)));
    if (receptions.length < this.#content.receptions.length) this.#write({ ...this.#content, receptions });
  }

  addPair(pair: MadePair): void {
    const { pairs } = this.#content;
    if (!pairs.some(({ name }) => name === pair.name)) this.#write({ ...this.#content, pairs: [...pairs, pair] });
  }

  removePair(name: string): void {
    const pairs = this.#content.pairs.filter((one) => one.name !== name);
    if (pairs.length < this.#content.pairs.length) this.#write({ ...this.#content, pairs });
  }

  addDevice(name: string): void {
    const { devices } = this.#content;
    if (!devices.includes(name)) this.#write({ ...this.#content, devices: [...devices, name] });
  }

  removeDevice(name: string): void {
    const devices = this.#content.devices.filter((one) => one !== name);
    if (devices.length < this.#content.devices.length) this.#write({ ...this.#content, devices });
  }

  /** The first change of a setting is the one to put back. */
  addSetting(change: ChangedSetting): void {
    const { settings } = this.#content;
    const same = (one: ChangedSetting): boolean =>
      one.device === change.device && one.ifindex === change.ifindex && one.setting === change.setting;
    if (!settings.some(same)) this.#write({ ...this.#content, settings: [...settings, change] });
  }

  addNeighbours(made: readonly MadeNeighbour[]): void {
    const { neighbours } = this.#content;
    const fresh = made.filter((one) => !neighbours.some((known) => sameNeighbour(known, one)));
    if (fresh.length > 0) this.#write({ ...this.#content, neighbours: [...neighbours, ...fresh] });
  }

  removeNeighbours(gone: readonly MadeNeighbour[]): void {
    const neighbours = this.#content.neighbours.filter((one) => !gone.some((other) => sameNeighbour(one, other)));
    if (neighbours.length < this.#content.neighbours.length) this.#write({ ...this.#content, neighbours });
  }

  removeSetting(change: ChangedSetting): void {
    this.#write({ ...this.#content, settings: this.#content.settings.filter((one) => one !== change) });
  }

  /** Everything was put back. */
  remove(): void {
    this.#content = EMPTY;
    try {
      unlinkSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  #write(content: Content): void {
    writeDurably(this.#path, `${JSON.stringify(content, undefined, 2)}\n`);
    this.#content = content;
  }
}

function sameReception(a: MadeReception, b: MadeReception): boolean {
  return a.ifindex === b.ifindex && a.device === b.device && a.kind === b.kind && a.address === b.address;
}

function sameNeighbour(a: MadeNeighbour, b: MadeNeighbour): boolean {
  return a.ifindex === b.ifindex && a.address === b.address;
}
