/** Guests that serve balanced addresses, and clients that ask who answers. */
import type { OverlayGuest } from './overlay.ts';

/** A guest that serves addresses: it has them on its loopback device, never speaks of them, and answers there with a name. */
export async function serveAddresses(
  { namespace, agent }: OverlayGuest,
  name: string,
  port: number,
  addresses: readonly string[],
): Promise<void> {
  await namespace.sysctl({
    'net.ipv4.conf.all.arp_ignore': 1,
    'net.ipv4.conf.eth0.arp_ignore': 1,
    'net.ipv4.conf.all.arp_announce': 2,
    'net.ipv4.conf.eth0.arp_announce': 2,
  });
  const whole = addresses.map((address) => (address.includes(':') ? `${address}/128` : `${address}/32`));
  await namespace.ip(
    'link set lo up',
    ...whole.map((one) => `addr add ${one} dev lo${one.includes(':') ? ' nodad' : ''}`),
  );
  await agent.ask('serveName', { name, port, addresses });
}

/** How often each name answered. */
export function tally(answers: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
}

/** Opens so many TCP connections, by this name, until `unkeep`. */
export async function hold(client: OverlayGuest, name: string, to: string, port: number, count: number): Promise<void> {
  await client.agent.ask('keep', { name, to, port, count });
}

/** Who answers on each of the connections. */
export async function answersOf(client: OverlayGuest, name: string, wait = 3000): Promise<string[]> {
  return (await client.agent.ask<{ answers: string[] }>('poll', { name, wait })).answers;
}

let first = 20_000;

/** One datagram from each of so many source ports: who answers. */
export async function datagramAnswers(
  client: OverlayGuest,
  to: string,
  port: number,
  count = 120,
  wait = 3000,
): Promise<string[]> {
  first += count;
  return (await client.agent.ask<{ answers: string[] }>('askNames', { to, port, count, first, wait })).answers;
}
