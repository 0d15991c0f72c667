/**
 * `npm test` and `npm run test:…`: sets up what is missing, builds what changed, runs the named projects (all short ones
 * by default) and ends with the line `tests: N passed, N failed, N skipped`.
 *
 * Without root only unit tests run; then it says what did not and exits 1. As root, a run of `npm test` in which no
 * kernel test passed has failed, whatever the counts.
 */
import { lockedBuild } from './lib/build.mjs';
import { isRoot, main, ScriptError, say } from './lib/project.mjs';
import { setup } from './lib/setup.mjs';
import { closingLine, runTests } from './lib/test.mjs';

const SHORT = ['unit', 'kernel', 'system'];
const ALL = [...SHORT, 'long', 'kernels'];

await main(async (args) => {
  const named = args.filter((arg) => ALL.includes(arg));
  const rest = args.filter((arg) => !ALL.includes(arg));
  const wanted = named.length > 0 ? named : SHORT;

  const unmet = await setup({ kernels: wanted.includes('kernels') });
  const complaints = [];
  try {
    await lockedBuild();
  } catch (error) {
    // without root the tools of the build may be missing; the unit tests that need none still have something to say
    if (!(error instanceof ScriptError) || isRoot) throw error;
    complaints.push('the build failed (see above)');
  }

  const runnable = isRoot ? wanted : wanted.filter((project) => project === 'unit');
  const results = await runTests(runnable, rest);
  for (const [project, counts] of Object.entries(results)) {
    if (counts.failed > 0) complaints.push(`${counts.failed} of the ${project} tests failed`);
    if (counts.passed === 0) complaints.push(`no ${project} test passed`);
  }
  const needRoot = wanted.filter((project) => !runnable.includes(project));
  if (needRoot.length > 0) {
    complaints.push(`the ${needRoot.join(' and ')} tests did not run: they need root (sudo npm test)`);
    for (const one of unmet) complaints.push(`missing, and only root can add it (sudo npm run setup): ${one}`);
  }
  if (isRoot && rest.length === 0) {
    const absent = wanted.filter((project) => results[project] === undefined);
    if (absent.includes('kernel')) complaints.push('no kernel test ran');
    else if (named.length > 0 && absent.length > 0) complaints.push(`there are no ${absent.join(' and ')} tests`);
  }

  say('');
  for (const complaint of complaints) say(`not good: ${complaint}`);
  say(closingLine(results));
  return complaints.length > 0 ? 1 : 0;
});
