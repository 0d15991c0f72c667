/**
 * `npm run build [typescript] [bpf] [addon]`: makes dist/ and build/Release/mapwire.node from what changed.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build, lockedBuild, steps } from './lib/build.mjs';
import { main, root, ScriptError } from './lib/project.mjs';

await main(async (args) => {
  const names = args.filter((arg) => arg !== '--locked');
  const unknown = names.find((name) => !Object.hasOwn(steps, name));
  if (unknown !== undefined)
    throw new ScriptError(`unknown build step '${unknown}'; there are: ${Object.keys(steps).join(' ')}`);
  if (!existsSync(join(root, 'node_modules')))
    throw new ScriptError('node_modules is missing: run npm run setup first');
  const wanted = names.length > 0 ? names : Object.keys(steps);
  if (args.includes('--locked')) await build(wanted.map((name) => steps[name]));
  else await lockedBuild(wanted);
});
