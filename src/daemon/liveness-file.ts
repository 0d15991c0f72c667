/** What `mapwire node …` said, and which nodes were down, over restarts: a file in the state directory. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../durable-file.ts';
import { MapwireError } from '../errors.ts';

/** A mapping by ids of nodes, which may be any text: `z.record` leaves `__proto__` out. */
function byNode<T>(value: z.ZodType<T>) {
  return z
    .preprocess(
      (given) => (typeof given === 'object' && given !== null ? new Map(Object.entries(given)) : given),
      z.map(z.string(), value),
    )
    .transform((map): Record<string, T> => Object.fromEntries(map));
}

const SHAPE = z.object({
  version: z.literal(1),
  commands: byNode(z.enum(['up', 'down', 'drain'])),
  /** Down by what table or probe said last. */
  down: z.array(z.string()),
  /** When they return, milliseconds since 1970; null: by hand. */
  waiting: byNode(z.number().nullable()),
});

export type LivenessRecord = Omit<z.infer<typeof SHAPE>, 'version'>;

export interface LivenessFile {
  read(): LivenessRecord;
  /** Durable when it returns. @throws ERR_MW_STATE */
  write(record: LivenessRecord): void;
}

const NOTHING: LivenessRecord = { commands: {}, down: [], waiting: {} };

/** `nodes.json` in a folder. @throws by `read` ERR_MW_STATE when it is damaged: better than using a node that is down */
export function livenessFile(folder: string): LivenessFile {
  const path = join(folder, 'nodes.json');
  return {
    read() {
      let text: string;
      try {
        text = readFileSync(path, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NOTHING;
        throw error;
      }
      try {
        return SHAPE.parse(JSON.parse(text));
      } catch (cause) {
        throw new MapwireError('ERR_MW_STATE', `'${path}' is damaged`, {
          cause,
          hint: 'it holds what `mapwire node` said: remove it, and say it again',
        });
      }
    },
    write(record) {
      try {
        writeDurably(path, `${JSON.stringify({ version: 1, ...record }, undefined, 2)}\n`);
      } catch (cause) {
        throw new MapwireError('ERR_MW_STATE', `'${path}' cannot be written: ${(cause as Error).message}`, {
          cause,
          hint: 'the states of nodes are not kept until it can; look at the disk of the state directory',
        });
      }
    },
  };
}
