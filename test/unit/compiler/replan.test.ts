import { describe, expect, it } from 'vitest';
import type { Entry, Plan, TableEdits } from '../../../src/compiler/index.ts';
import {
  diff,
  groupNatural,
  IdBook,
  keyText,
  plan,
  replan,
  valueBytes,
  WRITE_ORDER,
} from '../../../src/compiler/index.ts';
import { AllowFlags, BalanceFlags, MacFlags, NodeFlags, VtepFlags } from '../../../src/generated/layout.ts';
import { ipFromMappedBytes, macFromBytes, macNumberFromBytes } from '../../../src/table/address.ts';
import { tableOf } from '../../support/table-object.ts';
import { RandomTable } from './random-table.ts';
import { content, facts, named, referenceFacts, referencePlan } from './reference-plan.ts';

const SEED = Number(process.env.MAPWIRE_SEED ?? Date.now() % 1_000_000);
const RUNS = 25;
const EDITS = 20;
/** A loaded machine. */
const PATIENCE = 120_000;

function changesBetween(before: object, after: object): Set<string> {
  const [a, b] = [before as Record<string, unknown>, after as Record<string, unknown>];
  const ids = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const id of ids) if (JSON.stringify(a[id]) === JSON.stringify(b[id])) ids.delete(id);
  return ids;
}

it('gives a renamed port the id that it had, and the entries that stay', () => {
  const port = { network: 'blue', mac: '02:00:00:00:00:01', ips: ['10.1.0.1'], at: [{ node: 'a' }] };
  const base = { nodes: { a: { underlay: '192.0.2.1' } }, networks: { blue: { segment: 1 } } };
  const ids = new IdBook();
  const before = plan(tableOf({ ...base, ports: { old: port } }), 'a', ids);
  const { plan: after, changes } = replan(before, tableOf({ ...base, ports: { fresh: port } }), {
    nodes: [],
    networks: [],
    ports: ['old', 'fresh'],
  });
  expect(changes.entries).toEqual([]);
  expect(ids.portName(1)).toBe('fresh');
  expect(after.localPort('fresh')?.id).toBe(1);
  expect(() => before.localPort('old')).toThrow(expect.objectContaining({ code: 'ERR_MW_CLOSED' }));
});

describe(`random edits, MAPWIRE_SEED=${SEED}`, () => {
  it(
    'recomputing the change gives what recomputing everything gives, and what the reference gives',
    () => {
      const met = new Set<string>();
      for (let run = 0; run < RUNS; run++) {
        const random = new RandomTable(SEED + run);
        let clock = 0;
        const ids = new IdBook({ now: () => clock });
        let draft = structuredClone(random.draft);
        let table = tableOf(draft);
        let current = plan(table, 'n0', ids);
        const told: string[] = [];
        expect(named(current), `seed ${SEED + run}`).toEqual(referencePlan(table, 'n0'));
        for (let edit = 0; edit < EDITS; edit++) {
          const why = `seed ${SEED + run}: ${told.join(', ')}`;
          for (let i = edit % 3; i >= 0; i--) told.push(random.edit());
          clock += 1000;
          const next = structuredClone(random.draft);
          const nextTable = tableOf(next);
          const changes: TableEdits = {
            nodes: changesBetween(draft.nodes, next.nodes),
            networks: changesBetween(draft.networks, next.networks),
            ports: changesBetween(draft.ports, next.ports),
            addresses: changesBetween(draft.addresses, next.addresses),
          };
          const kernel = content(current.entries());
          const localsBefore = new Map([...current.localPorts()].map((port) => [port.port, JSON.stringify(port)]));
          const groupsBefore = JSON.stringify([[...current.groups()], current.wire]);
          const peersBefore = new Map([...current.peers()].map((peer) => [peer.node, JSON.stringify(peer)]));
          const result = replan(current, nextTable, changes);
          current = result.plan;

          // Applied to what was in force the changes give what is planned now, and each of them is needed.
          for (const change of result.changes.entries) {
            const key = keyText(change.entry);
            if (change.op === 'delete') {
              expect(kernel.delete(key), why).toBe(true);
            } else {
              const value = Buffer.from(valueBytes(change.entry)).toString('hex');
              expect(kernel.get(key), why).not.toBe(value);
              kernel.set(key, value);
            }
          }
          const now = content(current.entries());
          expect(kernel, why).toEqual(now);
          expect(named(current), why).toEqual(referencePlan(nextTable, 'n0'));
          expect(facts(current), why).toEqual(referenceFacts(nextTable, 'n0'));
          const checksums = [...current.entries('node')].some(
            (entry) => entry.map === 'node' && (entry.value.flags & NodeFlags.CHECKSUM) !== 0,
          );
          expect(current.features.checksum, why).toBe(checksums);
          note(met, current);

          // Ids are held for what is in the plan, and for nothing else.
          expect([ids.ports.size, ids.networks.size, ids.addresses.size, ids.nodes.size], why).toEqual([
            current.sizes.port,
            current.sizes.network,
            current.sizes.balance,
            nextTable.nodes.size + [...current.groups()].length,
          ]);

          const whole = plan(nextTable, 'n0', ids);
          expect(content(whole.entries()), why).toEqual(now);
          expect(diff(whole, current), why).toEqual([]);
          expect(current.sizes, why).toEqual(whole.sizes);
          expect(current.features, why).toEqual(whole.features);
          const sizes = Object.fromEntries(WRITE_ORDER.map((map) => [map, [...current.entries(map)].length]));
          expect(current.sizes, why).toEqual(sizes);
          expect(
            [...current.networks()].map((one) => [one.network, one.mtu, one.ports, one.localPorts]).sort(),
            why,
          ).toEqual([...whole.networks()].map((one) => [one.network, one.mtu, one.ports, one.localPorts]).sort());

          // Who follows local ports and peers is told of every one that changed.
          const localsNow = new Map([...current.localPorts()].map((port) => [port.port, JSON.stringify(port)]));
          for (const port of new Set([...localsBefore.keys(), ...localsNow.keys()])) {
            if (localsBefore.get(port) !== localsNow.get(port))
              expect(result.changes.localPorts.has(port), why).toBe(true);
          }
          const peersNow = new Map([...current.peers()].map((peer) => [peer.node, JSON.stringify(peer)]));
          for (const node of new Set([...peersBefore.keys(), ...peersNow.keys()])) {
            if (peersBefore.get(node) !== peersNow.get(node)) expect(result.changes.peers.has(node), why).toBe(true);
          }
          const groupsNow = JSON.stringify([[...current.groups()], current.wire]);
          if (groupsBefore !== groupsNow) expect(result.changes.groups, why).toBe(true);
          draft = next;
          table = nextTable;
        }
      }
      expect(EVERYTHING.filter((one) => !met.has(one))).toEqual([]);
    },
    PATIENCE,
  );

  it(
    'finds every id again from what the kernel holds',
    () => {
      for (let run = 0; run < 10; run++) {
        const random = new RandomTable(SEED + run);
        const table = tableOf(random.draft);
        const before = plan(table, 'n0', new IdBook());
        const adopted = new IdBook();
        for (const entry of before.entries()) adopt(adopted, entry);
        const after = plan(table, 'n0', adopted);
        expect(diff(before, after), `seed ${SEED + run}`).toEqual([]);
      }
    },
    PATIENCE,
  );
});

/** What the random tables must have had among them. */
const EVERYTHING = [
  ...['vxlan', 'vxlan-gpe', 'geneve', 'gre', 'lisp', 'flat', 'untagged', 'transparent', 'IP only'],
  ...['over 4', 'over 6', 'no family', 'checksum', 'flat peer', 'group of 4', 'group of 6', 'shared group', 'wire'],
  ...['balanced', 'levels', 'source', 'members here', 'members elsewhere', 'may send from it'],
];

function note(met: Set<string>, plan: Plan): void {
  for (const { definition } of plan.networks()) {
    met.add(definition.encap);
    if (definition.segment === 0) met.add('untagged');
  }
  for (const port of plan.localPorts()) {
    if (port.transparent) met.add('transparent');
    if (port.ipOnly) met.add('IP only');
  }
  for (const { family, checksum, tunnels } of plan.peers()) {
    met.add(family === undefined ? 'no family' : `over ${family}`);
    if (checksum) met.add('checksum');
    if (!tunnels) met.add('flat peer');
  }
  for (const { address, networks } of plan.groups()) {
    met.add(address.includes(':') ? 'group of 6' : 'group of 4');
    if (networks.length > 1) met.add('shared group');
  }
  if (plan.wire) met.add('wire');
  for (const entry of plan.entries('balance')) {
    if (entry.map !== 'balance') continue;
    const { head } = entry.value;
    met.add('balanced');
    if (head.levels > 2) met.add('levels');
    if ((head.flags & BalanceFlags.SOURCE) !== 0) met.add('source');
    met.add((head.flags & BalanceFlags.HERE) !== 0 ? 'members here' : 'members elsewhere');
  }
  for (const entry of plan.entries('allow4')) {
    if (entry.map === 'allow4' && (entry.value.flags & AllowFlags.BALANCED) !== 0) met.add('may send from it');
  }
}

function adopt(ids: IdBook, entry: Entry): void {
  if (entry.map === 'vtep') {
    const address = ipFromMappedBytes(entry.key.addr);
    const isGroup = (entry.value.flags & VtepFlags.GROUP) !== 0;
    ids.nodes.adopt(entry.value.node, isGroup ? groupNatural(address) : address);
  }
  if (entry.map === 'network') ids.networks.adopt(entry.key, `${entry.value.encap}/${entry.value.segment}`);
  if (entry.map === 'mac' && (entry.value.flags & MacFlags.BALANCED) !== 0)
    ids.addresses.adopt(entry.value.port, `${entry.key.network} ${macFromBytes(entry.key.mac)}`);
  if (entry.map === 'port') ids.ports.adopt(entry.key, entry.value.network, macNumberFromBytes(entry.value.mac));
}
