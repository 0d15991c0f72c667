/** Loaded into a process (`node --import`): at its end it allocates as a load does, and tells how large the space for young objects became. */
import { getHeapSpaceStatistics } from 'node:v8';

process.on('exit', () => {
  const kept = [];
  for (let i = 0; i < 1_000_000; i++) kept.push([i]);
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  process.stdout.write(`young: ${kept.length > 0 ? space.space_size : 0}\n`);
});
