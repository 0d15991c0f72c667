/** Random content of tables: right ones, and records of a world so small that they often clash. */
import fc from 'fast-check';

type Fields = Record<string, unknown>;
export interface Content {
  readonly [key: string]: unknown;
  readonly nodes: Record<string, Fields>;
  readonly networks: Record<string, Fields>;
  readonly ports: Record<string, Fields>;
}

const hex = (n: number): string => n.toString(16).padStart(2, '0');

/** Only the keys that are given. */
function given(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

/** A table without mistakes. */
export function tableObject(): fc.Arbitrary<Content> {
  const node = fc.record({
    ip6: fc.boolean(),
    mtu: optional(fc.integer({ min: 576, max: 65535 })),
    region: optional(fc.constantFrom('north', 'süd')),
  });
  const network = fc.record({
    mtu: optional(fc.integer({ min: 1280, max: 65535 })),
    flood: optional(fc.constantFrom('replicate', 'none')),
    unknown: optional(fc.constantFrom('drop', 'flood')),
    linkLocal: optional(fc.constantFrom('any', 'eui64')),
    encap: optional(fc.constant('vxlan')),
  });
  const port = fc.record({
    network: fc.nat(3),
    ip4: fc.nat(3),
    ip6: fc.nat(2),
    reversed: fc.boolean(),
    macs: fc.nat(2),
    allow: fc.boolean(),
    role: optional(fc.constantFrom('router', 'dhcp')),
    nodes: fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 4 }),
    interfaces: fc.boolean(),
    priority: optional(fc.integer({ min: 0, max: 254 })),
    weight: optional(fc.integer({ min: 1, max: 100 })),
    segment: fc.boolean(),
    single: fc.boolean(),
  });
  return fc
    .record({
      nodes: fc.array(node, { minLength: 5, maxLength: 7 }),
      networks: fc.array(network, { minLength: 4, maxLength: 5 }),
      ports: fc.array(port, { maxLength: 12 }),
    })
    .map(({ nodes, networks, ports }) => ({
      nodes: Object.fromEntries(
        nodes.map(({ ip6, mtu, region }, i) => {
          const underlay = ip6 ? [`192.0.2.${i + 1}`, `2001:db8::${i + 1}`] : `192.0.2.${i + 1}`;
          return [`node-${i}`, given({ underlay, mtu, region })];
        }),
      ),
      networks: Object.fromEntries(
        networks.map(({ linkLocal, ...rest }, i) => [
          `net ${i}`,
          given({ segment: 100 + i, 'link-local': linkLocal, ...rest }),
        ]),
      ),
      ports: Object.fromEntries(
        ports.map((port, i) => {
          const ips = [
            ...Array.from({ length: port.ip4 }, (_, n) => `10.${n}.0.${i + 1}`),
            ...Array.from({ length: port.ip6 }, (_, n) => `fd00:${n}::${hex(i + 1)}`),
          ];
          const at = port.nodes.map((n) =>
            given({
              node: `node-${n}`,
              interface: port.interfaces ? `tap${i}` : undefined,
              segment: port.segment ? 1000 + port.network : undefined,
              priority: port.priority,
              weight: port.weight,
            }),
          );
          const fields = given({
            network: `net ${port.network}`,
            mac: `02:00:00:00:00:${hex(i + 1)}`,
            macs:
              port.macs > 0
                ? Array.from({ length: port.macs }, (_, n) => `02:00:00:00:01:${hex(20 * i + n)}`)
                : undefined,
            ips: ips.length > 0 ? (port.reversed ? ips.toReversed() : ips) : undefined,
            allow: port.allow ? ['10.9.0.0/16', 'fd09::/16'] : undefined,
            role: port.role,
            at: port.single && at.length === 1 ? at[0] : at,
          });
          return [`port/${i}`, fields];
        }),
      ),
    }));
}

export interface RandomRecord {
  readonly kind: 'node' | 'network' | 'port';
  readonly id: string;
  /** undefined: the record is removed. */
  readonly fields: Fields | undefined;
}

const SHARED = ['00:00:5e:00:01:01', '00:00:5e:00:01:02'];

/** A record that is right in itself and clashes with others now and then. */
export function clashingRecord(): fc.Arbitrary<RandomRecord> {
  const rare = <T>(usual: fc.Arbitrary<T>, seldom: fc.Arbitrary<T>, weight = 12) =>
    fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: seldom });
  const node = fc
    .record({
      id: fc.constantFrom('a', 'b', 'c', 'd'),
      last: fc.nat(20),
      ip6Only: rare(fc.constant(false), fc.constant(true), 20),
    })
    .map(({ id, last, ip6Only }) => {
      const fields = { underlay: ip6Only ? '2001:db8::1' : `192.0.2.${last}` };
      return { kind: 'node' as const, id, fields };
    });
  const network = fc
    .record({
      id: fc.constantFrom('n1', 'n2', 'n3'),
      segment: fc.integer({ min: 1, max: 9 }),
      mtu: optional(fc.constantFrom(1000, 1450)),
    })
    .map(({ id, segment, mtu }) => ({ kind: 'network' as const, id, fields: given({ segment, mtu }) }));
  const port = fc
    .record({
      id: fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p8', 'p9', 'p10'),
      network: rare(fc.constantFrom('n1', 'n1', 'n1', 'n2', 'n3'), fc.constant('n4'), 40),
      mac: fc.nat(60),
      macs: fc.constantFrom([], [SHARED[0]], [SHARED[0]], [SHARED[1]], SHARED),
      ips: fc.uniqueArray(rare(fc.nat(80), fc.integer({ min: 1000, max: 1020 }), 40), { maxLength: 3 }),
      nodes: fc.uniqueArray(rare(fc.constantFrom('a', 'b', 'c', 'd'), fc.constant('e'), 30), {
        minLength: 1,
        maxLength: 3,
      }),
      interface: optional(fc.nat(15)),
      segment: rare(fc.constant<number | undefined>(undefined), fc.integer({ min: 1, max: 9 }), 6),
    })
    .map(({ id, network, mac, macs, ips, nodes, interface: tap, segment }) => ({
      kind: 'port' as const,
      id,
      fields: given({
        network,
        mac: `02:00:00:00:00:${hex(mac)}`,
        macs,
        ips: ips.map((n) =>
          n >= 1000
            ? `192.0.2.${n - 1000}`.replace('.0.2.0', '.0.2.1')
            : n % 3 === 0
              ? `fd00::${hex(n)}`
              : `10.0.0.${n}`,
        ),
        at: nodes.map((name) => given({ node: name, interface: tap === undefined ? undefined : `tap${tap}`, segment })),
      }),
    }));
  const full = fc.oneof(
    { weight: 2, arbitrary: node },
    { weight: 2, arbitrary: network },
    { weight: 6, arbitrary: port },
  );
  return fc.oneof(
    { weight: 5, arbitrary: full },
    { weight: 1, arbitrary: full.map((record) => ({ ...record, fields: undefined })) },
  );
}

/** A record as a line of NDJSON, without the newline. */
export function line({ kind, id, fields }: RandomRecord): string {
  return fields === undefined ? JSON.stringify({ delete: kind, id }) : JSON.stringify({ [kind]: id, ...fields });
}
