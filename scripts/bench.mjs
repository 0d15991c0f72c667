/**
 * `npm run bench`: sets up and builds what is missing, then runs bench/main.ts with the same arguments.
 */
import { lockedBuild } from './lib/build.mjs';
import { main, root, run } from './lib/project.mjs';
import { checkPlatform, setup } from './lib/setup.mjs';

await main(async (args) => {
  checkPlatform();
  await setup();
  await lockedBuild();
  return run('node', [`${root}/dist/bench/main.js`, ...args]);
});
