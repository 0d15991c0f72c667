import { addon } from './addon.ts';
import type { NativeFdWatch } from './addon-types.ts';
import type { Fd } from './fd.ts';

export interface ReadinessOptions {
  /** Closes it. */
  readonly signal?: AbortSignal;
  /** Whether waiting alone keeps the process running; no unless said otherwise. */
  readonly keepAlive?: boolean;
}

/** Nothing else holds one that is waited for: the waiting promise would be collected with it. */
const awaited = new Set<Readiness>();

/**
 * Waits until a descriptor is readable. A native thread waits in epoll and reports once; after that it is silent until
 * rearm(). Owns `fd` and closes it.
 */
export class Readiness {
  readonly #fd: Fd;
  readonly #watch: NativeFdWatch;
  readonly #signal: AbortSignal | undefined;
  readonly #abort: () => void;
  #readable = false;
  #wake: ((open: boolean) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(fd: Fd, options: ReadinessOptions) {
    this.#fd = fd;
    const binding = addon();
    // The callback must not hold `this`: what is dropped unclosed is to be collected and reported.
    const self = new WeakRef(this);
    try {
      this.#watch = new binding.FdWatch(fd.number, () => {
        const readiness = self.deref();
        if (readiness !== undefined) readiness.#onReadable();
      });
    } catch (error) {
      fd.close();
      throw error;
    }
    if (options.keepAlive !== true) this.#watch.unref();
    this.#signal = options.signal;
    this.#abort = () => {
      const readiness = self.deref();
      if (readiness !== undefined) readiness.close();
    };
    if (this.#signal?.aborted === true) this.close();
    else this.#signal?.addEventListener('abort', this.#abort, { once: true });
  }

  get closed(): boolean {
    return this.#fd.closed;
  }

  /** Resolves with true when there is something to read (at once, until rearm()), with false when it is closed. */
  async wait(): Promise<boolean> {
    if (this.#fd.closed || this.#readable) return !this.#fd.closed;
    if (this.#wake !== undefined) throw new Error('one reader at a time');
    awaited.add(this);
    return await new Promise<boolean>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Everything was read: wait() waits again. @param delay milliseconds before the descriptor is looked at */
  rearm(delay = 0): void {
    if (this.#fd.closed) return;
    this.#readable = false;
    if (delay === 0) this.#watch.rearm();
    else this.#timer ??= setTimeout(() => this.#later(), delay);
  }

  /** Idempotent. */
  close(): void {
    if (this.#fd.closed) return;
    this.#signal?.removeEventListener('abort', this.#abort);
    clearTimeout(this.#timer);
    this.#watch.close();
    this.#fd.close();
    this.#settle(false);
  }

  #later(): void {
    this.#timer = undefined;
    this.#watch.rearm();
  }

  #onReadable(): void {
    this.#readable = true;
    this.#settle(true);
  }

  #settle(open: boolean): void {
    awaited.delete(this);
    this.#wake?.(open);
    this.#wake = undefined;
  }
}
