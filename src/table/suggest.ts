/** "Did you mean …?": the nearest of some words by edit distance. */

const LONGEST = 64;

/** Optimal string alignment distance (insert, delete, replace, swap neighbours), or `limit + 1` when it is more. */
export function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
      if (cost < least) least = cost;
    }
    if (least > limit) return limit + 1;
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}

/** The word of `words` that was probably meant by `wrong`; undefined when none is near enough. */
export function nearest(wrong: string, words: Iterable<string>): string | undefined {
  if (wrong.length === 0 || wrong.length > LONGEST) return undefined;
  const lower = wrong.toLowerCase();
  let limit = Math.max(1, Math.floor(wrong.length / 3));
  let best: string | undefined;
  for (const word of words) {
    if (word.length > LONGEST) continue;
    const distance = editDistance(lower, word.toLowerCase(), limit);
    if (distance <= limit && (best === undefined || distance < limit)) {
      best = word;
      limit = distance;
      if (distance === 0) break;
    }
  }
  return best;
}
