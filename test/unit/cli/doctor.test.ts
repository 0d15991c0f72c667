import { describe, expect, it } from 'vitest';
import { addressFindings, mtuFindings } from '../../../src/cli/doctor-underlay.ts';
import type { Address, Device } from '../../../src/libbpf/index.ts';
import { ipBytes } from '../../../src/table/address.ts';
import { tableFromObject } from '../../../src/table/index.ts';

function table(encap: string, more: object = {}) {
  return tableFromObject({
    mapwire: 1,
    nodes: {
      a: { underlay: ['2001:db8::1', '192.0.2.1'] },
      b: { underlay: ['192.0.2.2'] },
      c: { underlay: ['2001:db8::3', '192.0.2.3'] },
    },
    networks: { blue: { encap, segment: 50, ...more } },
    ports: Object.fromEntries(
      ['a', 'b'].map((node, i) => [
        node,
        { network: 'blue', mac: `02:00:00:00:00:0${i}`, ips: [`10.0.0.${i + 1}`], at: [{ node }] },
      ]),
    ),
  });
}

const device = (ifindex: number, name: string, more: Partial<Device> = {}) =>
  ({ ifindex, name, mtu: 1500, up: true, carrier: true, ...more }) as Device;
const address = (ifindex: number, text: string, flags = 0): Address => ({
  ifindex,
  address: ipBytes(text),
  prefixLength: 24,
  scope: 0,
  flags,
});
const ETH0 = [{ device: 'eth0', vlan: 0 }];

describe('doctor looks for the addresses of the table', () => {
  const blue = table('vxlan');
  const self = blue.nodes.get('a') as never;
  const states = (addresses: Address[], underlay = ETH0, devices = [device(2, 'eth0')]) =>
    addressFindings(self, addresses, underlay, devices).map(({ state, found }) => `${state} ${found}`);

  it('of both families, on any device', () => {
    expect(
      states([address(1, '192.0.2.1'), address(2, '2001:db8::1')], ETH0, [device(1, 'lo'), device(2, 'eth0')]),
    ).toEqual(['ok on eth0', 'ok on lo']);
    expect(states([address(2, '192.0.2.1')])).toEqual(['fail on no device here', 'ok on eth0']);
  });

  it('that can be used', () => {
    const both = (flags: number) => [address(2, '2001:db8::1', flags), address(2, '192.0.2.1')];
    expect(states(both(0x08))).toEqual(['fail on eth0, and twice in its network', 'ok on eth0']);
    expect(states(both(0x40))).toEqual(['warn on eth0, not usable yet (tentative)', 'ok on eth0']);
  });

  it('on the VLAN device that the configuration names', () => {
    const vlan = device(5, 'eth0.30', { kind: 'vlan', link: 2, vlanId: 30, vlanProtocol: 0x8100 });
    const addresses = [address(5, '2001:db8::1'), address(5, '192.0.2.1')];
    const devices = [device(2, 'eth0'), vlan];
    expect(states(addresses, ETH0, devices)[0]).toBe('warn on eth0.30, while the underlay is eth0 untagged');
    expect(states(addresses, [{ device: 'eth0', vlan: 31 }], devices)[0]).toBe(
      'warn on eth0.30, while the underlay is eth0 VLAN 31',
    );
    expect(states(addresses, [{ device: 'eth0', vlan: 30 }], devices)[0]).toBe('ok on eth0.30');
  });
});

describe('doctor adds up the MTU of each network', () => {
  const say = (encap: string, more: object, devices: Device[], underlay = ETH0) => {
    const made = table(encap, more);
    return mtuFindings(made, made.nodes.get('a') as never, underlay, devices).map(
      ({ state, found }) => `${state} ${found}`,
    );
  };
  const [wide, narrow] = [device(2, 'eth0'), device(3, 'eth1', { mtu: 1400 })];

  it.each([
    ['vxlan', { mtu: 1450 }, 'ok MTU 1450, 50 of vxlan over IPv4, of 1500'],
    ['vxlan', { mtu: 1451 }, 'fail MTU 1451 and 50 of vxlan over IPv4 are more than the 1500 of eth0'],
    ['gre', { mtu: 1458 }, 'ok MTU 1458, 42 of gre over IPv4, of 1500'],
    ['flat', { mtu: 1500 }, 'ok MTU 1500, flat, of 1500'],
    ['vxlan', { mtu: 1200 }, 'warn MTU 1200 (50 of vxlan over IPv4) is less than the 1280 that IPv6 needs'],
  ])('%s %j', (encap, more, expected) => {
    expect(say(encap, more, [wide])).toEqual([expected]);
  });

  it('against the narrowest uplink, and against the VLAN device of a tagged one', () => {
    const both = [
      { device: 'eth0', vlan: 0 },
      { device: 'eth1', vlan: 0 },
    ];
    expect(say('vxlan', { mtu: 1450 }, [wide, narrow], both)[0]).toContain('the 1400 of eth1');
    const vlan = device(5, 'eth0.30', { mtu: 1496, kind: 'vlan', link: 2, vlanId: 30, vlanProtocol: 0x8100 });
    expect(say('vxlan', { mtu: 1450 }, [wide, vlan], [{ device: 'eth0', vlan: 30 }])[0]).toContain(
      'the 1496 of eth0.30',
    );
  });
});
