/**
 * `npm run check`: the whole gate. Format and lint, types, generated code in step, then every short test (among them the
 * import rule, the tables of errors and the like in test/unit/project). The first failure ends it.
 */
import { main, mustRun, run, say } from './lib/project.mjs';
import { setup } from './lib/setup.mjs';

await main(async () => {
  await setup();
  say('== format and lint');
  await mustRun('node_modules/.bin/biome', ['ci', '.']);
  say('== types');
  await mustRun('node_modules/.bin/tsc', ['--noEmit', '-p', '.']);
  say('== generated code');
  await mustRun('node', ['scripts/gen.mjs', '--check']);
  return run('node', ['scripts/test.mjs']);
});
