import { writeFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** What one run of vitest did. `errors` counts what failed outside of any test (a module that does not load, a rejection). */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly errors: number;
  /** Full names of the skipped tests: a skip is never silent. */
  readonly skippedNames: readonly string[];
}

function fullName(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function count(modules: readonly TestModule[], unhandled: number): TestCounts {
  let passed = 0;
  let failed = 0;
  let errors = unhandled;
  const skippedNames: string[] = [];
  for (const module of modules) {
    errors += module.errors().length;
    for (const suite of module.children.allSuites()) errors += suite.errors().length;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed++;
      else if (state === 'skipped') skippedNames.push(fullName(test));
      else failed++;
    }
  }
  return { passed, failed, skipped: skippedNames.length, errors, skippedNames };
}

/** Writes the counts of a run as JSON to the file named by MAPWIRE_TEST_COUNTS, for scripts/test.mjs. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const file = process.env.MAPWIRE_TEST_COUNTS;
    if (file !== undefined) writeFileSync(file, JSON.stringify(count(modules, unhandledErrors.length)));
  }
}
