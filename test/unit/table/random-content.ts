/** Random content of tables: right ones, and records of a world so small that they often clash. */
import fc from 'fast-check';

type Fields = Record<string, unknown>;
export interface Content {
  readonly [key: string]: unknown;
  readonly nodes: Record<string, Fields>;
  readonly networks: Record<string, Fields>;
  readonly ports: Record<string, Fields>;
  readonly addresses: Record<string, Fields>;
}

const hex = (n: number): string => n.toString(16).padStart(2, '0');

/** Only the keys that are given. */
function given(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const ENCAPS = ['vxlan', 'vxlan-gpe', 'geneve', 'gre', 'lisp', 'flat'] as const;
const IP_ONLY = ['vxlan-gpe', 'lisp'];
const TAGS = ['vxlan', 'geneve', 'gre'];
/** The largest there is. */
const TOP: Fields = { gre: 0xffff_ffff, flat: 4094 };

/** A table without mistakes, and without warnings: all nodes have one family in common. */
export function tableObject(): fc.Arbitrary<Content> {
  const node = fc.record({
    addresses: fc.constantFrom('one', 'common first', 'common last'),
    mtu: optional(fc.integer({ min: 1500, max: 65535 })),
    region: optional(fc.constantFrom('north', 'süd')),
    state: optional(fc.constantFrom('up', 'down', 'drain')),
    kind: optional(fc.constantFrom('mapwire', 'foreign')),
    guard: optional(fc.constantFrom('full', 'open', 'off')),
    checksum: optional(fc.constantFrom('auto', 'zero', 'computed')),
    // objects of their own: YAML writes one that comes twice as an alias
    probe: optional(
      fc
        .constantFrom(
          'none',
          's-bfd',
          { kind: 'bfd', interval: '50ms', multiplier: 4 },
          { interval: '0.5s' },
          { multiplier: 7 },
        )
        .map((probe) => (typeof probe === 'string' ? probe : { ...probe })),
    ),
  });
  const network = fc.record({
    mtu: optional(fc.integer({ min: 1280, max: 1430 })),
    flood: optional(fc.constantFrom('replicate', 'none', 'multicast')),
    unknown: optional(fc.constantFrom('drop', 'flood')),
    vlan: optional(fc.constantFrom('drop', 'transparent')),
    linkLocal: optional(fc.constantFrom('any', 'eui64')),
    encap: optional(fc.constantFrom(...ENCAPS)),
    top: fc.boolean(),
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
    limit: fc.option(fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 3 }), { nil: undefined }),
    prefer: fc.option(fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 3 }), { nil: undefined }),
    single: fc.boolean(),
    state: optional(fc.constantFrom('up', 'down', 'drain')),
    sequence: optional(fc.integer({ min: 1, max: 0xffff_ffff })),
    move: fc.boolean(),
    send: optional(fc.constantFrom('old', 'new', 'both')),
    announced: fc.boolean(),
  });
  return fc
    .record({
      common: fc.constantFrom(4, 6),
      nodes: fc.array(node, { minLength: 5, maxLength: 7 }),
      networks: fc.array(network, { minLength: 4, maxLength: 5 }),
      ports: fc.array(port, { maxLength: 12 }),
    })
    .map((parts) => ({ ...parts, addresses: addressesOf(parts.networks, parts.ports) }))
    .map(({ common, nodes, networks, ports, addresses }) => ({
      addresses,
      nodes: Object.fromEntries(
        nodes.map(({ addresses, kind, guard, checksum, probe, ...rest }, i) => {
          const both = [`192.0.2.${i + 1}`, `2001:db8::${i + 1}`];
          const [own, other] = common === 4 ? both : both.toReversed();
          const list = addresses === 'common first' ? [own, other] : [other, own];
          const fields = {
            underlay: addresses === 'one' ? own : list,
            kind,
            guard: kind === 'foreign' ? guard : undefined,
            'udp6-checksum': checksum,
            probe: probe === 's-bfd' && kind === 'foreign' ? 'bfd' : probe,
          };
          return [`node-${i}`, given({ ...fields, ...rest })];
        }),
      ),
      networks: Object.fromEntries(
        networks.map(({ linkLocal, encap, top, flood, unknown, vlan, ...rest }, i) => {
          const on = encap ?? 'vxlan';
          const flat = on === 'flat';
          const high = (TOP[on] as number | undefined) ?? 0xff_ffff;
          const own = flood === 'multicast' && flat ? 'replicate' : flood;
          const fields = {
            encap,
            // A flat network has an id, or none; only one of them can be without.
            segment: flat && i === 0 ? undefined : top ? high - i : 100 + i,
            flood: own,
            group: own === 'multicast' ? (common === 4 ? `239.1.0.${i}` : `ff15::${i}`) : undefined,
            unknown: IP_ONLY.includes(on) ? undefined : unknown,
            vlan: TAGS.includes(on) ? vlan : undefined,
            'link-local': linkLocal,
          };
          return [`net ${i}`, given({ ...fields, ...rest })];
        }),
      ),
      ports: Object.fromEntries(
        ports.map((port, i) => {
          const { encap, flood } = networks[port.network]!;
          const ipOnly = IP_ONLY.includes(encap ?? '');
          const ips = [
            ...Array.from({ length: port.ip4 + (ipOnly ? 1 : 0) }, (_, n) => `10.${n}.0.${i + 1}`),
            ...Array.from({ length: port.ip6 }, (_, n) => `fd00:${n}::${hex(i + 1)}`),
          ];
          const names = (list: readonly number[] | undefined) => list?.map((n) => `node-${n}`);
          const at = port.nodes.map((n, place) =>
            given({
              node: `node-${n}`,
              interface: port.interfaces ? `tap${i}` : undefined,
              segment: port.segment && encap !== 'flat' && flood !== 'multicast' ? 1000 + port.network : undefined,
              priority: port.priority,
              weight: port.weight,
              // Every node has the first one.
              for: place > 0 ? names(port.limit) : undefined,
              // By who has it: else there is a warning.
              prefer: names(place > 0 && port.prefer !== undefined ? (port.limit ?? port.prefer) : port.prefer),
            }),
          );
          const target = [0, 1, 2, 3, 4].find((n) => !port.nodes.includes(n))!;
          const moves = port.move && port.sequence !== undefined && port.nodes.length < 4 && encap !== 'flat';
          const fields = given({
            network: `net ${port.network}`,
            mac: `02:00:00:00:00:${hex(i + 1)}`,
            macs:
              port.macs > 0
                ? Array.from({ length: port.macs }, (_, n) => `02:00:00:00:01:${hex(20 * i + n)}`)
                : undefined,
            ips: ips.length > 0 ? (port.reversed ? ips.toReversed() : ips) : undefined,
            allow: port.allow && !ipOnly ? ['10.9.0.0/16', 'fd09::/16'] : undefined,
            role: port.role,
            state: port.state,
            sequence: port.sequence,
            at: port.single && at.length === 1 ? at[0] : at,
            move: moves
              ? given({
                  to: given({ node: names([target])![0], interface: port.interfaces ? `tap${i}` : undefined }),
                  send: port.send,
                  activate: port.announced && !ipOnly && flood !== 'none' ? 'announcement' : undefined,
                })
              : undefined,
          });
          return [`port/${i}`, fields];
        }),
      ),
    }));
}

/** A balanced address for each network that has ports and carries Ethernet; everything about it follows from its ports. */
function addressesOf(
  networks: readonly { readonly encap: string | undefined }[],
  ports: readonly {
    readonly network: number;
    readonly weight: number | undefined;
    readonly state: string | undefined;
  }[],
): Record<string, Fields> {
  const addresses: Record<string, Fields> = {};
  networks.forEach(({ encap }, n) => {
    const own = ports.flatMap(({ network, weight }, i) => (network === n ? [{ port: `port/${i}`, weight }] : []));
    // Without a member that is up there would be a warning.
    const some = ports.filter(({ network }) => network === n).slice(0, 3);
    if (some.every(({ state }) => state === 'down') || IP_ONLY.includes(encap ?? '')) return;
    addresses[`net ${n}`] = given({
      network: `net ${n}`,
      mac: `02:00:00:00:0b:${hex(n)}`,
      ips: own.length > 1 ? [`10.77.0.${n + 1}`, `fd77::${n}`] : undefined,
      affinity: own.length > 2 ? 'source' : undefined,
      prefer: ['none', 'local', 'region'][own.length],
      // up to six of one priority, with weights from 1 to 100
      slots: own.length > 3 ? 50_100 : undefined,
      members: own.map((member, i) =>
        given({ ...member, priority: i % 2 === 1 ? 2 : undefined, state: i > 2 ? 'down' : undefined }),
      ),
    });
  });
  return addresses;
}

export interface RandomRecord {
  readonly kind: 'node' | 'network' | 'port' | 'address';
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
      addresses: rare(fc.constantFrom('4', '4', '46'), fc.constantFrom('6', 'the same 6'), 10),
      mtu: rare(fc.constant<number | undefined>(undefined), fc.constantFrom(1300, 1340), 6),
      kind: optional(fc.constant('foreign')),
      region: optional(fc.constantFrom('x', 'y')),
    })
    .map(({ id, last, addresses, mtu, kind, region }) => {
      const own = [`192.0.2.${last}`, `2001:db8::${hex(last + 2)}`];
      let underlay = own.slice(0, addresses.length);
      if (addresses === '6') underlay = [own[1]!];
      if (addresses === 'the same 6') underlay = ['2001:db8::1'];
      return { kind: 'node' as const, id, fields: given({ underlay, mtu, kind, region }) };
    });
  const network = fc
    .record({
      id: fc.constantFrom('n1', 'n2', 'n3'),
      segment: fc.integer({ min: 1, max: 9 }),
      mtu: optional(fc.constantFrom(1000, 1450)),
      encap: rare(fc.constantFrom(undefined, undefined, 'geneve', 'gre'), fc.constantFrom('flat', 'lisp'), 6),
      group: rare(fc.constant<string | undefined>(undefined), fc.constantFrom('239.1.1.1', 'ff15::1'), 8),
    })
    .map(({ id, segment, mtu, encap, group }) => {
      const flooding = group === undefined || encap === 'flat' ? {} : { flood: 'multicast', group };
      return { kind: 'network' as const, id, fields: given({ segment, mtu, encap, ...flooding }) };
    });
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
      segment: rare(
        fc.constant<number | undefined>(undefined),
        rare(fc.integer({ min: 1, max: 9 }), fc.constant(2 ** 24), 3),
        6,
      ),
      allow: rare(fc.constant<string[] | undefined>(undefined), fc.constant<string[] | undefined>(['10.9.0.0/16']), 4),
      views: rare(
        fc.constant<Fields>({}),
        fc
          .record(
            {
              for: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'region:x', 'region:y'), {
                minLength: 1,
                maxLength: 2,
              }),
              prefer: fc.uniqueArray(fc.constantFrom('a', 'd', 'region:x'), { minLength: 1, maxLength: 2 }),
            },
            { requiredKeys: [] },
            // Preferred by who does not have it: a warning, also of a record that a later one of the same delta replaces.
          )
          .map((views) => ('for' in views && 'prefer' in views ? { ...views, prefer: ['region:x'] } : views)),
        4,
      ),
    })
    .map(({ id, network, mac, macs, ips, nodes, interface: tap, segment, allow, views }) => ({
      kind: 'port' as const,
      id,
      fields: given({
        network,
        mac: `02:00:00:00:00:${hex(mac)}`,
        macs,
        allow,
        ips: ips.map((n) =>
          n >= 1000
            ? `192.0.2.${n - 1000}`.replace('.0.2.0', '.0.2.1')
            : n % 3 === 0
              ? `fd00::${hex(n)}`
              : `10.0.0.${n}`,
        ),
        at: nodes.map((name) =>
          given({ node: name, interface: tap === undefined ? undefined : `tap${tap}`, segment, ...views }),
        ),
      }),
    }));
  const address = fc
    .record({
      id: fc.constantFrom('v1', 'v2', 'v3'),
      network: rare(fc.constantFrom('n1', 'n1', 'n2'), fc.constant('n4'), 30),
      mac: rare(fc.integer({ min: 100, max: 120 }), fc.nat(60), 10),
      shared: rare(fc.constant(false), fc.constant(true), 20),
      ips: fc.uniqueArray(rare(fc.integer({ min: 200, max: 220 }), fc.oneof(fc.nat(80), fc.constant(201)), 8), {
        maxLength: 2,
      }),
      underlay: rare(fc.constant(false), fc.constant(true), 20),
      members: fc.uniqueArray(
        rare(fc.constantFrom('s1', 's2', 's3'), fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p99'), 3),
        { minLength: 1, maxLength: 3 },
      ),
      down: fc.boolean(),
      prefer: optional(fc.constantFrom('local', 'region')),
      weight: rare(fc.constant<number | undefined>(undefined), fc.constantFrom(7, 100), 5),
    })
    .map(({ id, network, mac, shared, ips, underlay, members, down, prefer, weight }) => ({
      kind: 'address' as const,
      id,
      fields: given({
        network,
        mac: shared ? SHARED[0] : `02:00:00:00:00:${hex(mac)}`,
        ips: [...ips.map((n) => (n % 3 === 0 ? `fd00::${hex(n)}` : `10.0.0.${n}`)), ...(underlay ? ['192.0.2.1'] : [])],
        prefer,
        members: members.map((port, i) => given({ port, weight, state: down && i === 1 ? 'down' : undefined })),
      }),
    }));
  const full = fc.oneof(
    { weight: 2, arbitrary: address },
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
