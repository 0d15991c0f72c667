import { expect, it } from 'vitest';
import { mtuFindings } from '../../../src/cli/underlay-mtu.ts';

const network = (name: string, mtu: number, nodes = ['host-b']) => ({ network: name, mtu, nodes });

it.each([
  [1500, [network('blue', 1450)]],
  [9000, [network('blue', 1450), network('red', 8950)]],
  [1500, []],
  // a network that is only here never leaves by the device
  [1500, [network('blue', 9000, [])]],
] as const)('%d carries %j', (mtu, networks) => {
  expect(mtuFindings({ name: 'eth0', mtu }, networks)).toEqual([]);
});

it('names the largest network that does not fit, and what to do', () => {
  const networks = [network('small', 1350), network('blue', 1450), network('red', 1500)];
  expect(mtuFindings({ name: 'eth0', mtu: 1400 }, networks)).toEqual([
    {
      what: 'device eth0',
      state: 'fail',
      found: expect.stringMatching(/^MTU 1400 is too small: network 'red' .*1500 bytes, 1550 .* 1 more$/),
      remedy: expect.stringMatching(/^ip link set eth0 mtu 1550; .*'mtu: 1400' .*'mtu: 1350'/),
    },
  ]);
});

it('an MTU that leaves too little for IPv6 is a warning', () => {
  expect(mtuFindings({ name: 'eth0', mtu: 1329 }, [network('blue', 1279)])).toEqual([
    expect.objectContaining({ state: 'warn', remedy: 'ip link set eth0 mtu 1500 or more' }),
  ]);
  expect(mtuFindings({ name: 'eth0', mtu: 1330 }, [network('blue', 1280)])).toEqual([]);
});
