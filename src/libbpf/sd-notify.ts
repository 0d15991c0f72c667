import { addon } from './addon.ts';
import { checked } from './system-error.ts';

/**
 * Tells systemd about this service (sd_notify(3)), e.g. `READY=1`, `STATUS=…`, `STOPPING=1`, `WATCHDOG=1`; several are
 * separated by newlines.
 *
 * @returns false when nobody listens (no NOTIFY_SOCKET)
 * @throws ERR_MW_SYSCALL, ERR_MW_NOT_FOUND when the socket does not take it
 */
export function sdNotify(state: string): boolean {
  const address = process.env.NOTIFY_SOCKET;
  if (address === undefined || address === '') return false;
  checked(addon().sendUnixDatagram(address, state), 'sendto', `notify systemd at '${address}'`);
  return true;
}
