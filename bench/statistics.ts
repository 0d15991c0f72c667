/** Of a few repeated measurements. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly samples: readonly number[];
}

/** The value below which `share` (0 to 1) of the values lie, between the two nearest. Of none: NaN. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  const place = (sorted.length - 1) * share;
  const below = Math.floor(place);
  const low = sorted[below];
  if (low === undefined) return Number.NaN;
  const high = sorted[Math.ceil(place)] ?? low;
  return low + (high - low) * (place - below);
}

export function summary(samples: readonly number[]): Summary {
  const least = Math.min(...samples);
  return { median: quantile(samples, 0.5), least, most: Math.max(...samples), samples };
}

/** Half the distance from least to most, as a share of the median: the figure behind "±". */
export function spread({ median, least, most }: Summary): number {
  return (most - least) / 2 / median;
}
