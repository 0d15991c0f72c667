/** Runs vitest project by project and adds up what happened. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environment, root, run, say } from './project.mjs';

/** Where the test files of a project are. */
const folders = {
  unit: 'test/unit',
  kernel: 'test/kernel',
  system: 'test/system',
  long: 'test/long',
  kernels: 'test/kernels',
};

function hasTests(folder) {
  return (
    existsSync(join(root, folder)) &&
    readdirSync(join(root, folder), { recursive: true }).some((name) => String(name).endsWith('.test.ts'))
  );
}

/**
 * @typedef {{passed: number, failed: number, skipped: number}} Counts
 */

/**
 * Runs one vitest project. A run that ends without counts (a crash of vitest itself) is one failure.
 * @param {keyof typeof folders} project
 * @param {readonly string[]} args further arguments for vitest
 * @returns {Promise<Counts>}
 */
async function runProject(project, args) {
  const folder = mkdtempSync(join(tmpdir(), 'mapwire-test-'));
  const file = join(folder, 'counts.json');
  try {
    say(`\n== ${project} tests (${folders[project]})`);
    const status = await run('node', ['node_modules/vitest/vitest.mjs', 'run', '--project', project, ...args], {
      env: { ...environment, MAPWIRE_TEST_COUNTS: file },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (!existsSync(file)) return { passed: 0, failed: 1, skipped: 0 };
    const counts = JSON.parse(readFileSync(file, 'utf8'));
    for (const name of counts.skippedNames) say(`skipped: ${name}`);
    const failed = counts.failed + counts.errors;
    return { passed: counts.passed, failed: status !== 0 && failed === 0 ? 1 : failed, skipped: counts.skipped };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Projects that run beside the others, in a lane of their own: the system tests wait (for a daemon, for packets) more than
 * they compute, and share nothing with the kernel tests, each namespace, pin directory and port being a test's own.
 */
const beside = new Set(['system']);

/**
 * @param {readonly (keyof typeof folders)[]} projects in the order in which they run, in each of two lanes
 * @param {readonly string[]} args further arguments for vitest
 * @returns {Promise<Record<string, Counts>>} by project; one without test files is absent
 */
export async function runTests(projects, args) {
  const present = projects.filter((project) => hasTests(folders[project]));
  /** @type {Map<string, Counts>} */
  const counts = new Map();
  const lane = async (members) => {
    for (const project of members) counts.set(project, await runProject(project, args));
  };
  await Promise.all([
    lane(present.filter((project) => !beside.has(project))),
    lane(present.filter((project) => beside.has(project))),
  ]);
  return Object.fromEntries(
    present.filter((project) => counts.has(project)).map((project) => [project, counts.get(project)]),
  );
}

/** The line that ends every test run, which CI reads. */
export function closingLine(results) {
  const sum = (key) => Object.values(results).reduce((total, counts) => total + counts[key], 0);
  return `tests: ${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`;
}
