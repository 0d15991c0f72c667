import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, test } from 'vitest';
import { Liveness, type ReturnPolicy } from '../../../src/daemon/liveness.ts';
import { livenessFile } from '../../../src/daemon/liveness-file.ts';
import { standingText, standingView } from '../../../src/daemon/views.ts';
import type { NodeState } from '../../../src/table/index.ts';
import { tableOf } from '../../support/table-object.ts';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** One state directory, a clock that stands still, processes one after the other. */
class Desk {
  readonly folder = mkdtempSync(join(tmpdir(), 'mapwire-liveness-'));
  time = 1_000_000;
  liveness: Liveness;

  constructor(policy: ReturnPolicy = 0) {
    folders.push(this.folder);
    this.liveness = this.#start(policy);
  }

  #start(policy: ReturnPolicy): Liveness {
    return new Liveness({ file: livenessFile(this.folder), policy, now: () => this.time });
  }

  restart(policy: ReturnPolicy = 0): void {
    this.liveness = this.#start(policy);
  }

  /** Nodes a and b, with these states. */
  table(states: { readonly a?: NodeState; readonly b?: NodeState } = {}, probed?: ReadonlySet<string>): void {
    const node = (id: 'a' | 'b', underlay: string) => {
      const state = states[id];
      return { underlay, ...(state !== undefined && { state }) };
    };
    const nodes = { a: node('a', '192.0.2.1'), b: node('b', '192.0.2.2') };
    this.liveness.setTable(tableOf({ nodes, networks: {}, ports: {} }).nodes, probed);
  }

  get b(): string {
    return standingText(standingView(this.liveness.standing('b')));
  }
}

describe('who is heard', () => {
  const words = [undefined, 'up', 'down', 'drain'] as const;
  for (const command of words) {
    for (const table of words) {
      for (const probe of [undefined, 'up', 'down'] as const) {
        const [state, by] =
          command !== undefined
            ? [command, 'command']
            : table !== undefined
              ? [table, 'table']
              : probe !== undefined
                ? [probe, 'probe']
                : ['up', 'default'];
        test(`command ${command}, table ${table}, probe ${probe}: ${state} by ${by}`, () => {
          const desk = new Desk();
          desk.table(table === undefined ? {} : { b: table }, probe && new Set(['b']));
          if (probe !== undefined) desk.liveness.setProbes(new Map([['b', probe]]));
          if (command !== undefined) desk.liveness.command('b', command);
          expect(desk.liveness.standing('b')).toEqual({ state, by });
          expect(desk.liveness.states()).toEqual(
            new Map([
              ['a', 'up'],
              ['b', state],
            ]),
          );
        });
      }
    }
  }

  it('is told with its source', () => {
    const desk = new Desk();
    desk.table();
    expect(desk.b).toBe('up');
    desk.liveness.command('b', 'down');
    expect(desk.b).toBe('down (by command)');
    desk.liveness.command('b', 'clear');
    expect(desk.b).toBe('up');
    desk.table({ b: 'drain' });
    expect(desk.b).toBe('drain (by table)');
  });
});

describe('a command', () => {
  it('is kept over restarts, and while the node is not in the table', () => {
    const desk = new Desk();
    desk.table();
    desk.liveness.command('b', 'drain');
    desk.restart();
    desk.liveness.setTable(new Map());
    expect(desk.liveness.named()).toEqual(['b']);
    desk.table();
    expect(desk.b).toBe('drain (by command)');
    desk.liveness.command('b', 'clear');
    desk.restart();
    desk.table();
    expect(desk.b).toBe('up');
  });

  it('that cannot be kept does not count', () => {
    const desk = new Desk();
    desk.table();
    desk.liveness.command('b', 'drain');
    rmSync(desk.folder, { recursive: true });
    writeFileSync(desk.folder, '');
    expect(() => desk.liveness.command('b', 'down')).toThrow(expect.objectContaining({ code: 'ERR_MW_STATE' }));
    expect(desk.b).toBe('drain (by command)');
    expect(() => desk.liveness.command('a', 'down')).toThrow();
    expect(desk.liveness.standing('a')).toEqual({ state: 'up', by: 'default' });
  });
});

describe('the return of a node that was down', () => {
  it('is at once, unless told otherwise', () => {
    const desk = new Desk();
    desk.table({ b: 'down' });
    desk.table();
    expect(desk.b).toBe('up');
    expect(desk.liveness.nextReturn).toBeUndefined();
  });

  it('after a time: it is drained meanwhile, over restarts', () => {
    const desk = new Desk(5_000);
    desk.table({ b: 'down' });
    expect(desk.b).toBe('down (by table)');
    desk.table();
    expect(desk.b).toBe('drain (returns at 1970-01-01T00:16:45.000Z)');
    expect(desk.liveness.nextReturn).toBe(1_005_000);
    desk.time += 4_999;
    desk.restart(5_000);
    desk.table();
    expect(desk.liveness.standing('b').state).toBe('drain');
    desk.time += 1;
    desk.liveness.tick();
    expect(desk.b).toBe('up');
    expect(desk.liveness.nextReturn).toBeUndefined();
    desk.restart(5_000);
    desk.table();
    expect(desk.b).toBe('up');
  });

  it('by hand: until `up`, which is not kept then', () => {
    const desk = new Desk('by-hand');
    desk.table({ b: 'down' });
    desk.table({ b: 'up' });
    expect(desk.b).toBe('drain (returns by `mapwire node up`)');
    desk.restart('by-hand');
    desk.table({ b: 'up' });
    expect(desk.liveness.standing('b').state).toBe('drain');
    desk.liveness.command('b', 'up');
    expect(desk.b).toBe('up (by table)');
    desk.table({ b: 'down' });
    expect(desk.b).toBe('down (by table)');
  });

  it('waits also when it came up while no daemon ran', () => {
    const desk = new Desk('by-hand');
    desk.table({ b: 'down' });
    desk.restart('by-hand');
    desk.table();
    expect(desk.liveness.standing('b').state).toBe('drain');
  });

  it('begins anew when the node goes down again', () => {
    const desk = new Desk(5_000);
    desk.table({ b: 'down' });
    desk.table();
    desk.time += 4_000;
    desk.table({ b: 'down' });
    desk.time += 4_000;
    desk.table();
    expect(desk.liveness.nextReturn).toBe(1_013_000);
  });

  it('is the same for what a probe says', () => {
    const desk = new Desk('by-hand');
    desk.table({}, new Set(['b']));
    desk.liveness.setProbes(new Map([['b', 'down']]));
    expect(desk.b).toBe('down (by probe)');
    desk.liveness.setProbes(new Map([['b', 'up']]));
    expect(desk.liveness.standing('b')).toEqual({ state: 'drain', by: 'return' });
  });

  it('is the same over a restart: a node that was down has to be heard', () => {
    const desk = new Desk('by-hand');
    const probed = new Set(['b']);
    desk.table({}, probed);
    desk.liveness.setProbes(new Map([['b', 'down']]));
    expect(desk.b).toBe('down (by probe)');
    // not written yet: the map comes first
    expect(readdirSync(desk.folder)).toEqual([]);
    desk.liveness.keep();
    desk.restart('by-hand');
    desk.table({}, probed);
    expect(desk.b).toBe('down (by probe)');
    desk.liveness.setProbes(new Map([['b', 'up']]));
    desk.liveness.keep();
    expect(desk.b).toBe('drain (returns by `mapwire node up`)');
    // it is not probed any more
    desk.restart('by-hand');
    desk.table();
    expect(desk.liveness.standing('b').state).toBe('drain');
    desk.liveness.command('b', 'up');
    expect(desk.b).toBe('up');
  });

  it('`up` is kept where the table says something else meanwhile', () => {
    const desk = new Desk('by-hand');
    desk.table({ b: 'down' });
    desk.table();
    expect(desk.b).toBe('drain (returns by `mapwire node up`)');
    desk.table({ b: 'drain' });
    desk.liveness.command('b', 'up');
    expect(desk.b).toBe('up (by command)');
    desk.liveness.command('b', 'clear');
    expect(desk.b).toBe('drain (by table)');
    desk.table();
    expect(desk.b).toBe('up');
  });

  it('does not listen to the last word of a session of a node that is not probed any more', () => {
    const desk = new Desk();
    desk.table({}, new Set(['b']));
    desk.table();
    desk.liveness.setProbes(new Map([['b', 'down']]));
    expect(desk.b).toBe('up');
  });

  it('forgets what probes said of a node that is not probed any more', () => {
    const desk = new Desk();
    desk.table({}, new Set(['b']));
    desk.liveness.setProbes(new Map([['b', 'down']]));
    desk.table({}, new Set(['b']));
    expect(desk.b).toBe('down (by probe)');
    desk.table();
    expect(desk.b).toBe('up');
  });

  it.each(['down', 'drain'] as const)('does not concern a node that a command had as %s', (command) => {
    const desk = new Desk('by-hand');
    desk.table();
    desk.liveness.command('b', command);
    desk.liveness.command('b', 'clear');
    expect(desk.b).toBe('up');
  });

  it('does not concern a node that was drained by the table, nor one that is new', () => {
    const desk = new Desk('by-hand');
    desk.table({ b: 'drain' });
    desk.table();
    expect(desk.b).toBe('up');
    desk.table({ b: 'down' });
    desk.liveness.setTable(new Map());
    desk.table();
    expect(desk.b).toBe('up');
  });

  it('follows another policy after a restart, and a clock that was set back', () => {
    const desk = new Desk('by-hand');
    desk.table({ b: 'down' });
    desk.table();
    desk.restart(5_000);
    desk.table();
    expect(desk.liveness.nextReturn).toBe(desk.time + 5_000);
    desk.time -= 1_000_000;
    desk.restart(5_000);
    expect(desk.liveness.nextReturn).toBe(desk.time + 5_000);
    desk.restart(0);
    desk.table();
    expect(desk.b).toBe('up');
  });
});

describe('the file', () => {
  it('can be read by root alone, and is written only when something changed', () => {
    const desk = new Desk();
    const path = join(desk.folder, 'nodes.json');
    desk.table();
    expect(() => statSync(path)).toThrow();
    desk.liveness.command('b', 'down');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
      version: 1,
      commands: { b: 'down' },
      down: [],
      waiting: {},
    });
    const before = statSync(path).mtimeMs;
    desk.table();
    desk.liveness.tick();
    expect(statSync(path).mtimeMs).toBe(before);
  });

  it('takes every id that a node can have', () => {
    const desk = new Desk();
    for (const id of ['__proto__', 'constructor']) desk.liveness.command(id, 'down');
    desk.restart();
    for (const id of ['__proto__', 'constructor']) expect(desk.liveness.standing(id).by).toBe('command');
  });

  it.each(['', '{', '{"version":2}', '{"version":1,"commands":{"b":"off"},"down":[],"waiting":{}}'])(
    'that is damaged ends the start: %j',
    (text) => {
      const desk = new Desk();
      writeFileSync(join(desk.folder, 'nodes.json'), text);
      expect(() => desk.restart()).toThrow(
        expect.objectContaining({ code: 'ERR_MW_STATE', hint: expect.stringContaining('remove it') }),
      );
    },
  );
});
