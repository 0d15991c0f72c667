import {
  IpFlags,
  ip4Key,
  ip4Value,
  ip6Key,
  ip6Value,
  macKey,
  macValue,
  port as portCodec,
} from '../generated/layout.ts';
import type { NumberColumn } from '../table/number-column.ts';
import type { StoredRow } from '../table/port-store.ts';
import { DEFAULT_PRIORITY, DEFAULT_WEIGHT } from '../table/row.ts';
import type { RowView } from '../table/row-view.ts';
import { type Entry, keyBytes, valueBytes } from './entries.ts';
import type { EntryBuffer } from './entry-buffer.ts';
import type { PortMap } from './port-entries.ts';

/** No port has more entries of one map: `ips` and `allow` are not limited, so one that has is packed alone. */
const USUAL = 8;

/** Rows that are looked at in one go: of some maps hardly any has an entry. */
const MOST_ROWS = 16_384;

/** What packing needs to know of the rest of a plan. */
export interface PackContext {
  /** Kernel id of a network; undefined: it is not in the plan. */
  network(name: string): number | undefined;
  segment(network: string): number;
  nodeId(name: string): number;
  /** Entries of a port that does not lie in columns. */
  entries(stored: StoredRow, id: number): Iterable<Entry>;
}

/**
 * The entries of ports as bytes, from the table's columns: what `portEntries` says, without an object an entry. (A test holds the two
 * together.)
 */
export class PortPacker {
  readonly #view: RowView;
  readonly #ids: NumberColumn;
  readonly #context: PackContext;
  /** By number of the name, 0: not looked up yet. Kernel ids are never 0. */
  readonly #networks: number[] = [];
  readonly #segments: number[] = [];
  readonly #nodes: number[] = [];
  readonly #mac = new Uint8Array(6);
  readonly #ip6 = new Uint8Array(16);
  /** Written again for each port. */
  readonly #port = {
    port: 0,
    network: 0,
    mac: this.#mac,
    flags: 0,
    at: [{ node: 0, segment: 0, priority: DEFAULT_PRIORITY, weight: DEFAULT_WEIGHT, flags: 0 }],
    former: 0,
    sequence: 0,
    formerUntil: 0n,
  };

  /** @param ids kernel ids by row; 0: not in the plan */
  constructor(view: RowView, ids: NumberColumn, context: PackContext) {
    this.#view = view;
    this.#ids = ids;
    this.#context = context;
  }

  /** Adds entries of ports from row `from` on, of some thousand rows at most. Returns the row to go on with; undefined at the end. */
  pack(map: PortMap, from: number, into: EntryBuffer): number | undefined {
    const view = this.#view;
    const end = Math.min(view.limit, from + MOST_ROWS);
    for (let row = from; row < end; row++) {
      const id = this.#ids.get(row);
      if (!id) continue;
      if (view.isPlain(row)) {
        if (into.room < 1) return row;
        this.#plain(map, row, id, into);
        continue;
      }
      const stored = view.stored(row);
      if (stored === undefined) continue;
      if (into.room < USUAL && into.count > 0) return row;
      const entries = [...this.#context.entries(stored, id)];
      if (entries.length > into.room && into.count > 0) return row;
      for (const entry of entries) into.push(keyBytes(entry), valueBytes(entry));
    }
    return end < view.limit ? end : undefined;
  }

  #network(number: number): number {
    let id = this.#networks[number];
    if (id === undefined) {
      const name = this.#view.networkName(number);
      id = this.#context.network(name) ?? 0;
      this.#networks[number] = id;
      this.#segments[number] = id === 0 ? 0 : this.#context.segment(name);
    }
    return id;
  }

  #node(number: number): number {
    let id = this.#nodes[number];
    if (id === undefined) {
      id = this.#context.nodeId(this.#view.nodeName(number));
      this.#nodes[number] = id;
    }
    return id;
  }

  #plain(map: PortMap, row: number, id: number, into: EntryBuffer): void {
    const view = this.#view;
    const network = this.#network(view.network(row));
    if (network === 0) return;
    const at = into.count;
    const { keyView, valueView } = into;
    switch (map) {
      case 'port': {
        const port = this.#port;
        const locator = port.at[0]!;
        port.port = id;
        port.network = network;
        view.macBytes(row, this.#mac);
        locator.node = this.#node(view.node(row));
        locator.segment = this.#segments[view.network(row)]!;
        keyView.setUint32(at * 4, id, true);
        portCodec.write(valueView, at * portCodec.size, port);
        break;
      }
      case 'mac': {
        view.macBytes(row, this.#mac);
        macKey.write(keyView, at * macKey.size, { network, mac: this.#mac });
        macValue.write(valueView, at * macValue.size, { port: id, network, mac: this.#mac, flags: 0 });
        break;
      }
      case 'ip4': {
        if (!view.hasIp4(row)) return;
        const addr = view.ip4(row);
        ip4Key.write(keyView, at * ip4Key.size, { network, addr });
        ip4Value.write(valueView, at * ip4Value.size, { port: id, network, addr, flags: IpFlags.ANSWER });
        break;
      }
      case 'ip6': {
        if (!view.hasIp6(row)) return;
        view.ip6Bytes(row, this.#ip6);
        ip6Key.write(keyView, at * ip6Key.size, { network, addr: this.#ip6 });
        ip6Value.write(valueView, at * ip6Value.size, { port: id, network, addr: this.#ip6, flags: IpFlags.ANSWER });
        break;
      }
      default:
        // Plain ports have no further prefixes.
        return;
    }
    into.count++;
  }
}
