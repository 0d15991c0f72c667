/** What a plan packs, in buffers of any size and while the table is edited, is what it says entry by entry. */
import { expect, it } from 'vitest';
import {
  EntryBuffer,
  IdBook,
  isPortMap,
  keyBytes,
  type Plan,
  type PortMap,
  plan,
  valueBytes,
  WRITE_ORDER,
} from '../../../src/compiler/index.ts';
import { applyDelta, type CompactTable } from '../../../src/table/index.ts';
import { tableOf } from '../../support/table-object.ts';
import { RandomTable } from './random-table.ts';

const SEED = Number(process.env.MAPWIRE_SEED ?? Date.now() % 1_000_000);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function told(of: Plan, map: PortMap): string[] {
  const shared = new Set([...of.sharedEntries(map)].map((entry) => hex(keyBytes(entry))));
  const all = [...of.entries(map)].map((entry) => `${hex(keyBytes(entry))} ${hex(valueBytes(entry))}`);
  return all.filter((entry) => !shared.has(entry.slice(0, entry.indexOf(' ')))).sort();
}

function packed(of: Plan, map: PortMap, capacity: number, between: () => void = () => {}): string[] {
  const found: string[] = [];
  const buffer = new EntryBuffer(map, capacity);
  for (let from: number | undefined = 0; from !== undefined; ) {
    from = of.pack(map, from, buffer);
    for (let i = 0; i < buffer.count; i++) {
      const key = buffer.keys.subarray(i * buffer.keySize, (i + 1) * buffer.keySize);
      found.push(`${hex(key)} ${hex(buffer.values.subarray(i * buffer.valueSize, (i + 1) * buffer.valueSize))}`);
    }
    buffer.clear();
    between();
  }
  return found.sort();
}

it(`packs what it lists (MAPWIRE_SEED=${SEED})`, () => {
  for (let run = 0; run < 20; run++) {
    const random = new RandomTable(SEED + run);
    const table = tableOf(random.draft);
    const one = plan(table, 'n0', new IdBook());
    let newest = table as CompactTable;
    for (const map of WRITE_ORDER) {
      if (!isPortMap(map)) continue;
      const expected = told(one, map);
      expect(packed(one, map, 1 + (run % 7)), `seed ${SEED + run}`).toEqual(expected);
      // the plan stays that of its own version of the table
      const edited = packed(one, map, 2, () => {
        const ports = [...newest.ports()];
        const port = ports[run % Math.max(1, ports.length)];
        if (port === undefined) return;
        const { table: next } = applyDelta(newest, [{ delete: 'port', id: port.id }]);
        newest = next ?? newest;
      });
      expect(edited, `seed ${SEED + run}, edited`).toEqual(expected);
    }
  }
});
