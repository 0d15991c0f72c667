/** Four thousand sessions of one node, with a data plane that answers: what they cost, and that none is lost. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeDiscriminator } from '../../src/bfd/index.ts';
import { Overlay } from '../support/overlay.ts';
import { Probes } from '../support/probes.ts';
import { eventually } from '../support/process.ts';

const SESSIONS = 4000;
const SECONDS = 15;
/** Of the clock of /proc/PID/stat (USER_HZ): 100 on every architecture that Node runs on. */
const TICKS = 100;

let overlay: Overlay;

beforeAll(async () => {
  overlay = await Overlay.build();
  for (const [i, name] of ['a', 'b'].entries()) {
    await overlay.host(name, i + 1);
    overlay.node(name, [4]);
  }
  overlay.network('blue', { encap: 'vxlan', segment: 5001 });
  await overlay.guest('a', 'blue', { n: 1 });
  await overlay.guest('b', 'blue', { n: 2 });
  await overlay.start(['b'], { hook: 'tc' });
}, 60_000);

afterAll(() => overlay?.close());

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

test.each([300, 1000])(
  '4,000 sessions every %i ms',
  async (interval) => {
    const { namespace, ip4 } = overlay.hosts.get('a')!;
    const probes = new Probes(namespace);
    await probes.ask('start');
    // all with one node: who is asked does not matter to the asker
    await probes.set(
      ...Array.from({ length: SESSIONS }, (_, i) => ({
        id: `n${i}`,
        kind: 's-bfd' as const,
        local: ip4,
        remote: overlay.hosts.get('b')!.ip4,
        interval,
        discriminator: nodeDiscriminator('b'),
      })),
    );
    interface Look {
      readonly statuses: Record<string, { state: string; expired: number; sent: number }>;
      readonly totals: { readonly unsent: number };
    }
    const look = () => probes.ask<Look>('look');
    await eventually(
      'all are up',
      async () => Object.values((await look()).statuses).every(({ state }) => state === 'up'),
      30_000,
    );
    const sent = async () => Object.values((await look()).statuses).reduce((sum, one) => sum + one.sent, 0);
    const [packets, start, cpu] = [await sent(), Date.now(), cpuSeconds(probes.process.pid)];
    await new Promise((done) => setTimeout(done, SECONDS * 1000));
    const used = cpuSeconds(probes.process.pid) - cpu;
    const seconds = (Date.now() - start) / 1000;
    const rate = ((await sent()) - packets) / seconds;
    console.log(
      `${SESSIONS} sessions, ${interval} ms: ${Math.round(rate)} probes/s, ${((100 * used) / seconds).toFixed(0)} % of one CPU, ` +
        `${((1e6 * used) / (rate * seconds)).toFixed(1)} µs a probe with its answer`,
    );
    const { statuses, totals } = await look();
    expect(Object.values(statuses).filter(({ state, expired }) => state !== 'up' || expired > 0)).toEqual([]);
    expect(totals.unsent).toBe(0);
    await probes.ask('close');
    await probes.process.stop();
  },
  120_000,
);
