/** How long a long test is: MAPWIRE_LONG=10 makes each ten times as long, 0.1 a tenth. */
export const FACTOR = Number(process.env.MAPWIRE_LONG ?? 1);

/** `count` times the factor, and at least `least`. */
export function scaled(count: number, least = 1): number {
  return Math.max(least, Math.round(count * FACTOR));
}
