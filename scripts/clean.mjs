/** `npm run clean`: removes what the build made. Installed packages stay. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { main, root } from './lib/project.mjs';

await main(async () => {
  for (const folder of ['dist', 'build']) rmSync(join(root, folder), { recursive: true, force: true });
});
