/** What was tried of the matrix {encapsulation} × {underlay family} × {family inside} × {hook} × {kind of traffic}, and its table. */

export const ENCAPSULATIONS = ['vxlan', 'geneve', 'gre', 'vxlan-gpe', 'lisp', 'flat', 'flat-vlan'] as const;
export const HOOKS = ['xdp', 'tc'] as const;
export const FAMILIES = [4, 6] as const;
export const TRAFFIC = ['unicast', 'ARP/ND', 'broadcast', 'multicast', 'large TCP', 'non-IP'] as const;

export type Encapsulation = (typeof ENCAPSULATIONS)[number];
export type Hook = (typeof HOOKS)[number];
export type Traffic = (typeof TRAFFIC)[number];
type Family = (typeof FAMILIES)[number];

/** One cell. A flat network has no underlay family. */
export interface Cell {
  readonly encap: Encapsulation;
  readonly underlay: Family | undefined;
  readonly inside: Family;
  readonly hook: Hook;
  readonly traffic: Traffic;
}

export const isFlat = (encap: Encapsulation) => encap === 'flat' || encap === 'flat-vlan';
export const carriesIpAlone = (encap: Encapsulation) => encap === 'vxlan-gpe' || encap === 'lisp';

/** Why a cell does not exist; undefined: it does. The whole list of what is not applicable. */
export function notApplicable({ encap, traffic }: Pick<Cell, 'encap' | 'traffic'>): string | undefined {
  if (!carriesIpAlone(encap)) return undefined;
  if (traffic === 'ARP/ND') return 'answered at the first node, never sent';
  return traffic === 'non-IP' ? 'carries IP alone' : undefined;
}

/** Every cell there is, those that are not applicable included. */
export function allCells(): Cell[] {
  const cells: Cell[] = [];
  for (const encap of ENCAPSULATIONS)
    for (const underlay of isFlat(encap) ? [undefined] : FAMILIES)
      for (const inside of FAMILIES)
        for (const hook of HOOKS) for (const traffic of TRAFFIC) cells.push({ encap, underlay, inside, hook, traffic });
  return cells;
}

const key = (cell: Cell) => [cell.encap, cell.underlay, cell.inside, cell.hook, cell.traffic].join(' ');

export class Matrix {
  readonly #results = new Map<string, string>();

  /** Runs what a cell stands for and notes what became of it; gives the error. */
  async try(cell: Cell, what: () => Promise<unknown>): Promise<Error | undefined> {
    try {
      await what();
      this.#results.set(key(cell), 'pass');
      return undefined;
    } catch (error) {
      this.#results.set(key(cell), 'FAIL');
      return new Error(`${key(cell)}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }

  result(cell: Cell): string {
    return notApplicable(cell) === undefined ? (this.#results.get(key(cell)) ?? 'none') : 'n/a';
  }

  /** The table, for people. */
  toString(): string {
    const width = 10;
    const row = (cells: readonly string[]) =>
      cells
        .map((cell) => cell.padEnd(width))
        .join(' ')
        .trimEnd();
    const lines = [
      row(['', '', '', ...HOOKS.flatMap((hook) => [hook, ...TRAFFIC.slice(1).map(() => '')])]),
      row(['encap', 'underlay', 'inside', ...HOOKS.flatMap(() => TRAFFIC)]),
    ];
    for (const encap of ENCAPSULATIONS)
      for (const underlay of isFlat(encap) ? [undefined] : FAMILIES)
        for (const inside of FAMILIES) {
          const results = HOOKS.flatMap((hook) =>
            TRAFFIC.map((traffic) => this.result({ encap, underlay, inside, hook, traffic })),
          );
          lines.push(row([encap, underlay === undefined ? 'n/a' : `IPv${underlay}`, `IPv${inside}`, ...results]));
        }
    return lines.join('\n');
  }
}
