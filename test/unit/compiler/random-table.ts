import type { TableObject } from '../../support/table-object.ts';

/** Random numbers from a seed (mulberry32), so that a failure can be played again. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

type Mutable<T> = { -readonly [K in keyof T]: Mutable<T[K]> };
export type Draft = Mutable<TableObject> & { addresses: Record<string, Address> };
type Address = Mutable<NonNullable<TableObject['addresses']>[string]>;
type Port = Draft['ports'][string];
type Network = Draft['networks'][string];

const NODES = 6;
const NETWORKS = 6;
const ENCAPS = ['vxlan', 'vxlan', 'vxlan-gpe', 'geneve', 'gre', 'lisp', 'flat', 'flat'] as const;
/** The same segment of several encapsulations. */
const COMMON_SEGMENT = 77;

/** Edits a table at random; everything stays valid, `n0` stays in it. */
export class RandomTable {
  readonly draft: Draft = { nodes: {}, networks: {}, ports: {}, addresses: {} };
  readonly #random: (below: number) => number;
  #serial = 0;
  #moves = 0;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    for (let i = 0; i < NODES; i++) this.#setNode(`n${i}`);
    for (let i = 0; i < NETWORKS; i++) this.#setNetwork(`w${i}`);
    for (let i = 0; i < 12; i++) this.#setPort(`p${this.#random(20)}`);
    for (let i = 0; i < 3; i++) this.#setAddress(i);
    this.#mend();
  }

  /** One edit; returns a text that says what it was. */
  edit(): string {
    const told = this.#edit();
    this.#mend();
    return told;
  }

  #edit(): string {
    const port = `p${this.#random(20)}`;
    switch (this.#random(16)) {
      case 13:
      case 14: {
        const address = this.#random(4);
        this.#setAddress(address);
        return `address ${address}`;
      }
      case 15: {
        const address = `a${this.#random(4)}`;
        delete this.draft.addresses[address];
        return `delete ${address}`;
      }
      case 0:
      case 12: {
        const node = `n${this.#random(NODES)}`;
        this.#setNode(node);
        return `node ${node}`;
      }
      case 1: {
        const network = `w${this.#random(NETWORKS)}`;
        this.#setNetwork(network);
        return `network ${network}`;
      }
      case 2:
      case 3:
        delete this.draft.ports[port];
        return `delete ${port}`;
      case 4: {
        const extra = `x${this.#random(3)}`;
        const used = Object.values(this.draft.ports).some((one) => placesOf(one).some(({ node }) => node === extra));
        if (this.draft.nodes[extra] === undefined) this.#setNode(extra);
        else if (!used) delete this.draft.nodes[extra];
        return `extra node ${extra}`;
      }
      case 5: {
        const found = this.draft.ports[port];
        if (found === undefined) return 'nothing';
        const fresh = `r${this.#serial++}`;
        delete this.draft.ports[port];
        this.draft.ports[fresh] = found;
        return `rename ${port} to ${fresh}`;
      }
      case 6: {
        const renamed = Object.keys(this.draft.ports).filter((id) => id.startsWith('r'));
        for (const id of renamed) delete this.draft.ports[id];
        return 'delete all renamed';
      }
      default:
        this.#setPort(port);
        return `port ${port}`;
    }
  }

  #one<T>(...items: readonly T[]): T {
    return items[this.#random(items.length)] as T;
  }

  #setNode(id: string): void {
    const number = this.#serial++ % 60_000;
    const ip4 = `192.0.${number >> 8}.${number & 255}`;
    const ip6 = `2001:db8::${(number + 1).toString(16)}`;
    const before = this.draft.nodes[id];
    const former = before === undefined ? [] : [before.underlay].flat();
    // A node keeps its addresses, gets new ones of the same families, or changes its families.
    const renumbered = former.map((address) => (address.includes(':') ? ip6 : ip4));
    const fresh = this.#one([ip4], [ip6], [ip4, ip6], [ip6, ip4], [ip6, ip4], [ip6, ip4]);
    const underlay = before === undefined ? fresh : this.#one(former, renumbered, fresh);
    const foreign = this.#random(4) === 0;
    this.draft.nodes[id] = {
      underlay,
      // Mostly the same: it must not be the MTU that makes other changes seen.
      mtu: (this.#random(4) > 0 ? before?.mtu : undefined) ?? 1400 + 10 * this.#random(20),
      ...(foreign ? { kind: 'foreign', guard: this.#one('full', 'open', 'off') } : {}),
      ...(this.#random(2) === 0 ? { region: this.#one('north', 'south') } : {}),
      ...(this.#random(3) === 0 ? { 'udp6-checksum': this.#one('auto', 'zero', 'computed') } : {}),
      // Somebody is in each region, whatever the others do.
      ...(id === 'n4' ? { region: 'north' } : id === 'n5' ? { region: 'south' } : {}),
      ...(this.#random(3) === 0 ? { state: this.#one('up', 'down', 'drain') } : {}),
    };
  }

  #setNetwork(id: string): void {
    const index = Number(id.slice(1));
    const before = this.draft.networks[id];
    const encap = before !== undefined && this.#random(3) > 0 ? (before.encap ?? 'vxlan') : this.#one(...ENCAPS);
    const others = Object.entries(this.draft.networks).filter(([other, net]) => other !== id && net.encap === encap);
    const segments = [500 * (index + 1) + this.#random(3)];
    if (encap === 'gre') segments.push(4_000_000_000 + index);
    if (!others.some(([, net]) => net.segment === COMMON_SEGMENT)) segments.push(COMMON_SEGMENT);
    const untagged = encap === 'flat' && this.#random(3) === 0 && others.every(([, net]) => net.segment !== undefined);
    const ipOnly = encap === 'vxlan-gpe' || encap === 'lisp';
    this.draft.networks[id] = {
      encap,
      ...(untagged ? {} : { segment: this.#one(...segments) }),
      flood: this.#one(
        'none',
        'replicate',
        ...(encap === 'flat' ? (['none', 'replicate'] as const) : (['multicast', 'multicast'] as const)),
      ),
      unknown: !ipOnly && this.#random(4) === 0 ? 'flood' : 'drop',
      vlan: !ipOnly && encap !== 'flat' && this.#random(3) === 0 ? 'transparent' : 'drop',
      'link-local': this.#one('any', 'eui64'),
      ...(this.#random(3) === 0 ? { mtu: 1300 + this.#random(50) } : {}),
    };
  }

  /** What no edit alone can see: what ports may have in their network, and groups that all nodes of it can send to. */
  #mend(): void {
    const { nodes, networks, ports, addresses } = this.draft;
    for (const [id, address] of Object.entries(addresses)) {
      const { encap } = networks[address.network] as Network;
      // What a port has by now, or a new address of the same number, it has no more.
      const owned = new Set(
        Object.values(ports).flatMap((port) => (port.network === address.network ? (port.ips ?? []) : [])),
      );
      address.ips = (address.ips ?? []).filter((ip) => !owned.has(ip));
      address.members = address.members.filter(({ port }) => ports[port]?.network === address.network);
      if (address.members.length === 0 || encap === 'vxlan-gpe' || encap === 'lisp') delete addresses[id];
    }
    for (const port of Object.values(ports)) {
      const { encap, flood } = networks[port.network] as Network;
      if (encap === 'flat') delete port.move;
      const unheard = flood === 'none' || encap === 'vxlan-gpe' || encap === 'lisp';
      if (port.move !== undefined && unheard) port.move.activate = 'table';
      if (encap === 'flat') for (const at of port.at) delete at.segment;
      if (encap === 'vxlan-gpe' || encap === 'lisp') port.allow = [];
    }
    for (const [id, network] of Object.entries(networks)) {
      if (network.flood !== 'multicast') continue;
      const own = Object.values(ports).filter((port) => port.network === id);
      const underlays = own.flatMap((port) => placesOf(port).map((at) => [nodes[at.node]?.underlay ?? []].flat()));
      const has = (sign: string) => underlays.every((underlay) => underlay.some((address) => address.includes(sign)));
      const sign = network.group?.includes(':') ? ':' : '.';
      if (network.group !== undefined && has(sign)) continue;
      delete network.group;
      // Few groups, so that networks share them.
      const groups = [
        ...(has('.') ? ['239.1.1.1', '239.1.1.2'] : []),
        ...(has(':') ? ['ff15::1', 'ff15::1', 'ff18::2'] : []),
      ];
      if (groups.length === 0) network.flood = 'replicate';
      else network.group = this.#one(...groups);
    }
  }

  /** Nodes and regions, often this node's: those that are there always. */
  #names(): string[] {
    const all = ['n0', 'n1', 'n2', 'n3', 'region:north', 'region:south'];
    return [...new Set([this.#one(...all), this.#one(...all)])];
  }

  /** Mostly what it was but for one thing. */
  #setAddress(number: number): void {
    const id = `a${number}`;
    const before = this.draft.addresses[id];
    const ports = Object.entries(this.draft.ports);
    if (ports.length === 0) return;
    const network =
      before !== undefined && this.#random(4) > 0 ? before.network : (this.#one(...ports)[1] as Port).network;
    const own = ports.filter(([, port]) => port.network === network).map(([port]) => port);
    const member = (port: string): Address['members'][number] => ({
      port,
      weight: this.#one(1, 1, 2, 5),
      priority: this.#one(1, 1, 2),
      state: this.#random(6) === 0 ? 'down' : 'up',
    });
    const keep = before?.network === network && this.#random(3) > 0;
    const members = keep
      ? before.members.map((one) => (this.#random(3) === 0 ? member(one.port) : one))
      : own.filter(() => this.#random(3) > 0).map(member);
    const ips = [`10.77.${number}.${1 + this.#random(2)}`];
    if (this.#random(2) === 0) ips.push(`fd77::${number}`);
    // Now and then it takes a port's address over.
    const robbed = own.map((port) => this.draft.ports[port] as Port).find((port) => (port.ips?.length ?? 0) > 0);
    const taken = Object.values(this.draft.addresses).flatMap((one) => one.ips ?? []);
    if (robbed !== undefined && this.#random(3) === 0) {
      const [ip] = robbed.ips as [string];
      if (!taken.includes(ip)) {
        robbed.ips = robbed.ips?.slice(1) ?? [];
        ips.push(ip);
      }
    }
    this.draft.addresses[id] = {
      network,
      mac: `02:bb:00:00:0${number}:0${this.#random(2)}`,
      ips: keep ? (before?.ips ?? []) : ips,
      affinity: this.#one('flow', 'flow', 'source'),
      prefer: this.#one('none', 'local', 'region'),
      members,
    };
  }

  #setPort(id: string): void {
    // Mostly what the port had before, else addresses that nobody has.
    const before = this.draft.ports[id];
    const number = this.#random(3) > 0 || before === undefined ? this.#serial++ : serialOf(before.mac);
    const network = `w${this.#random(NETWORKS)}`;
    const nodes = Object.keys(this.draft.nodes);
    const at: Port['at'] = [];
    for (let i = 1 + this.#random(3); i > 0; i--) {
      const node = nodes[this.#random(nodes.length)] as string;
      if (at.some((one) => one.node === node)) continue;
      at.push({
        node,
        priority: this.#random(6) === 0 ? 255 : 1 + this.#random(3),
        weight: 1 + this.#random(2),
        ...(this.#random(4) === 0 ? { for: this.#names() } : {}),
        ...(this.#random(4) === 0 ? { prefer: this.#names() } : {}),
        ...(this.#random(4) === 0 ? { segment: 50_000 + 1000 * Number(network.slice(1)) + this.#random(3) } : {}),
      });
    }
    const port: Port = {
      network,
      mac: `02:00:00:00:${hex(number >> 8)}:${hex(number & 255)}`,
      ips: [],
      macs: [],
      allow: [],
      at,
    };
    if (this.#random(4) > 0) port.ips?.push(`10.0.${number >> 8}.${number & 255}`);
    if (this.#random(3) === 0) port.ips?.push(`fd00::1:${(number + 1).toString(16)}`);
    if (this.#random(4) === 0) port.macs?.push(`02:aa:00:00:00:0${this.#random(6)}`);
    if (this.#random(4) === 0) port.allow?.push(`10.9.${this.#random(4)}.0/24`);
    if (this.#random(6) === 0) port.allow?.push(`fd09:${1 + this.#random(4)}::/32`);
    if (this.#random(5) === 0) port.role = this.#random(2) === 0 ? 'router' : 'dhcp';
    if (this.#random(6) === 0) port.state = this.#one('down', 'drain', 'up');
    if (this.#random(3) === 0) {
      // Rising, whichever port it is: the newest counts.
      port.sequence = ++this.#moves;
      const to = nodes[this.#random(nodes.length)] as string;
      if (at.length < 4 && at.every(({ node }) => node !== to)) {
        port.move = {
          to: { node: to },
          send: this.#one('old', 'new', 'both'),
          activate: this.#one('table', 'announcement', 'announcement'),
        };
      }
    } else if (before?.sequence !== undefined) port.sequence = before.sequence;
    if (sharers(this.draft, port) > 4) port.macs = [];
    this.draft.ports[id] = port;
  }
}

/** Its locators, and where it moves to. */
function placesOf({ at, move }: Port): readonly { node: string }[] {
  return move === undefined ? at : [...at, move.to];
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function serialOf(mac: string): number {
  return Number.parseInt(mac.slice(-5).replace(':', ''), 16);
}

function sharers(draft: Draft, port: Port): number {
  const others = Object.values(draft.ports).filter(
    (other) => other.network === port.network && other.macs?.some((mac) => port.macs?.includes(mac)),
  );
  return others.length + 1;
}
