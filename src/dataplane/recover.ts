import { type Generation, openGeneration } from './generation.ts';
import type { PinDirectory } from './pin-dir.ts';

export interface Recovered {
  /** The newest complete generation; undefined when nothing is in force. */
  readonly current: Generation | undefined;
  /** Older complete ones: a switch was interrupted; links may still run their programs. */
  readonly old: readonly Generation[];
}

/**
 * Reads what earlier processes left. A generation that was being built when its process ended is removed; of several
 * complete ones the newest counts, and the caller finishes the switch to it.
 */
export function recover(pins: PinDirectory): Recovered {
  const complete: Generation[] = [];
  for (const number of pins.generations()) {
    const generation = openGeneration(pins.generationPath(number), number);
    if (generation.whole && generation.meta()?.complete === true) {
      complete.push(generation);
    } else {
      generation.unpin();
      generation.close();
    }
  }
  const current = complete.pop();
  return { current, old: complete };
}
