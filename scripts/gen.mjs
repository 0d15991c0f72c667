/**
 * `npm run gen`: compiles the BPF objects and writes src/generated/ from their BTF. With --check it writes nothing and
 * fails where the files differ from what it would write.
 */
import { lockedBuild } from './lib/build.mjs';
import { main, run } from './lib/project.mjs';

await main(async (args) => {
  await lockedBuild(['typescript', 'bpf']);
  return run('node', ['dist/src/bintools/main.js', args.includes('--check') ? 'verify' : 'generate']);
});
