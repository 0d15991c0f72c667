/** `npm run setup`: everything that building and testing need. */
import { main, say } from './lib/project.mjs';
import { setup } from './lib/setup.mjs';

await main(async () => {
  const unmet = await setup();
  if (unmet.length === 0) {
    say('Everything is in place.');
    return 0;
  }
  process.stderr.write(
    `Missing, and only root can add it (sudo npm run setup):\n${unmet.map((one) => `  ${one}\n`).join('')}`,
  );
  return 1;
});
