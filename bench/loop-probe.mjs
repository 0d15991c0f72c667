/**
 * Loaded into the daemon by the bench (`node --import`): how long its event loop was blocked, and what memory it has.
 * SIGUSR2 appends a line of JSON to MAPWIRE_PROBE and begins anew.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

const RESOLUTION_MS = 1;
const file = process.env.MAPWIRE_PROBE;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
let before = performance.eventLoopUtilization();

function status(key) {
  const found = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return found === null ? 0 : Number(found[1]) * 1024;
}

if (file !== undefined) {
  process.on('SIGUSR2', () => {
    const now = performance.eventLoopUtilization();
    const line = {
      uptime: process.uptime(),
      // what a timer of one millisecond came later than that
      maxMs: delay.max / 1e6 - RESOLUTION_MS,
      p99Ms: delay.percentile(99) / 1e6 - RESOLUTION_MS,
      p999Ms: delay.percentile(99.9) / 1e6 - RESOLUTION_MS,
      active: performance.eventLoopUtilization(now, before).utilization,
      rss: status('VmRSS'),
      peak: status('VmHWM'),
      ...process.memoryUsage(),
    };
    before = now;
    delay.reset();
    appendFileSync(file, `${JSON.stringify(line)}\n`);
  });
}
