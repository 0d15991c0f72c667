import { describe, expect, test } from 'vitest';
import { PARTS, parseCount, parseOptions, parseVariant, UsageError } from '../../../bench/options.ts';

describe('the bench’s options', () => {
  test('counts may end in k and M', () => {
    expect(['1', '64', '10k', '1.5k', '1M'].map(parseCount)).toEqual([1, 64, 10_000, 1500, 1_000_000]);
    for (const wrong of ['', 'x', '0', '1.5', '-1', '1g']) expect(() => parseCount(wrong), wrong).toThrow(UsageError);
  });

  test('without any, everything is measured at all sizes', () => {
    const options = parseOptions([]);
    expect(options).toMatchObject({ endpoints: [1, 10_000, 100_000, 1_000_000], rounds: 5, quick: false });
    expect(options !== 'help' && [...options.parts]).toEqual([...PARTS]);
  });

  test('a word that is none is refused', () => {
    expect(() => parseOptions(['--only', 'encap,nothing'])).toThrow("no part 'nothing'");
    expect(() => parseOptions(['--rounds', 'many'])).toThrow(UsageError);
    expect(() => parseOptions(['--nothing'])).toThrow(UsageError);
  });

  test('a variant is a hook, lines of configuration and a checkout', () => {
    expect(parseVariant('old=xdp,guard: mac,@../old')).toEqual({
      name: 'mapwire-old',
      hook: 'xdp',
      settings: ['guard: mac'],
      checkout: '../old',
    });
    expect(() => parseVariant('old')).toThrow(UsageError);
    expect(() => parseVariant('old=fast')).toThrow(UsageError);
  });
});
