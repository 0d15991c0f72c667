import { expect, it } from 'vitest';
import { kernelAge } from '../../../src/daemon/kernel-age.ts';

it.each([
  ['6.1.0-56-amd64', 'ok'],
  ['6.1', 'ok'],
  ['6.1-rc3', 'ok'],
  ['6.12.30+deb13-amd64', 'ok'],
  ['6.18.44', 'ok'],
  ['6.8.0-45-generic', 'ok'],
  ['10.0.1', 'ok'],
  ['6.0.19', 'too old'],
  ['5.15.0-91-generic', 'too old'],
  ['5.19.17', 'too old'],
  ['5.14.0-503.el9.x86_64', 'too old'],
  ['4.19.0-27-amd64', 'too old'],
  ['2.6.78.44-custom', 'too old'],
  ['', 'unknown'],
  ['6', 'unknown'],
  ['v6.18', 'unknown'],
  ['next-20261124', 'unknown'],
] as const)("the kernel '%s' is %s", (release, age) => {
  expect(kernelAge(release)).toBe(age);
});
