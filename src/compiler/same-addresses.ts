import { equalIp } from '../table/address.ts';
import type { PortRow } from '../table/row.ts';

/**
 * Has a port the same entries in two versions of the table, but for its own in `port`, as long as its network and its kernel id are the
 * same? So it is when nothing but where it is changes. `false` may be said of others, too: it costs time alone.
 */
export function sameAddresses(before: PortRow, after: PortRow): boolean {
  return (
    before.network === after.network &&
    before.mac === after.mac &&
    before.ips.length === after.ips.length &&
    before.ips.every((ip, i) => equalIp(ip, after.ips[i]!)) &&
    // Of these it counts whether the port is local, and how it moves.
    before.allow.length + after.allow.length === 0 &&
    before.move === undefined &&
    after.move === undefined
  );
}
