import { NODE_WIRE } from '../generated/layout.ts';
import { PortIds } from './port-ids.ts';

/**
 * Kernel ids: small dense integers for nodes, networks, ports and balanced addresses. 0 is never one, nor is NODE_WIRE. A multicast group is a
 * node too: a destination with an id of its own.
 *
 * An id is bound to an *owner* (the thing's name in the table) and remembers a *natural key* (what the kernel's own maps
 * tell about it: a network's encapsulation and segment, a node's underlay address, a group's, a port's network and MAC). Owners keep
 * an id while the process runs; natural keys find it again in the pinned maps, so nothing needs to be saved.
 */

/** Ids that nobody owns any more are not given to somebody else for this long, in milliseconds. */
export const ID_REST_MS = 60_000;

interface Binding {
  owner: string;
  natural: string;
  /** The last full pass that asked for it. */
  pass: number;
}

interface Resting {
  readonly id: number;
  readonly natural: string | undefined;
  /** On the book's clock, milliseconds. */
  readonly until: number;
}

/** The ids of one kind. */
export class IdSpace {
  readonly #now: () => number;
  readonly #restMs: number;
  readonly #byOwner = new Map<string, number>();
  readonly #live = new Map<number, Binding>();
  /** Free for their natural key at once, for others after their rest. In the order in which the rest ends. */
  readonly #resting = new Map<number, Resting>();
  /** Seen in the kernel, not asked for yet. */
  readonly #adopted = new Map<number, string | undefined>();
  readonly #byNatural = new Map<string, number>();
  /** Natural keys that the kernel holds more than once: nobody can say whose such an id is. */
  readonly #ambiguous = new Set<string>();
  /** Everything below was given out or found in the kernel. */
  #next = 1;
  #pass = 0;
  #inPass = false;

  constructor(now: () => number, restMs: number) {
    this.#now = now;
    this.#restMs = restMs;
  }

  /** How many ids have an owner. */
  get size(): number {
    return this.#live.size;
  }

  idOf(owner: string): number | undefined {
    return this.#byOwner.get(owner);
  }

  ownerOf(id: number): string | undefined {
    return this.#live.get(id)?.owner;
  }

  /**
   * The owner's id: the one it has, else the one that its natural key had, else a free one. An id that rests is given
   * back to its own natural key at once: nothing in the kernel can confuse the two.
   */
  acquire(owner: string, natural: string): number {
    const known = this.#byOwner.get(owner);
    if (known !== undefined) {
      const binding = this.#live.get(known) as Binding;
      binding.pass = this.#pass;
      if (binding.natural !== natural) {
        this.#forgetNatural(binding.natural, known);
        binding.natural = natural;
        this.#learnNatural(natural, known);
      }
      return known;
    }
    const id = this.#takeByNatural(natural) ?? this.#takeFree();
    this.#byOwner.set(owner, id);
    this.#live.set(id, { owner, natural, pass: this.#pass });
    this.#learnNatural(natural, id);
    return id;
  }

  /** Gives the id back; it rests. Nothing happens when the owner has none. */
  release(owner: string): void {
    const id = this.#byOwner.get(owner);
    if (id === undefined) return;
    const { natural } = this.#live.get(id) as Binding;
    this.#byOwner.delete(owner);
    this.#live.delete(id);
    this.#rest(id, natural);
  }

  /** An id found in the kernel. `natural` undefined: in use there, and nothing says by what. */
  adopt(id: number, natural: string | undefined): void {
    if (id === 0 || id === NODE_WIRE || this.#live.has(id)) return;
    const before = this.#adopted.get(id);
    if (before !== undefined && natural === undefined) return;
    this.#adopted.set(id, natural);
    if (natural === undefined || this.#ambiguous.has(natural)) return;
    const other = this.#byNatural.get(natural);
    if (other === undefined) {
      this.#byNatural.set(natural, id);
    } else if (other !== id) {
      this.#byNatural.delete(natural);
      this.#ambiguous.add(natural);
    }
  }

  /** A full pass begins: owners that do not acquire their id before `endPass` lose it. */
  beginPass(): void {
    this.#pass++;
    this.#inPass = true;
  }

  endPass(): void {
    this.#inPass = false;
    const lost: string[] = [];
    for (const binding of this.#live.values()) if (binding.pass !== this.#pass) lost.push(binding.owner);
    for (const owner of lost) this.release(owner);
    if (this.#adopted.size === 0) return;
    // What the kernel holds and nobody claimed is about to be removed there.
    for (const [id, natural] of this.#adopted) this.#rest(id, natural);
    this.#adopted.clear();
    this.#ambiguous.clear();
  }

  #takeByNatural(natural: string): number | undefined {
    const id = this.#byNatural.get(natural);
    if (id === undefined) return undefined;
    if (this.#adopted.delete(id) || this.#resting.delete(id)) return id;
    // The present owner was not asked for in this pass: the thing was renamed.
    const binding = this.#live.get(id);
    if (binding === undefined || !this.#inPass || binding.pass === this.#pass) return undefined;
    // A node with two addresses was found by either; only the one it goes by now says whose the id is.
    if (binding.natural !== natural) return undefined;
    this.#byOwner.delete(binding.owner);
    return id;
  }

  #takeFree(): number {
    const first = this.#resting.values().next();
    if (!first.done && first.value.until <= this.#now()) {
      const { id, natural } = first.value;
      this.#resting.delete(id);
      if (natural !== undefined) this.#forgetNatural(natural, id);
      return id;
    }
    while (this.#live.has(this.#next) || this.#resting.has(this.#next) || this.#adopted.has(this.#next)) this.#next++;
    return this.#next++;
  }

  #rest(id: number, natural: string | undefined): void {
    this.#resting.delete(id);
    this.#resting.set(id, { id, natural, until: this.#now() + this.#restMs });
  }

  #learnNatural(natural: string, id: number): void {
    const other = this.#byNatural.get(natural);
    // A live owner keeps its natural key: two at once is a passing state between two steps of an edit.
    if (other === undefined || !this.#live.has(other)) this.#byNatural.set(natural, id);
  }

  #forgetNatural(natural: string, id: number): void {
    if (this.#byNatural.get(natural) === id) this.#byNatural.delete(natural);
  }
}

export interface IdBookOptions {
  /** A clock that never goes back, milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  readonly restMs?: number;
}

/** The ids of everything; one for the life of a data plane. */
export class IdBook {
  /** Owner: the node's id in the table, or `groupOwner`. Natural key: `nodeNatural` or `groupNatural`. */
  readonly nodes: IdSpace;
  /** Owner: the network's id in the table. Natural key: `networkNatural`. */
  readonly networks: IdSpace;
  /** Owner: a row of the table. */
  readonly ports: PortIds;
  /** Balanced addresses. Owner: `portOwner`. Natural key: `portNatural`, of the network and the address's own MAC. */
  readonly addresses: IdSpace;

  constructor(options: IdBookOptions = {}) {
    const now = options.now ?? (() => performance.now());
    const restMs = options.restMs ?? ID_REST_MS;
    this.nodes = new IdSpace(now, restMs);
    this.networks = new IdSpace(now, restMs);
    this.ports = new PortIds(now, restMs);
    this.addresses = new IdSpace(now, restMs);
  }

  /** Name of a kernel id in the table, `group ADDRESS` of a group; undefined when nothing has it now. */
  nodeName(id: number): string | undefined {
    if (id === NODE_WIRE) return 'wire';
    return this.nodes.ownerOf(id)?.trimStart();
  }

  /** Is it the id of a multicast group? */
  isGroup(id: number): boolean {
    return this.nodes.ownerOf(id)?.startsWith(' ') ?? false;
  }

  networkName(id: number): string | undefined {
    return this.networks.ownerOf(id);
  }

  portName(id: number): string | undefined {
    return this.ports.nameOf(id);
  }

  addressName(id: number): string | undefined {
    return nameOf(this.addresses.ownerOf(id));
  }
}

/** The name in an owner made by `portOwner`. */
function nameOf(owner: string | undefined): string | undefined {
  return owner?.slice(owner.indexOf(' ') + 1);
}

/** @param encap a value of `enum mw_encap` */
export function networkNatural(encap: number, segment: number): string {
  return `${encap}/${segment}`;
}

/** @param underlay canonical text of the node's first address of the family that is used */
export function nodeNatural(underlay: string): string {
  return underlay;
}

/** @param address canonical text */
export function groupNatural(address: string): string {
  return `group ${address}`;
}

/** No id of the table begins with a space: no node can be taken for a group. */
export function groupOwner(address: string): string {
  return ` ${groupNatural(address)}`;
}

/** @param network kernel id; @param mac canonical text */
export function portNatural(network: number, mac: string): string {
  return `${network} ${mac}`;
}

/** A port that changes its network becomes another port to the kernel: nothing of the old network may reach it. */
export function portOwner(network: number, port: string): string {
  return `${network} ${port}`;
}
