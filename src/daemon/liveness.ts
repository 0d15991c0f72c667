/**
 * Whether a node is used: the one place where what is said about it comes together. In this order: the operator's command
 * on this daemon, the table, a probe; without any of them it is up. A node that table or probe say is up again after it
 * was down may have to wait before it gets its traffic back (`return`): meanwhile it is drained, so that it still serves
 * what has no other place.
 *
 * No clock but the one given, no kernel: what comes out is handed to the data plane.
 */
import type { NodeState, TableNode } from '../table/index.ts';
import type { LivenessFile, LivenessRecord } from './liveness-file.ts';

/** When a node that was down gets its traffic back: after so many milliseconds (0: at once), or by hand. */
export type ReturnPolicy = number | 'by-hand';

/** Where a state comes from. `default`: nobody says anything; `return`: it was down, and waits. */
export type StateSource = 'command' | 'return' | 'table' | 'probe' | 'default';

export interface Standing {
  readonly state: NodeState;
  readonly by: StateSource;
  /** `by: return`: when the waiting ends, milliseconds since 1970; undefined: by hand. */
  readonly until?: number;
}

/** Takes a command back: table and probe count again. */
export type NodeCommand = NodeState | 'clear';

export interface LivenessOptions {
  readonly file: LivenessFile;
  readonly policy: ReturnPolicy;
  /** Milliseconds since 1970: waiting outlives the process. Default `Date.now`. */
  readonly now?: () => number;
}

const NOBODY: ReadonlySet<string> = new Set();
const DEFAULT: Standing = { state: 'up', by: 'default' };

export class Liveness {
  readonly #file: LivenessFile;
  readonly #policy: ReturnPolicy;
  readonly #now: () => number;
  readonly #commands: Map<string, NodeState>;
  /** Nodes that table or probe last said are down. */
  readonly #down: Set<string>;
  /** Nodes that wait, with the time of their return; undefined: by hand. */
  readonly #waiting: Map<string, number | undefined>;
  readonly #probed = new Map<string, 'up' | 'down'>();
  #unwritten = false;
  #nodes: ReadonlyMap<string, TableNode> = new Map();
  /** Nodes that are probed. */
  #expected: ReadonlySet<string> = NOBODY;
  /** Of every node of the table, until something is said. */
  #states: ReadonlyMap<string, NodeState> | undefined;

  constructor(options: LivenessOptions) {
    this.#file = options.file;
    this.#policy = options.policy;
    this.#now = options.now ?? Date.now;
    const { commands, down, waiting } = options.file.read();
    this.#commands = new Map(Object.entries(commands));
    this.#down = new Set(down);
    this.#waiting = new Map(Object.entries(waiting).map(([node, until]) => [node, this.#asPolicy(until)]));
  }

  /** The policy may be another than when the waiting began, and the clock may have been set. */
  #asPolicy(until: number | null): number | undefined {
    if (this.#policy === 'by-hand') return undefined;
    const latest = this.#now() + this.#policy;
    return until === null ? latest : Math.min(until, latest);
  }

  /** The table to come into force, and those of its nodes that are probed. @throws ERR_MW_STATE when what it changes cannot be kept; it counts all the same */
  setTable(nodes: ReadonlyMap<string, TableNode>, probed: ReadonlySet<string> = NOBODY): void {
    if (nodes === this.#nodes && probed === this.#expected) {
      if (this.#waiting.size > 0 || this.#unwritten) this.#look();
      return;
    }
    this.#states = undefined;
    this.#nodes = nodes;
    this.#expected = probed;
    for (const node of this.#probed.keys()) if (!probed.has(node)) this.#probed.delete(node);
    // Of a node that was down before this process began, a probe has yet to say that it is up.
    for (const node of probed) if (this.#down.has(node) && !this.#probed.has(node)) this.#probed.set(node, 'down');
    // A node that is taken out of the table and put in again begins anew; commands are kept until they are taken back.
    for (const node of this.#down) if (!nodes.has(node)) this.#down.delete(node);
    for (const node of this.#waiting.keys()) if (!nodes.has(node)) this.#waiting.delete(node);
    this.#look();
  }

  /**
   * What probes say of several nodes. Writing to a disk takes longer than a packet: what has to outlive the process is written
   * by `keep`, after the states are in force.
   */
  setProbes(states: ReadonlyMap<string, 'up' | 'down'>): void {
    this.#states = undefined;
    // The last word of a session that has no place in the table any more would stand for ever.
    for (const [node, state] of states) if (this.#expected.has(node)) this.#probed.set(node, state);
    if (this.#follow()) this.#unwritten = true;
  }

  /** Writes what `setProbes` left. @throws ERR_MW_STATE */
  keep(): void {
    if (!this.#unwritten) return;
    this.#file.write(this.#record());
    this.#unwritten = false;
  }

  /**
   * An operator's word. It lasts until it is taken back, over restarts. Of a node that waits to return, `up` ends the
   * waiting and is not kept: the node is up already, and a word that is kept would hide it when it dies.
   *
   * @throws ERR_MW_STATE when it cannot be kept; it does not count then
   */
  command(node: string, command: NodeCommand): void {
    const before = {
      command: this.#commands.get(node),
      waits: this.#waiting.has(node),
      until: this.#waiting.get(node),
    };
    this.#states = undefined;
    // What the table says beside it (drain) is overruled by a word that is kept, as without waiting.
    const waited = command === 'up' && this.#waiting.delete(node) && this.#said(node).state === 'up';
    if (command === 'clear' || waited) this.#commands.delete(node);
    else this.#commands.set(node, command);
    try {
      this.#look(true);
    } catch (error) {
      // What is not kept does not count.
      if (before.command === undefined) this.#commands.delete(node);
      else this.#commands.set(node, before.command);
      if (before.waits) this.#waiting.set(node, before.until);
      this.#states = undefined;
      throw error;
    }
  }

  /** Nodes that somebody said something of, in the table or not. */
  named(): string[] {
    return [...new Set([...this.#nodes.keys(), ...this.#commands.keys()])];
  }

  standing(node: string): Standing {
    const command = this.#commands.get(node);
    if (command !== undefined) return { state: command, by: 'command' };
    const said = this.#said(node);
    if (said.state !== 'up' || !this.#waiting.has(node)) return said;
    const until = this.#waiting.get(node);
    return { state: 'drain', by: 'return', ...(until !== undefined && { until }) };
  }

  /** Of every node of the table; the same map as before when nothing was said since. */
  states(): ReadonlyMap<string, NodeState> {
    this.#states ??= new Map([...this.#nodes.keys()].map((node) => [node, this.standing(node).state]));
    return this.#states;
  }

  /** When `tick` has something to do, milliseconds since 1970. */
  get nextReturn(): number | undefined {
    let next: number | undefined;
    for (const until of this.#waiting.values()) {
      if (until !== undefined && until < (next ?? Number.POSITIVE_INFINITY)) next = until;
    }
    return next;
  }

  /** Lets those return whose time has come. */
  tick(): void {
    this.#look();
  }

  /** Without command and waiting. */
  #said(node: string): Standing {
    const state = this.#nodes.get(node)?.state;
    if (state !== undefined) return { state, by: 'table' };
    const probed = this.#probed.get(node);
    return probed === undefined ? DEFAULT : { state: probed, by: 'probe' };
  }

  /** Follows who went down and who came back. What has to outlive the process is written. */
  #look(changed = false): void {
    const write = this.#follow() || changed || this.#unwritten;
    if (!write) return;
    this.#file.write(this.#record());
    this.#unwritten = false;
  }

  /** Whether there is something to write. */
  #follow(): boolean {
    const now = this.#now();
    let write = false;
    for (const node of this.#nodes.keys()) {
      const { state } = this.#said(node);
      if (state === 'down') {
        if (this.#waiting.delete(node)) write = true;
        if (!this.#down.has(node)) write = true;
        this.#down.add(node);
      } else if (state === 'up' && this.#down.delete(node)) {
        write = true;
        if (this.#policy === 'by-hand') this.#waiting.set(node, undefined);
        else if (this.#policy > 0) this.#waiting.set(node, now + this.#policy);
      }
    }
    for (const [node, until] of this.#waiting) {
      if (until !== undefined && until <= now) write = this.#waiting.delete(node);
    }
    if (write) this.#states = undefined;
    return write;
  }

  #record(): LivenessRecord {
    return {
      commands: Object.fromEntries(this.#commands),
      down: [...this.#down],
      waiting: Object.fromEntries([...this.#waiting].map(([node, until]) => [node, until ?? null])),
    };
  }
}
