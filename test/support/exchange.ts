/** What guests do to each other in the tests of encapsulations and peers; each function rejects with what went wrong. */
import type { OverlayGuest } from './overlay.ts';
import { eventually } from './process.ts';
import { ping } from './traffic.ts';

export type Family = 4 | 6;

let number = 0;
/** Numbers that no two tests of a process share: ports and texts are told apart by them. */
const unique = () => ++number;

export const addressOf = (guest: OverlayGuest, family: Family): string => (family === 4 ? guest.ip4 : guest.ip6);

/** Echo requests that are all answered: the first may be lost where a peer still looks for its neighbour (`warm`). */
export async function pings(from: OverlayGuest, to: OverlayGuest, family: Family, warm = false): Promise<void> {
  const address = addressOf(to, family);
  if (warm) {
    await eventually(`${from.name} reaches ${address}`, async () => {
      const { received } = await ping(from.namespace, address, { count: 1 });
      return received === 1;
    });
  }
  const { sent, received, output } = await ping(from.namespace, address, { count: 3, interval: 0.02 });
  if (received !== sent) throw new Error(`${from.name} pings ${to.name}:\n${output}`);
}

/** UDP datagrams there and back, compared. */
export async function compares(
  from: OverlayGuest,
  to: OverlayGuest,
  family: Family,
  sizes: readonly number[] = [0, 1, 17, 512, 1200, 4000],
): Promise<void> {
  await from.agent.compare(to.agent, addressOf(from, family), addressOf(to, family), sizes);
}

/** TCP there and back, SHA-256 compared. */
export async function transfers(from: OverlayGuest, to: OverlayGuest, family: Family, bytes: number) {
  return from.agent.transfer(to.agent, addressOf(from, family), addressOf(to, family), bytes);
}

/** Forgets its neighbours, then finds `to` again: with the MAC that it has. */
export async function resolves(from: OverlayGuest, to: OverlayGuest, family: Family): Promise<void> {
  const version = family === 4 ? '-4' : '-6';
  const address = addressOf(to, family);
  await from.namespace.run(['ip', version, 'neigh', 'flush', 'all']);
  const { received, output } = await ping(from.namespace, address, { count: 1 });
  if (received !== 1) throw new Error(`${from.name} looks for ${to.name} and gets no answer:\n${output}`);
  const { stdout } = await from.namespace.run(['ip', version, '-j', 'neigh', 'show', 'to', address]);
  const [entry] = JSON.parse(stdout) as { lladdr?: string }[];
  if (entry?.lladdr !== to.mac)
    throw new Error(`${from.name} takes ${address} to be at ${entry?.lladdr}, not ${to.mac}`);
}

const ALL = { 4: '255.255.255.255', 6: 'ff02::1' } as const;

/** Three datagrams to everybody: each of `others` hears each exactly once, none of `deaf` any, and nothing comes back to the sender. */
export async function broadcasts(
  from: OverlayGuest,
  others: readonly OverlayGuest[],
  family: Family,
  to: string = ALL[family],
  deaf: readonly OverlayGuest[] = [],
): Promise<void> {
  const groups = to === '255.255.255.255' || to === 'ff02::1' ? [] : [to];
  const name = `everybody ${unique()}`;
  const port = 20_000 + number;
  const texts = [1, 2, 3].map((n) => `${from.name} ${name} ${n}`);
  const all = [from, ...others, ...deaf];
  for (const guest of all)
    await guest.agent.ask('listen', { name, family, port, groups, device: 'eth0', address: guest.ip4 });
  try {
    await from.agent.ask('send', { from: addressOf(from, family), to, port, device: 'eth0', texts });
    for (const guest of others) {
      const heard = await guest.agent.hears(name, texts);
      for (const text of texts)
        if (heard[text] !== 1) throw new Error(`${guest.name} heard '${text}' ${heard[text] ?? 0} times`);
    }
    for (const guest of deaf) {
      const heard = Object.keys(await guest.agent.heard(name));
      if (heard.length > 0) throw new Error(`${guest.name} heard ${heard.join(', ')}`);
    }
    // The stack itself lets a host hear its own broadcast (not its multicast, where the socket says so): once, not twice.
    const own = to === ALL[4] ? 1 : 0;
    const echo = await from.agent.heard(name);
    for (const text of texts)
      if ((echo[text] ?? 0) !== own) throw new Error(`${from.name} heard its own '${text}' ${echo[text] ?? 0} times`);
  } finally {
    for (const guest of all) await guest.agent.ask('unlisten', { name });
  }
}

/** The same for a multicast group that the guests join. */
export function multicasts(from: OverlayGuest, others: readonly OverlayGuest[], family: Family): Promise<void> {
  return broadcasts(from, others, family, family === 4 ? '239.77.0.1' : 'ff15::77:1');
}

export interface ExchangeOptions {
  /** Bytes of TCP each way. Default 4 MiB. */
  readonly bytes?: number;
  /** Sizes of UDP datagrams. */
  readonly sizes?: readonly number[];
}

/** All of it, both directions: ping, UDP, TCP, ARP or neighbour discovery, broadcast, multicast. */
export async function exchanges(
  one: OverlayGuest,
  two: OverlayGuest,
  family: Family,
  { bytes = 4 << 20, sizes = [0, 1, 17, 512, 1200, 4000] }: ExchangeOptions = {},
): Promise<void> {
  await pings(one, two, family, true);
  await pings(two, one, family, true);
  await resolves(one, two, family);
  await resolves(two, one, family);
  await compares(one, two, family, sizes);
  await compares(two, one, family, sizes);
  await transfers(one, two, family, bytes);
  await transfers(two, one, family, bytes);
  await broadcasts(one, [two], family);
  await broadcasts(two, [one], family);
  await multicasts(one, [two], family);
  await multicasts(two, [one], family);
}
