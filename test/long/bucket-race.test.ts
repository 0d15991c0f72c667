/** Readers and a writer of tables of buckets, as in test/kernel/libbpf/bucket-table.test.ts, for long. */
import { expect, test } from 'vitest';
import { BUCKET_RACES, bucketRace } from '../support/bucket-race.ts';
import { scaled } from '../support/long.ts';

const SEED = BigInt(process.env.MAPWIRE_SEED ?? Math.floor(Math.random() * 1e9));

test.each(BUCKET_RACES)(
  `programs that $name see no torn or foreign entry, and miss none (seed ${SEED})`,
  async (race) => {
    const { missing, foreign, torn } = await bucketRace({ ...race, runs: scaled(race.runs * 20, race.runs) }, SEED);
    expect({ missing, foreign, torn }).toEqual({ missing: 0, foreign: 0, torn: 0 });
  },
);
