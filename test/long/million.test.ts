/**
 * A daemon with a million ports: the load, restarts, the whole table anew, and edits — the same as the bench measures, with the figures
 * printed. What is asserted is what must hold on any machine.
 */
import { expect, test } from 'vitest';
import { measureDaemon } from '../../bench/daemon-scale.ts';
import { scaled } from '../support/long.ts';

const PORTS = scaled(1_000_000, 50_000);

test(`${PORTS} ports`, async () => {
  const figures = await measureDaemon({
    ports: PORTS,
    nodes: 1_000,
    say: (line) => console.info(`million: ${line}`),
  });
  // a port, a MAC and an address each
  expect(figures.load.writes).toBeGreaterThanOrEqual(3 * PORTS);
  expect(figures.restart.writes).toBe(0);
  expect(figures.reload?.lost).toBe(0);
  console.info(`million: ${JSON.stringify(figures)}`);
});
