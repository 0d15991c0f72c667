/** The file source against what editors, packagers, Kubernetes and accidents do to files. */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FileSource, type FileSourceOptions, SourceSet, type SourceSetEvent } from '../../../src/sources/index.ts';
import { tableFileSteps } from '../../../src/table/read-file.ts';

// Real, but counted.
vi.mock('../../../src/table/read-file.ts', { spy: true });

let folder: string;
let set: SourceSet | undefined;
let events: SourceSetEvent[];
const isRoot = process.geteuid?.() === 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mapwire-source-'));
  events = [];
});

afterEach(async () => {
  await set?.close();
  set = undefined;
  rmSync(folder, { recursive: true });
});

const HEAD = 'mapwire: 1\nnodes: { a: { underlay: 192.0.2.1 } }\nnetworks: { n: { segment: 5 } }\n';
const port = (id: string, last: number) =>
  `  ${id}: { network: n, mac: 02:00:00:00:00:${String(last).padStart(2, '0')}, ips: [10.0.0.${last}], at: { node: a } }\n`;
const table = (last: number) => `${HEAD}ports:\n${port('p', last)}`;

async function start(path: string, options: FileSourceOptions = {}): Promise<FileSource> {
  // Long polls: what these tests see comes from events, unless they say otherwise.
  const source = new FileSource(path, { poll: 60_000, ...options });
  set = new SourceSet();
  set.add(source);
  set.onEvent((event) => events.push(event));
  await set.start();
  return source;
}

/** Waits for an event that is not there yet; takes the events before it away. */
async function next(matches: (event: SourceSetEvent) => boolean, what: string): Promise<SourceSetEvent> {
  for (let waited = 0; waited < 5000; waited += 5) {
    const index = events.findIndex(matches);
    if (index >= 0) return events.splice(0, index + 1).at(-1)!;
    await sleep(5);
  }
  throw new Error(`no ${what}; there were ${JSON.stringify(events.map((event) => event.type))}`);
}

/** Waits until the port has this address in the newest table. */
async function address(last: number): Promise<void> {
  const event = await next(
    (each) => each.type === 'table' && each.table.port('p')?.ips[0] === `10.0.0.${last}`,
    `table with 10.0.0.${last}`,
  );
  expect(set!.table).toBe(event.type === 'table' ? event.table : undefined);
}

async function refused(code: string): Promise<void> {
  const before = set!.table;
  await next(
    (each) => each.type === 'refused' && each.diagnostics.some((d) => d.code === code),
    `refusal with ${code}`,
  );
  expect(set!.table).toBe(before);
}

/** Long enough for a wrong event to come. */
const quiet = () => sleep(250);

describe('a file', () => {
  let path: string;
  beforeEach(() => {
    path = join(folder, 'table.yaml');
    writeFileSync(path, table(1));
  });

  test('is read at the start and after a change in place; only what changed is a change', async () => {
    await start(path);
    await address(1);
    writeFileSync(path, table(2) + port('q', 9));
    const event = await next((each) => each.type === 'table', 'table');
    expect(event).toMatchObject({ type: 'table', changes: { ports: new Set(['p', 'q']), nodes: new Set() } });
    expect(event.type === 'table' && event.previous?.port('p')?.ips).toEqual(['10.0.0.1']);
    expect(set!.table?.revision).toBe(2);
  });

  test('replaced by rename', async () => {
    await start(path);
    await address(1);
    for (let last = 2; last < 6; last++) {
      writeFileSync(`${path}.new`, table(last));
      renameSync(`${path}.new`, path);
      await address(last);
    }
  });

  test('saved as editors do: moved away and written anew, or removed first', async () => {
    await start(path);
    await address(1);
    renameSync(path, `${path}~`);
    writeFileSync(path, table(2));
    await address(2);
    unlinkSync(path);
    writeFileSync(path, table(3));
    await address(3);
    expect(events.filter((event) => event.type === 'refused')).toEqual([]);
  });

  test('is not read while it is being written', async () => {
    await start(path, { settle: 100 });
    await address(1);
    const text = table(2);
    const fd = openSync(path, 'w');
    for (let at = 0; at < text.length; at += 20) {
      writeSync(fd, text.slice(at, at + 20));
      await sleep(15);
    }
    closeSync(fd);
    await address(2);
    expect(events.filter((event) => event.type === 'refused')).toEqual([]);
  });

  test('bad content is told, what was good stays, and mending it is enough', async () => {
    await start(path);
    await address(1);
    writeFileSync(path, table(1).replace('node: a', 'node: b'));
    await refused('MW104');
    expect(set!.status()).toMatchObject([{ state: 'bad', diagnostics: [{ code: 'MW104', file: path, line: 5 }] }]);
    writeFileSync(path, 'mapwire: 1\nnodes: {');
    await refused('MW172');
    writeFileSync(path, '');
    await refused('MW173');
    writeFileSync(path, table(2));
    await address(2);
    expect(set!.status()).toMatchObject([{ state: 'good', diagnostics: [] }]);
  });

  test('bad or missing at the start: there is no table until there is a good one', async () => {
    unlinkSync(path);
    await start(path);
    await refused('MW170');
    expect(set!.table).toBeUndefined();
    writeFileSync(path, 'nonsense');
    await refused('MW103');
    expect(set!.table).toBeUndefined();
    writeFileSync(path, table(1));
    await address(1);
    expect(set!.table?.revision).toBe(1);
  });

  test('deleted and made again', async () => {
    await start(path);
    await address(1);
    unlinkSync(path);
    await refused('MW170');
    writeFileSync(path, table(1));
    await quiet();
    // The same again is no new version.
    expect(events).toEqual([]);
    expect(set!.status()).toMatchObject([{ state: 'good' }]);
    writeFileSync(path, table(2));
    await address(2);
  });

  test('replaced by a folder and back', async () => {
    await start(path);
    await address(1);
    unlinkSync(path);
    mkdirSync(path);
    await refused('MW173');
    writeFileSync(join(path, 'part.yaml'), table(2));
    await address(2);
    rmSync(path, { recursive: true });
    writeFileSync(path, table(3));
    await address(3);
    expect(set!.table?.portCount).toBe(1);
  });

  test('with its folder moved away and back', async () => {
    const inner = join(folder, 'inner');
    mkdirSync(inner);
    writeFileSync(join(inner, 't.yaml'), table(1));
    await start(join(inner, 't.yaml'));
    await address(1);
    renameSync(inner, `${inner}-away`);
    await refused('MW170');
    mkdirSync(inner);
    writeFileSync(join(inner, 't.yaml'), table(2));
    await address(2);
    writeFileSync(join(inner, 't.yaml'), table(3));
    await address(3);
  });

  test('that is touched, or has other comments, makes no new version', async () => {
    await start(path);
    await address(1);
    utimesSync(path, new Date(), new Date());
    await quiet();
    writeFileSync(path, `# a comment\n${table(1)}`);
    await quiet();
    expect(events).toEqual([]);
    // Places are those of the new text all the same.
    writeFileSync(path, `# a comment\n\n${table(1)}${port('q', 1)}`);
    await refused('MW126');
    expect(set!.status()[0]!.diagnostics[0]).toMatchObject({ line: 8, related: [{ line: 7 }] });
  });

  test('without events the poll finds changes', async () => {
    await start(path, { watch: false, poll: 30 });
    await address(1);
    writeFileSync(path, table(2));
    await address(2);
    unlinkSync(path);
    await refused('MW170');
  });

  test('rescan reads at once what was refused', async () => {
    const source = await start(path);
    await address(1);
    writeFileSync(path, 'nonsense');
    await refused('MW103');
    source.rescan();
    await refused('MW103');
  });

  test('nothing comes after close', async () => {
    await start(path);
    await address(1);
    await set!.close();
    writeFileSync(path, table(2));
    await quiet();
    expect(events).toEqual([]);
  });
});

describe('symbolic links', () => {
  test('are followed as Kubernetes swaps them', async () => {
    const version = (name: string, last: number) => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'table.yaml'), table(last));
    };
    version('..2026_01', 1);
    symlinkSync('..2026_01', join(folder, '..data'));
    symlinkSync('..data/table.yaml', join(folder, 'table.yaml'));
    await start(join(folder, 'table.yaml'));
    await address(1);
    for (let last = 2; last < 5; last++) {
      version(`..2026_0${last}`, last);
      symlinkSync(`..2026_0${last}`, join(folder, '..data_tmp'));
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
      rmSync(join(folder, `..2026_0${last - 1}`), { recursive: true });
      await address(last);
    }
  });

  test('are followed for a whole folder', async () => {
    for (const [name, last] of [
      ['one', 1],
      ['two', 2],
    ] as const) {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'a.yaml'), table(last));
    }
    symlinkSync('one', join(folder, 'tables'));
    await start(join(folder, 'tables'));
    await address(1);
    symlinkSync('two', join(folder, 'next'));
    renameSync(join(folder, 'next'), join(folder, 'tables'));
    await address(2);
    writeFileSync(join(folder, 'two', 'a.yaml'), table(3));
    await address(3);
  });

  test('to a file elsewhere: its changes are seen there', async () => {
    mkdirSync(join(folder, 'elsewhere'));
    writeFileSync(join(folder, 'elsewhere', 'real.yaml'), table(1));
    symlinkSync('elsewhere/real.yaml', join(folder, 'table.yaml'));
    await start(join(folder, 'table.yaml'));
    await address(1);
    writeFileSync(join(folder, 'elsewhere', 'real.yaml'), table(2));
    await address(2);
  });

  test('in a circle are told', async () => {
    symlinkSync('table.yaml', join(folder, 'table.yaml'));
    await start(join(folder, 'table.yaml'));
    await refused('MW170');
  });
});

describe('a folder', () => {
  beforeEach(() => {
    writeFileSync(join(folder, 'base.yaml'), HEAD);
    writeFileSync(join(folder, 'one.yaml'), `mapwire: 1\nports:\n${port('p', 1)}`);
    writeFileSync(join(folder, 'two.yaml'), `mapwire: 1\nports:\n${port('q', 2)}`);
  });

  test('changes by its files: changed, added, removed', async () => {
    await start(folder);
    await address(1);
    expect(set!.table?.portCount).toBe(2);
    writeFileSync(join(folder, 'one.yaml'), `mapwire: 1\nports:\n${port('p', 3)}`);
    const changed = await next((each) => each.type === 'table', 'table');
    expect(changed).toMatchObject({ changes: { ports: new Set(['p']) } });
    writeFileSync(join(folder, 'three.ndjson'), '{"mapwire":1}\n{"node":"b","underlay":"192.0.2.2"}\n');
    const added = await next((each) => each.type === 'table', 'table');
    expect(added).toMatchObject({ changes: { ports: new Set(), nodes: new Set(['b']) } });
    unlinkSync(join(folder, 'two.yaml'));
    const removed = await next((each) => each.type === 'table', 'table');
    expect(removed).toMatchObject({ changes: { ports: new Set(['q']) } });
    expect(set!.table?.portCount).toBe(1);
  });

  test('does not wait for what is written beside it: a file that was, and is renamed into it, is whole', async () => {
    const inner = join(folder, 'inner');
    mkdirSync(inner);
    writeFileSync(join(inner, 'one.yaml'), table(1));
    await start(inner, { settle: 4000, settleRenamed: 20 });
    await address(1);
    for (let last = 2; last < 5; last++) {
      writeFileSync(join(folder, 'fresh.yaml'), table(last));
      await sleep(30);
      renameSync(join(folder, 'fresh.yaml'), join(inner, 'one.yaml'));
      const settled = sleep(3500).then(() => 'as anything that is being written');
      expect(await Promise.race([address(last).then(() => 'at once'), settled])).toBe('at once');
    }
  });

  test('without events the poll finds changes, and a folder that took the place of another', async () => {
    const inner = join(folder, 'inner');
    mkdirSync(inner);
    writeFileSync(join(inner, 'one.yaml'), table(1));
    await start(inner, { poll: 20, watch: false });
    await address(1);
    writeFileSync(join(inner, 'one.yaml'), table(2));
    await address(2);
    mkdirSync(`${inner}-next`);
    writeFileSync(join(`${inner}-next`, 'one.yaml'), table(3));
    renameSync(inner, `${inner}-before`);
    renameSync(`${inner}-next`, inner);
    await address(3);
  });

  test('reads only the files that changed', async () => {
    await start(folder);
    await address(1);
    vi.mocked(tableFileSteps).mockClear();
    writeFileSync(join(folder, 'two.yaml'), `mapwire: 1\nports:\n${port('q', 7)}`);
    await next((each) => each.type === 'table', 'table');
    expect(vi.mocked(tableFileSteps).mock.calls.map(([, path]) => path)).toEqual([join(folder, 'two.yaml')]);
  });

  test('a record may move from one file to another, in either direction', async () => {
    await start(folder);
    await address(1);
    writeFileSync(join(folder, 'one.yaml'), `mapwire: 1\nports:\n${port('p', 1)}${port('q', 2)}`);
    writeFileSync(join(folder, 'two.yaml'), 'mapwire: 1\n');
    await quiet();
    writeFileSync(join(folder, 'one.yaml'), 'mapwire: 1\n');
    writeFileSync(join(folder, 'two.yaml'), `mapwire: 1\nports:\n${port('p', 1)}${port('q', 3)}`);
    const event = await next((each) => each.type === 'table', 'table');
    expect(event).toMatchObject({ changes: { ports: new Set(['q']) } });
    expect(events.filter((each) => each.type === 'refused')).toEqual([]);
  });

  test('two bad files are both told, and a good one among them waits', async () => {
    await start(folder);
    await address(1);
    writeFileSync(join(folder, 'one.yaml'), `mapwire: 1\nports:\n${port('p', 5)}`);
    writeFileSync(join(folder, 'two.yaml'), 'mapwire: 1\nports: {');
    writeFileSync(join(folder, 'three.yaml'), 'mapwire: 2\n');
    await refused('MW172');
    expect(set!.status()[0]!.diagnostics.map(({ code, file }) => [code, file])).toEqual([
      ['MW174', join(folder, 'three.yaml')],
      ['MW172', join(folder, 'two.yaml')],
    ]);
    expect(set!.table?.port('p')?.ips).toEqual(['10.0.0.1']);
    unlinkSync(join(folder, 'three.yaml'));
    writeFileSync(join(folder, 'two.yaml'), `mapwire: 1\nports:\n${port('q', 2)}`);
    await address(5);
  });

  test('emptied altogether is a mistake, not the end of everything', async () => {
    await start(folder);
    await address(1);
    for (const name of ['base.yaml', 'one.yaml', 'two.yaml']) unlinkSync(join(folder, name));
    await refused('MW173');
    expect(set!.table?.portCount).toBe(2);
  });

  test('is not read while a hold file lies there, at the start and later', async () => {
    const hold = join(folder, '.mapwire-hold');
    writeFileSync(hold, '');
    await start(folder);
    await next((each) => each.type === 'held', 'hold');
    expect(set!.status()).toMatchObject([{ state: 'held' }]);
    await quiet();
    expect(set!.table).toBeUndefined();
    unlinkSync(hold);
    await address(1);

    writeFileSync(hold, '');
    await next((each) => each.type === 'held', 'hold');
    writeFileSync(join(folder, 'one.yaml'), `mapwire: 1\nports:\n${port('p', 3)}`);
    await quiet();
    writeFileSync(join(folder, 'two.yaml'), `mapwire: 1\nports:\n${port('q', 4)}`);
    await quiet();
    expect(set!.table?.port('p')?.ips).toEqual(['10.0.0.1']);
    unlinkSync(hold);
    const event = await next((each) => each.type === 'table', 'table');
    expect(event).toMatchObject({ changes: { ports: new Set(['p', 'q']) } });
  });

  test('a hold that ends without a change is good again', async () => {
    await start(folder);
    await address(1);
    writeFileSync(join(folder, '.mapwire-hold'), '');
    await next((each) => each.type === 'held', 'hold');
    unlinkSync(join(folder, '.mapwire-hold'));
    await quiet();
    expect(set!.status()).toMatchObject([{ state: 'good' }]);
  });
});

describe('who may write the table', () => {
  test('root does not read what others can change; anyone else may', async () => {
    const path = join(folder, 'table.yaml');
    writeFileSync(path, table(1));
    chmodSync(path, 0o666);
    await start(path);
    if (!isRoot) {
      await address(1);
      return;
    }
    const event = await next((each) => each.type === 'refused', 'refusal');
    expect(event).toMatchObject({
      error: { code: 'ERR_MW_UNSAFE_FILE' },
      diagnostics: [{ code: 'MW179', file: path }],
    });
    expect(set!.table).toBeUndefined();
    chmodSync(path, 0o644);
    await address(1);

    writeFileSync(`${path}.new`, table(2));
    chownSync(`${path}.new`, 12345, 0);
    renameSync(`${path}.new`, path);
    await refused('MW179');
    chownSync(path, 0, 0);
    await address(2);

    chmodSync(folder, 0o777);
    writeFileSync(path, table(3));
    await refused('MW179');
    chmodSync(folder, 0o755);
    writeFileSync(path, table(4));
    await address(4);
  });

  test('the check can be left out', async () => {
    const path = join(folder, 'table.yaml');
    writeFileSync(path, table(1));
    chmodSync(path, 0o666);
    await start(path, { trusted: false });
    await address(1);
    expect(existsSync(path)).toBe(true);
  });
});
