/** Ports that move, beside their networks: what the network must carry for it. */

import { inOrder, reportPort } from './check-places.ts';
import { quote } from './diagnostics.ts';
import type { TableEdit } from './edit.ts';
import { isIpOnly } from './encapsulation.ts';
import type { TableNetwork } from './model.ts';

export function checkMoves(edit: TableEdit): void {
  const { store } = edit;
  if (store.moving.size === 0) return;
  const { touchedRows } = edit;
  const all = touchedRows === undefined || edit.networks.changed.size > 0;
  const suspects = all ? [...store.moving] : [...touchedRows].filter((row) => store.moving.has(row));
  for (const row of inOrder(edit, suspects)) {
    const network = edit.networks.values.get(store.network(row));
    if (network !== undefined) moving(edit, row, network);
  }
}

function moving(edit: TableEdit, row: number, network: TableNetwork): void {
  const { store } = edit;
  const [port, name] = [`port ${quote(store.id(row))}`, quote(network.id)];
  if (network.encap === 'flat') {
    const message = `${port} has 'move' in network ${name}, which is flat: frames for it go onto the wire, and the wire takes them to wherever it is`;
    reportPort(
      edit,
      'MW193',
      row,
      () => ['move'],
      message,
      () => "write the new place under 'at', with a higher 'sequence', when the guest is there",
    );
    return;
  }
  if (store.stored(row).row.move?.activate !== 'announcement') return;
  const why = isIpOnly(network.encap)
    ? `is ${network.encap} and carries neither ARP nor neighbour discovery`
    : network.flood === 'none'
      ? "has 'flood: none'"
      : undefined;
  if (why === undefined) return;
  const message = `${port} is to be moved by its announcement, which never reaches other nodes: network ${name} ${why}`;
  reportPort(
    edit,
    'MW192',
    row,
    () => ['move', 'activate'],
    message,
    () => "write 'activate: table', and end the move by a table in which the new place stands under 'at'",
  );
}
