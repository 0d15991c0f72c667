/**
 * `npm start`: sets up and builds what is missing, then runs the demo of examples/three-hosts.
 */
import { lockedBuild } from './lib/build.mjs';
import { isRoot, main, root, run, ScriptError } from './lib/project.mjs';
import { checkPlatform, setup } from './lib/setup.mjs';

await main(async (args) => {
  checkPlatform();
  if (!isRoot)
    throw new ScriptError('the demo makes network namespaces and loads BPF programs, so it needs root: sudo npm start');
  await setup();
  await lockedBuild();
  return run('node', [`${root}/dist/scripts/demo.js`, ...args]);
});
