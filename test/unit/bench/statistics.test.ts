import { describe, expect, test } from 'vitest';
import { quantile, spread, summary } from '../../../bench/statistics.ts';

describe('quantile', () => {
  test('is the value itself, or lies between two', () => {
    expect(quantile([3, 1, 2], 0.5)).toBe(2);
    expect(quantile([4, 1, 2, 3], 0.5)).toBe(2.5);
    expect(quantile([10, 20], 0.99)).toBeCloseTo(19.9);
    expect(quantile([7], 0.99)).toBe(7);
    expect(quantile([], 0.5)).toBeNaN();
  });

  test('sorts numbers as numbers', () => {
    expect(quantile([10, 9, 100], 1)).toBe(100);
    expect(quantile([10, 9, 100], 0)).toBe(9);
  });
});

test('a summary keeps its samples, and the spread is half of the width', () => {
  const one = summary([90, 110, 100]);
  expect(one).toEqual({ median: 100, least: 90, most: 110, samples: [90, 110, 100] });
  expect(spread(one)).toBeCloseTo(0.1);
});
