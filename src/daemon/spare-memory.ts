import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimMemory } from '../libbpf/index.ts';

/**
 * Gives back what a large load, or the comparison of large maps, has left unused: V8 and the C library would keep it for the next one, which
 * may be weeks away. Takes some tens of milliseconds in which nothing else is done: once after each of the two.
 */
export function giveBackMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  collect();
  trimMemory();
}
