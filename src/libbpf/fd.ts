import { MapwireError } from '../errors.ts';
import { addon } from './addon.ts';

const leaked = new FinalizationRegistry<{ readonly fd: number; readonly what: string }>(({ fd, what }) => {
  if (addon().close(fd) === 0) {
    process.emitWarning(`${what} was dropped without close(): its descriptor is closed now`, {
      type: 'MapwireLeak',
      code: 'MW_LEAK',
      detail: 'Close it, or declare it with `using`.',
    });
  }
});

/** One open descriptor with one owner. Dropping it unclosed is a bug: it is closed with a process warning `MW_LEAK`. */
export class Fd implements Disposable {
  readonly what: string;
  #number: number;

  /** @param number a descriptor that the addon returned */
  constructor(number: number, what: string) {
    this.what = what;
    this.#number = number;
    leaked.register(this, { fd: number, what }, this);
  }

  /** @throws ERR_MW_CLOSED */
  get number(): number {
    if (this.#number < 0) throw new MapwireError('ERR_MW_CLOSED', `${this.what} is closed`);
    return this.#number;
  }

  get closed(): boolean {
    return this.#number < 0;
  }

  /** Idempotent. */
  close(): void {
    if (this.#number < 0) return;
    leaked.unregister(this);
    addon().close(this.#number);
    this.#number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
