/** Address parsers and formatters against oracles that nobody here wrote: node:net and the URL parser. */
import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatIp,
  formatIpv4,
  formatIpv6,
  formatMac,
  formatPrefix,
  hasHostBits,
  type Ip6Words,
  ipBytes,
  ipFromBytes,
  ipFromMappedBytes,
  isGroupMac,
  isIpv4Multicast,
  isIpv6LinkLocal,
  isLocalMac,
  linkLocalOfMac,
  macBytes,
  macFromBytes,
  macOfLinkLocal,
  macOfMulticast,
  mappedBytes,
  networkOf,
  parseIp,
  parseIpv4,
  parseIpv6,
  parseMac,
  parsePrefix,
  prefixBytes,
  prefixContains,
  solicitedNode,
} from '../../../src/table/address.ts';

const word = fc.integer({ min: 0, max: 0xffff_ffff });
/** Words in which runs of zero groups are frequent. */
const group = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 0xffff }));
const ip6: fc.Arbitrary<Ip6Words> = fc
  .tuple(group, group, group, group, group, group, group, group)
  .map(([a, b, c, d, e, f, g, h]) => [a * 65536 + b, c * 65536 + d, e * 65536 + f, g * 65536 + h]);
const mac = fc.integer({ min: 0, max: 0xffff_ffff_ffff });
/** Texts that are nearly addresses. */
const nearIp4 = fc.array(fc.constantFrom('0', '1', '9', '25', '255', '256', '.', '.', '.', '00', '01', ' ', '-', 'a'), {
  minLength: 1,
  maxLength: 9,
});
const nearIp6 = fc.array(
  fc.constantFrom(':', ':', ':', '::', '0', 'f', 'FFFF', '1234', '12345', '1.2.3.4', '01', 'g', '.', '255.256.0.1'),
  { minLength: 1, maxLength: 17 },
);

function spell(ip: Ip6Words, upper: boolean, zeros: boolean): string {
  const groups = ip.flatMap((each) => [each >>> 16, each & 0xffff]);
  const text = groups.map((each) => (zeros ? each.toString(16).padStart(4, '0') : each.toString(16))).join(':');
  return upper ? text.toUpperCase() : text;
}

describe('IPv4', () => {
  test('parses what it formats, and nothing but what node:net calls IPv4', () => {
    fc.assert(fc.property(word, (ip) => parseIpv4(formatIpv4(ip)) === ip && isIPv4(formatIpv4(ip))));
    fc.assert(
      fc.property(nearIp4, (parts) => (parseIpv4(parts.join('')) !== undefined) === isIPv4(parts.join(''))),
      {
        numRuns: 3000,
      },
    );
  });

  test.each(['010.0.0.1', '1.2.3', '1.2.3.4.5', '1.2.3.4 ', '1..2.3', '0x1.2.3.4', '1.2.3.256', '', '1.2.3.'])(
    'refuses %j',
    (text) => expect(parseIpv4(text)).toBeUndefined(),
  );
});

describe('IPv6', () => {
  test('parses every spelling of an address to the same', () => {
    fc.assert(
      fc.property(ip6, fc.boolean(), fc.boolean(), (ip, upper, zeros) => {
        expect(parseIpv6(spell(ip, upper, zeros))).toEqual(ip);
        expect(parseIpv6(formatIpv6(ip))).toEqual(ip);
      }),
    );
  });

  test('formats as the URL parser does (but for the dotted tail of mapped addresses)', () => {
    fc.assert(
      fc.property(ip6, (ip) => {
        const text = formatIpv6(ip);
        if (text.includes('.')) expect(text).toBe(`::ffff:${formatIpv4(ip[3])}`);
        else expect(`[${text}]`).toBe(new URL(`http://[${spell(ip, false, false)}]/`).hostname);
      }),
      { numRuns: 2000 },
    );
  });

  test('accepts what node:net calls IPv6 and nothing else', () => {
    fc.assert(
      fc.property(nearIp6, (parts) => {
        const text = parts.join('');
        expect(parseIpv6(text) !== undefined, text).toBe(isIPv6(text));
      }),
      { numRuns: 5000 },
    );
  });

  test.each([
    'fe80::1%eth0',
    '[::1]',
    '::1/64',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    ':1',
    '1:',
    ':::',
    '::1.2.3',
    ' ::1',
    '',
  ])('refuses %j', (text) => expect(parseIpv6(text)).toBeUndefined());

  test('knows its kinds', () => {
    expect(isIpv6LinkLocal(parseIpv6('fe80::1')!)).toBe(true);
    expect(isIpv6LinkLocal(parseIpv6('febf::1')!)).toBe(true);
    expect(isIpv6LinkLocal(parseIpv6('fec0::1')!)).toBe(false);
    expect(isIpv4Multicast(parseIpv4('239.255.255.255')!)).toBe(true);
    expect(isIpv4Multicast(parseIpv4('240.0.0.0')!)).toBe(false);
  });
});

describe('bytes', () => {
  test('are in network order, both ways', () => {
    expect([...ipBytes('192.0.2.1')]).toEqual([192, 0, 2, 1]);
    expect([...ipBytes('2001:db8::ff')]).toEqual([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]);
    expect([...macBytes('02:00:00:0a:0b:ff')]).toEqual([2, 0, 0, 10, 11, 255]);
    fc.assert(fc.property(ip6, (ip) => ipFromBytes(ipBytes(formatIpv6(ip))) === formatIpv6(ip)));
    fc.assert(fc.property(word, (ip) => ipFromBytes(ipBytes(formatIpv4(ip))) === formatIpv4(ip)));
    fc.assert(fc.property(mac, (each) => macFromBytes(macBytes(formatMac(each))) === formatMac(each)));
  });

  test('are mapped for IPv4 where both families share a field', () => {
    expect([...mappedBytes('192.0.2.1')]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
    fc.assert(fc.property(word, (ip) => ipFromMappedBytes(mappedBytes(formatIpv4(ip))) === formatIpv4(ip)));
    expect(ipFromMappedBytes(mappedBytes('2001:db8::1'))).toBe('2001:db8::1');
  });

  test('throw with a code on what is no address', () => {
    for (const wrong of [
      () => ipBytes('x'),
      () => macBytes('x'),
      () => prefixBytes('10.0.0.1'),
      () => ipFromBytes(new Uint8Array(5)),
    ]) {
      expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_MW_INVALID_ARGUMENT' }));
    }
  });
});

describe('MAC addresses', () => {
  test('are parsed in either case and formatted in lower case', () => {
    fc.assert(fc.property(mac, (each) => parseMac(formatMac(each).toUpperCase()) === each));
    expect(formatMac(0xfffe_dcba_9876)).toBe('ff:fe:dc:ba:98:76');
  });

  test.each([
    '02-00-00-00-00-01',
    '02:00:00:00:00',
    '02:00:00:00:00:0g',
    '0200.0000.0001',
    '02:00:00:00:00:01 ',
    '2:0:0:0:0:1',
    '',
  ])('refuses %j', (text) => expect(parseMac(text)).toBeUndefined());

  test('know their first two bits', () => {
    expect(isGroupMac(parseMac('01:00:5e:00:00:01')!)).toBe(true);
    expect(isGroupMac(parseMac('02:00:00:00:00:01')!)).toBe(false);
    expect(isLocalMac(parseMac('02:00:00:00:00:01')!)).toBe(true);
    expect(isLocalMac(parseMac('00:00:5e:00:01:01')!)).toBe(false);
  });
});

describe('prefixes', () => {
  const prefix = fc.oneof(
    fc.record({ address: word, length: fc.integer({ min: 0, max: 32 }) }),
    fc.record({ address: ip6, length: fc.integer({ min: 0, max: 128 }) }),
  );

  /** The same by bit strings. */
  function bits(text: string): string {
    return [...ipBytes(text)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  }

  test('are parsed, cleared and compared as bit strings would be', () => {
    fc.assert(
      fc.property(prefix, ({ address, length }) => {
        const written = `${formatIp(address)}/${length}`;
        const parsed = parsePrefix(written)!;
        expect(formatPrefix(parsed)).toBe(written);
        const string = bits(formatIp(address));
        const cleared = string.slice(0, length) + '0'.repeat(string.length - length);
        expect(bits(formatIp(networkOf(parsed).address))).toBe(cleared);
        expect(hasHostBits(parsed)).toBe(cleared !== string);
        expect(prefixContains(parsed, address)).toBe(true);
        expect(prefixContains(networkOf(parsed), address)).toBe(true);
      }),
    );
  });

  test('contain what begins like them and nothing of the other family', () => {
    const ten = parsePrefix('10.9.0.0/16')!;
    expect(prefixContains(ten, parseIp('10.9.255.255')!)).toBe(true);
    expect(prefixContains(ten, parseIp('10.10.0.0')!)).toBe(false);
    expect(prefixContains(parsePrefix('::/0')!, parseIp('10.9.0.1')!)).toBe(false);
    expect(prefixContains(parsePrefix('fd00::/9')!, parseIp('fd7f::')!)).toBe(true);
    expect(prefixContains(parsePrefix('fd00::/9')!, parseIp('fd80::')!)).toBe(false);
  });

  test.each(['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '::/129', '10.0.0.0/-1', '10.0.0.0/8/8', '/8'])(
    'refuses %j',
    (text) => expect(parsePrefix(text)).toBeUndefined(),
  );
});

describe('addresses made from others', () => {
  test('EUI-64 link-locals, there and back (RFC 4291 appendix A)', () => {
    expect(formatIpv6(linkLocalOfMac(parseMac('34:56:78:9a:bc:de')!))).toBe('fe80::3656:78ff:fe9a:bcde');
    fc.assert(fc.property(mac, (each) => macOfLinkLocal(linkLocalOfMac(each)) === each));
    expect(macOfLinkLocal(parseIpv6('fe80::1')!)).toBeUndefined();
    expect(macOfLinkLocal(parseIpv6('fe80:0:0:1:3656:78ff:fe9a:bcde')!)).toBeUndefined();
    expect(macOfLinkLocal(parseIpv6('fe90::3656:78ff:fe9a:bcde')!)).toBeUndefined();
  });

  test('solicited-node and Ethernet group addresses (RFC 4291 2.7.1, RFC 2464 7, RFC 1112 6.4)', () => {
    const solicited = solicitedNode(parseIpv6('4037::1:800:200e:8c6c')!);
    expect(formatIpv6(solicited)).toBe('ff02::1:ff0e:8c6c');
    expect(formatMac(macOfMulticast(solicited))).toBe('33:33:ff:0e:8c:6c');
    expect(formatMac(macOfMulticast(parseIpv4('224.128.64.32')!))).toBe('01:00:5e:00:40:20');
  });
});
