/** What a function under test throws. */
import { expect } from 'vitest';
import { type ErrorCode, MapwireError } from '../../../src/errors.ts';

/** What `attempt` throws; fails the test when it throws nothing or something else than a MapwireError. */
export function errorOf(attempt: () => unknown): MapwireError {
  try {
    attempt();
  } catch (error) {
    expect(error).toBeInstanceOf(MapwireError);
    return error as MapwireError;
  }
  return expect.fail('nothing was thrown');
}

/** Checks code and message of what `attempt` throws. */
export function expectRefusal(attempt: () => unknown, code: ErrorCode, message: RegExp): MapwireError {
  const error = errorOf(attempt);
  expect(error.message).toMatch(message);
  expect(error.code).toBe(code);
  return error;
}
