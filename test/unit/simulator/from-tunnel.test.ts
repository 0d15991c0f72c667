/** Rules 3.1 to 3.8 for every encapsulation and both families: what is a tunnel packet, and what is wrong with it. */
import { describe, expect, test } from 'vitest';
import { frame } from '../../support/packet.ts';
import { type Arriving, arriving } from './arriving.ts';
import { EVERY_ENCAP, ipOf, lines, macOf, NODES, run, tableOf, UNDERLAY_DEVICE, UNDERLAY_MAC } from './hosts.ts';

const { flat: _, ...TUNNELS } = EVERY_ENCAP;
const table = tableOf(TUNNELS);

type Name = keyof typeof TUNNELS;
type Remote = 'b' | 'v' | 'x';

/** Ports and headers as the documents draw them. */
const WIRE: Readonly<Record<Name, { port?: number; header: string }>> = {
  vxlan: { port: 4789, header: '08 000000 010203 00' },
  gpe: { port: 4790, header: '0c 0000 01 010204 00' },
  geneve: { port: 6081, header: '00 00 6558 010205 00' },
  gre: { header: '2000 6558 01020306' },
  lisp: { port: 4341, header: '08 000000 010207 00' },
};
const NAMES = Object.keys(WIRE) as Name[];
const SOURCE: Readonly<Record<Remote, string>> = { b: '192.0.2.2', v: '2001:db8::6', x: '2001:db8::f' };

/** From a port of that node to port 1 here. */
function innerOf(name: Name, from: Remote, tos = 0): Uint8Array {
  const n = NAMES.indexOf(name) + 1;
  return frame(
    `eth ${macOf(n, from)}>${macOf(n, '1')} | ip4 ${ipOf(n, from)}>${ipOf(n, '1')} tos=${tos} | udp 1>2 | data 9`,
  );
}

function payloadOf(name: Name, from: Remote, tos = 0): Uint8Array {
  const whole = innerOf(name, from, tos);
  return name === 'gpe' || name === 'lisp' ? whole.subarray(14) : whole;
}

function tunnel(name: Name, from: Remote, change: Partial<Arriving> = {}): Uint8Array {
  return arriving({ ...WIRE[name], source: SOURCE[from], payload: payloadOf(name, from), ...change });
}

function arrive(input: Uint8Array, more: Partial<Parameters<typeof run>[0]> = {}) {
  return run({ table, device: UNDERLAY_DEVICE, frame: input, ...more });
}

const reason = ({ record }: ReturnType<typeof run>) => (record.verdict === 'drop' ? record.reason : record.verdict);

describe.each(['tc', 'xdp'] as const)('%s delivers', (hook) => {
  test.each(NAMES.flatMap((name) => (['b', 'v', 'x'] as const).map((from) => [name, from] as const)))(
    '%s from %s',
    (name, from) => {
      const { record, outputs } = arrive(tunnel(name, from), { hook });
      const device = `${name}1`;
      expect(record).toEqual({ verdict: 'deliver', reason: 'none', network: name, port: `${name}-1`, device });
      expect(lines(outputs[0]!.frame)).toBe(lines(innerOf(name, from)));
    },
  );

  test.each(NAMES)('%s with bytes behind it, without them', (name) => {
    const { outputs } = arrive(tunnel(name, 'b', { padding: 7 }), { hook });
    expect(lines(outputs[0]!.frame)).toBe(lines(innerOf(name, 'b')));
  });
});

describe('goes to the stack', () => {
  test.each<[string, Name, Remote, Partial<Arriving>]>([
    ['to another MAC', 'vxlan', 'b', { to: UNDERLAY_MAC.v }],
    ['to a multicast MAC, but not to a group', 'vxlan', 'b', { to: '01:00:5e:01:01:01' }],
    ['to another IPv4 address', 'gre', 'b', { destination: '192.0.2.2' }],
    ['to another IPv6 address', 'vxlan', 'v', { destination: '2001:db8::2' }],
    ['a fragment', 'vxlan', 'b', { fragment: '0001 2000' }],
    ['a later fragment', 'gre', 'b', { fragment: '0001 0001' }],
    ['to another port', 'vxlan', 'b', { port: 8472 }],
    ['behind an IPv6 extension header', 'vxlan', 'v', { protocol: 60 }],
    ['TCP', 'vxlan', 'b', { protocol: 6 }],
    ['GRE without a key', 'gre', 'b', { header: '0000 6558' }],
    ['GRE of IP', 'gre', 'b', { header: '2000 0800 01020306' }],
    ['GRE version 1', 'gre', 'b', { header: '2001 6558 01020306' }],
    ['a tag', 'vxlan', 'b', { tags: '8100 0001' }],
    ['a priority tag', 'vxlan', 'b', { tags: '8100 e000' }],
  ])('%s', (_, name, from, change) => {
    expect(reason(arrive(tunnel(name, from, change)))).toBe('stack');
  });

  test('IHL 4, version 5 in IPv4, version 5 in IPv6', () => {
    for (const [from, first] of [
      ['b', 0x44],
      ['b', 0x55],
      ['v', 0x50],
    ] as const) {
      const input = tunnel('vxlan', from);
      input[14] = first;
      expect(reason(arrive(input))).toBe('stack');
    }
  });

  test('too short to tell', () => {
    for (const [name, from, length] of [
      ['vxlan', 'b', 41],
      ['vxlan', 'v', 61],
      ['gre', 'b', 37],
      ['gre', 'v', 57],
      ['vxlan', 'v', 53],
      ['vxlan', 'b', 13],
    ] as const) {
      expect(reason(arrive(tunnel(name, from).subarray(0, length)))).toBe('stack');
    }
  });

  test.each(NAMES)('%s where no network of the node has it', (name) => {
    const { [name]: gone, ...others } = TUNNELS;
    expect(gone).toBeDefined();
    expect(reason(arrive(tunnel(name, 'b'), { table: tableOf(others) }))).toBe('stack');
    // a load with everything in it takes the packet, and knows no such segment
    const loaded = arrive(tunnel(name, 'b'), { table: tableOf(others), change: { allFeatures: true } });
    expect(reason(loaded)).toBe('unknown-segment');
  });
});

describe('a tagged underlay', () => {
  const change = { underlayVlan: 300 };

  test.each([
    ['its tag, with any priority', { tags: '8100 e12c' }, undefined, 'deliver'],
    ['its tag, beside the frame', {}, 0x612c, 'deliver'],
    ['no tag', {}, undefined, 'stack'],
    ['another', { tags: '8100 012d' }, undefined, 'stack'],
    ['another, beside the frame', {}, 301, 'stack'],
    ['0x88a8', { tags: '88a8 012c' }, undefined, 'stack'],
    ['two', { tags: '8100 012c 8100 012c' }, undefined, 'stack'],
    ['one inside, one beside', { tags: '8100 012c' }, 300, 'stack'],
  ] as const)('%s: %s', (_, fields, metadataTag, wanted) => {
    const input = tunnel('vxlan', 'b', fields);
    expect(reason(arrive(input, { change, ...(metadataTag !== undefined && { metadataTag }) }))).toBe(wanted);
  });

  test('0x88a8 beside the frame', () => {
    const metadataTag = { etherType: 0x88a8, tci: 300 };
    expect(reason(arrive(tunnel('vxlan', 'b'), { change, metadataTag }))).toBe('stack');
  });
});

describe('outer-malformed', () => {
  test.each<[string, Name, Remote, Partial<Arriving>]>([
    ['IPv4 options', 'vxlan', 'b', { options: '01010101' }],
    ['a wrong IPv4 checksum', 'gre', 'b', { checksum: 0x1234 }],
    ['an IPv4 packet longer than the frame', 'gre', 'b', { ipLengthBy: 1 }],
    ['an IPv6 packet longer than the frame', 'vxlan', 'v', { ipLengthBy: 1 }],
    ['UDP longer than its IPv6 packet', 'vxlan', 'v', { ipLengthBy: -1 }],
    ['UDP longer than its IPv4 packet', 'geneve', 'b', { udpLengthBy: 1, padding: 1 }],
    ['UDP of 15 bytes', 'lisp', 'b', { udpLengthBy: 15 - (8 + 8 + 37) }],
    ['GRE whose packet ends before its key', 'gre', 'b', { ipLengthBy: -(51 + 1) }],
    ['GRE whose checksum would not fit', 'gre', 'v', { header: 'b000 6558 00000000 0102', payload: new Uint8Array() }],
  ])('%s', (_, name, from, change) => {
    expect(reason(arrive(tunnel(name, from, change)))).toBe('outer-malformed');
  });
});

describe('tunnel headers', () => {
  test.each<[Name, string, string]>([
    ['vxlan', '00 000000 010203 00', 'tunnel-header'],
    ['gpe', '08 0000 01 010204 00', 'tunnel-header'],
    ['gpe', '0c 0000 03 010204 00', 'tunnel-header'],
    ['geneve', '00 00 0800 010205 00', 'tunnel-header'],
    ['geneve', '01 00 6558 010205 00 0000 80 00', 'tunnel-option'],
    ['geneve', '3f 00 6558 010205 00', 'tunnel-header'],
    ['gre', '6000 6558 01020306', 'tunnel-header'],
    ['lisp', '00 000000 010207 00', 'tunnel-header'],
  ])('%s %s: %s', (name, header, wanted) => {
    expect(reason(arrive(tunnel(name, 'b', { header })))).toBe(wanted);
    expect(reason(arrive(tunnel(name, 'v', { header })))).toBe(wanted);
  });

  test.each<[Name, string]>([
    ['geneve', '01 00 6558 010205 00 0000 00 00'],
    ['gre', 'b000 6558 00000000 01020306 00000001'],
  ])('%s %s is skipped', (name, header) => {
    expect(reason(arrive(tunnel(name, 'b', { header })))).toBe('deliver');
  });

  test('in the second buffer: left', () => {
    for (const [name, firstBuffer] of [
      ['vxlan', 49],
      ['vxlan', 41],
      ['gre', 41],
      ['gpe', 50],
      ['vxlan', 33],
    ] as const) {
      expect(reason(arrive(tunnel(name, 'b'), { hook: 'xdp', firstBuffer }))).toBe('left');
    }
  });
});

describe('segment and node', () => {
  test('a segment of another encapsulation is unknown', () => {
    const input = tunnel('vxlan', 'b', { header: '08 000000 010205 00' });
    expect(reason(arrive(input))).toBe('unknown-segment');
    expect(reason(arrive(input, { change: { unknownSegment: 'stack' } }))).toBe('stack');
  });

  test('a GRE key of 32 bits', () => {
    expect(reason(arrive(tunnel('gre', 'b', { header: '2000 6558 00020306' })))).toBe('unknown-segment');
  });

  test.each(['192.0.2.99', '192.0.2.1', '2001:db8::99', '2001:db8::1'])('from %s', (source) => {
    expect(arrive(tunnel('vxlan', 'b', { source })).record).toEqual({
      verdict: 'drop',
      reason: 'unknown-node',
      network: 'vxlan',
    });
  });

  test('an IPv4-mapped source counts as the IPv4 address', () => {
    expect(reason(arrive(tunnel('vxlan', 'b', { source: '::ffff:192.0.2.2' })))).toBe('deliver');
  });

  test('a stale entry', () => {
    const faults = (target: 'segment' | 'vtep', key: string) => ({
      faults: [{ target, key, effect: 'stale' as const }],
    });
    expect(reason(arrive(tunnel('gre', 'b'), { change: faults('segment', 'gre 16909062') }))).toBe('stale');
    expect(reason(arrive(tunnel('vxlan', 'b'), { change: faults('segment', '66051') }))).toBe('stale');
    expect(reason(arrive(tunnel('vxlan', 'v'), { change: faults('vtep', '2001:db8::6') }))).toBe('stale');
  });
});

describe('ECN from either family', () => {
  const cases = [0, 1, 2, 3].flatMap((outer) => [0, 1, 2, 3].map((inner) => [outer, inner] as const));
  /** RFC 6040 figure 4: by inner code point, what comes out for outer Not-ECT, ECT(1), ECT(0), CE; `-`: dropped. */
  const FIGURE_4 = ['000-', '1113', '2123', '3333'];

  test.each(cases)('outer %i, inner %i', (outer, inner) => {
    const wanted = FIGURE_4[inner]![outer]!;
    for (const name of NAMES) {
      for (const from of ['b', 'v'] as const) {
        const input = tunnel(name, from, { tos: 0xb8 | outer, payload: payloadOf(name, from, 0x28 | inner) });
        const { record, outputs } = arrive(input);
        if (wanted === '-') expect(record).toEqual({ verdict: 'drop', reason: 'ecn', network: name });
        else expect(lines(outputs[0]!.frame)).toBe(lines(innerOf(name, from, 0x28 | Number(wanted))));
      }
    }
  });
});

describe('guard of a node', () => {
  const stranger = (from: Remote) =>
    tunnel('vxlan', from, {
      payload: frame(`eth 02:00:00:00:77:77>${macOf(1, '1')} | ip4 10.7.7.7>${ipOf(1, '1')} | udp 1>2`),
    });
  const impostor = (from: Remote) => tunnel('vxlan', from, { payload: innerOf('vxlan', from === 'b' ? 'v' : 'b') });
  const guarded = (guard: string) => tableOf(TUNNELS, () => {}, { ...NODES, x: { ...NODES.x, guard } });

  test.each([
    ['full', 'guard-remote', 'guard-remote'],
    ['open', 'deliver', 'guard-remote'],
    ['off', 'deliver', 'deliver'],
  ])('%s: a MAC that no port has: %s, a port elsewhere: %s', (guard, unknown, elsewhere) => {
    expect(reason(arrive(stranger('x'), { table: guarded(guard) }))).toBe(unknown);
    expect(reason(arrive(impostor('x'), { table: guarded(guard) }))).toBe(elsewhere);
    // others are guarded as before
    expect(reason(arrive(stranger('b'), { table: guarded(guard) }))).toBe('guard-remote');
  });

  test('open: a MAC that several may send from is known', () => {
    const shared = '02:00:00:00:99:99';
    const nodes = { ...NODES, x: { ...NODES.x, guard: 'open' } };
    const change = (ports: Record<string, object>) => Object.assign(ports['vxlan-b']!, { macs: [shared] });
    const payload = frame(`eth ${shared}>${macOf(1, '1')} | data 46`);
    const own = tableOf(TUNNELS, change, nodes);
    expect(reason(arrive(tunnel('vxlan', 'b', { payload }), { table: own }))).toBe('deliver');
    expect(reason(arrive(tunnel('vxlan', 'x', { payload }), { table: own }))).toBe('guard-remote');
  });
});
