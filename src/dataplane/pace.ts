/** The event loop is given back after at most so long, in milliseconds: no more than a few of them may be blocked at once. */
const SLICE_MS = 4;

/** For long work on the main thread: `await pause()` often; it lets others run when the slice is over, else costs next to nothing. */
export function pacer(slice = SLICE_MS): () => Promise<void> {
  let since = performance.now();
  const done = Promise.resolve();
  return () => {
    if (performance.now() - since < slice) return done;
    return new Promise((resolve) =>
      setImmediate(() => {
        since = performance.now();
        resolve();
      }),
    );
  };
}
