import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigMistake, loadConfig, loadDaemonConfig } from '../../../src/daemon/config.ts';
import { CONFIG_HELP, CONFIG_KEYS, type ConfigKey, parseDuration } from '../../../src/daemon/config-schema.ts';
import { MapwireError } from '../../../src/errors.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mw-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(text: string): string {
  const file = join(folder, 'mapwire.yaml');
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

const underlay = (text: string, flags = {}) =>
  loadDaemonConfig({ file: write(MINIMAL.replace('[eth0]', text)), flags }).underlay;

function mistakesOf(text: string, flags = {}): readonly ConfigMistake[] {
  try {
    loadDaemonConfig({ file: write(text), flags });
  } catch (error) {
    expect(error).toBeInstanceOf(MapwireError);
    expect((error as MapwireError).code).toBe('ERR_MW_CONFIG');
    return (error as MapwireError).details.mistakes as ConfigMistake[];
  }
  throw new Error('no mistake was found');
}

const MINIMAL = 'node: host-a\ntable: /etc/mapwire/table.yaml\nunderlay: [eth0]\n';

it('fills what is not written with defaults', () => {
  expect(loadDaemonConfig({ file: write(MINIMAL) })).toEqual({
    node: 'host-a',
    table: '/etc/mapwire/table.yaml',
    underlay: [{ device: 'eth0', vlan: 0 }],
    pinDir: '/sys/fs/bpf/mapwire',
    stateDir: '/var/lib/mapwire',
    socket: '/run/mapwire/mapwire.sock',
    hook: 'auto',
    guard: 'full',
    layout: 'hash',
    unknownSegment: 'drop',
    guardGraceMs: 5000,
    returnPolicy: 0,
    probe: 'none',
    probeIntervalMs: 300,
    probeMultiplier: 3,
    probeHops: 1,
    restartHoldMs: 10_000,
    vxlanPort: 4789,
    gpePort: 4790,
    genevePort: 6081,
    lispPort: 4341,
    ttl: 64,
    dscp: 0,
    floodRate: 1000,
    tooBigRate: 10,
    specialise: 'auto',
    logLevel: 'info',
  });
});

it('lets flags win over the file, and takes relative paths from where they are written', () => {
  const file = write(`${MINIMAL.replace('/etc/mapwire/table.yaml', 'table.yaml')}hook: tc\n`);
  const config = loadDaemonConfig({ file, flags: { hook: 'xdp', 'state-dir': 'state' } });
  expect(config).toMatchObject({
    hook: 'xdp',
    table: join(folder, 'table.yaml'),
    stateDir: join(process.cwd(), 'state'),
  });
});

it('needs no file when flags say it all', () => {
  const flags = { node: 'a', table: '/t.yaml', underlay: ['eth0', 'eth1'] };
  expect(loadConfig({ flags, file: write(''), required: ['node'] })).toMatchObject({
    node: 'a',
    underlay: [
      { device: 'eth0', vlan: 0 },
      { device: 'eth1', vlan: 0 },
    ],
  });
});

it('reports every mistake at its place', () => {
  const mistakes = mistakesOf('node: 7\nhok: tc\nguard: some\nvxlan-port: 70000\nunderlay: [eth0, "a b"]\n');
  expect(mistakes.map(({ line, column, message, hint }) => [line, column, message, hint])).toEqual([
    [2, 1, "unknown key 'hok'", "did you mean 'hook'?"],
    [1, 7, "'node' must be the id of a node", undefined],
    [0, 0, "'table' is missing", "add 'table: …' to the file, or give --table"],
    [5, 11, 'a device is a name of 1 to 15 characters', undefined],
    [3, 8, "'guard' must be one of: full, mac, off", undefined],
    [4, 13, "'vxlan-port' must be a whole number from 1 to 65535", undefined],
  ]);
});

it('shows the line and a caret as a compiler does', () => {
  const file = write(`${MINIMAL}guard: some\n`);
  expect(() => loadDaemonConfig({ file })).toThrow(
    [`${file}:4:8: error: 'guard' must be one of: full, mac, off`, ' 4 | guard: some', '   |        ^'].join('\n'),
  );
});

describe('an underlay device', () => {
  const tagged = { device: 'eth0', vlan: 30 };

  it.each([
    ['eth0', [{ device: 'eth0', vlan: 0 }]],
    ['eth0:30', [tagged]],
    ['{device: eth0, vlan: 30}', [tagged]],
    ['{device: eth0}', [{ device: 'eth0', vlan: 0 }]],
    // A dot is part of the name: of a VLAN device, which is then a device as any other.
    ['eth0.30', [{ device: 'eth0.30', vlan: 0 }]],
    ['[eth1, "eth0:30"]', [{ device: 'eth1', vlan: 0 }, tagged]],
    ['[{device: eth1}, {device: eth0, vlan: 30}]', [{ device: 'eth1', vlan: 0 }, tagged]],
  ])('%s', (text, expected) => {
    expect(underlay(text)).toEqual(expected);
  });

  it('with its tag as a flag', () => {
    expect(underlay('[eth9]', { underlay: ['eth1', 'eth0:30'] })).toEqual([{ device: 'eth1', vlan: 0 }, tagged]);
  });

  it.each([
    ['"eth0:"', 'behind the colon stands a VLAN id, 1 to 4094'],
    ['eth0:0', 'behind the colon stands a VLAN id, 1 to 4094'],
    ['eth0:4095', 'behind the colon stands a VLAN id, 1 to 4094'],
    ['eth0:030', 'behind the colon stands a VLAN id, 1 to 4094'],
    ['eth0:30:1', 'behind the colon stands a VLAN id, 1 to 4094'],
    ['":30"', 'a device is a name of 1 to 15 characters'],
    ['{device: eth0, vlan: 4095}', "'vlan' must be a whole number from 1 to 4094"],
    ['{device: eth0, vlan: "30"}', "'vlan' must be a whole number from 1 to 4094"],
    ['{vlan: 30}', "'device': a device is a name of 1 to 15 characters"],
    ['{device: eth0, tag: 30}', "unknown key 'tag' of a device; it is {device: NAME, vlan: ID}"],
    ['[[eth0]]', 'a device is NAME, NAME:VLAN, or {device: NAME, vlan: ID}'],
    ['7', "'underlay' must be a list of devices, e.g. [eth0] or [{device: eth0, vlan: 30}]"],
    ['[eth0, "eth0:30"]', "'underlay' names a device twice: a device has one tag, or none"],
  ])('is refused when it is %s', (text, message) => {
    expect(mistakesOf(MINIMAL.replace('[eth0]', text))).toMatchObject([{ line: 3, message }]);
  });
});

describe('two tunnels on one UDP port', () => {
  it('are a mistake where it was made, also when the other is the default', () => {
    const message = (here: string, there: string) =>
      `'${here}' and '${there}' are the same UDP port: nothing tells the tunnels apart`;
    expect(mistakesOf(`${MINIMAL}vxlan-port: 6081\n`)).toMatchObject([
      { line: 4, message: message('vxlan-port', 'geneve-port') },
    ]);
    expect(mistakesOf(`${MINIMAL}gpe-port: 7000\nlisp-port: 7000\n`)).toMatchObject([
      { line: 5, message: message('lisp-port', 'gpe-port') },
    ]);
    expect(mistakesOf(MINIMAL, { 'geneve-port': 4789 })).toMatchObject([
      { file: '--geneve-port', message: message('geneve-port', 'vxlan-port') },
    ]);
  });

  it('may change places', () => {
    const text = `${MINIMAL}vxlan-port: 4790\ngpe-port: 4789\n`;
    expect(loadDaemonConfig({ file: write(text) })).toMatchObject({ vxlanPort: 4790, gpePort: 4789 });
  });
});

describe('return', () => {
  it.each([
    ['at-once', 0],
    ['by-hand', 'by-hand'],
    ['after 30s', 30_000],
    ['after 24h', 86_400_000],
  ])('%s', (text, expected) => {
    expect(loadDaemonConfig({ file: write(`${MINIMAL}return: ${text}\n`) }).returnPolicy).toBe(expected);
  });

  it.each(['30s', 'after', 'after 25h', 'never', '5', '[after, 5s]', ''])('refuses %j', (text) => {
    expect(mistakesOf(`${MINIMAL}return: ${text}\n`)).toMatchObject([
      { message: expect.stringContaining("'return' must be") },
    ]);
  });
});

describe('refuses', () => {
  it.each([
    ['broken YAML', 'node: [a\n'],
    ['a list', '- node\n'],
    ['a key twice', `${MINIMAL}node: host-b\n`],
    ['an alias bomb', `${MINIMAL}x: &a [1]\ny: [*a]\n`],
    ['no underlay', MINIMAL.replace('[eth0]', '[]')],
    ['a socket path that is too long', `${MINIMAL}socket: /${'x'.repeat(120)}\n`],
    ['a duration that is none', `${MINIMAL}guard-grace: soon\n`],
    ['an empty value', `${MINIMAL}hook:\n`],
  ])('%s', (_, text) => {
    expect(mistakesOf(text).length).toBeGreaterThan(0);
  });

  it('a wrong flag, by its name', () => {
    expect(mistakesOf(MINIMAL, { hook: 'both' })).toMatchObject([{ file: '--hook', line: 0 }]);
  });

  it('a file that is not there, with a remedy', () => {
    expect(() => loadDaemonConfig({ file: join(folder, 'none.yaml') })).toThrow(
      expect.objectContaining({ code: 'ERR_MW_CONFIG', hint: expect.stringContaining('--config') }),
    );
  });
});

it.runIf(process.geteuid?.() === 0)('refuses a file that others can write when root', () => {
  const file = write(MINIMAL);
  chmodSync(file, 0o666);
  expect(() => loadDaemonConfig({ file })).toThrow(expect.objectContaining({ code: 'ERR_MW_UNSAFE_FILE' }));
});

it.each([
  ['5s', 5000],
  ['500ms', 500],
  ['2m', 120_000],
  [3, 3000],
  ['1.5s', 1500],
  ['5h', 18_000_000],
  ['5d', undefined],
  ['', undefined],
  ['-1s', undefined],
])('reads the duration %j as %j ms', (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});

it('documents every key with its default, and the example has every key, with its default where it has one', () => {
  const text = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
  const example = readFileSync(new URL('../../../examples/mapwire.yaml', import.meta.url), 'utf8');
  const defaults = loadConfig({ file: write(''), required: [] });
  const rows = [...text.matchAll(/^\| `([\w-]+)` \| (?:`([^`]*)`|required) \| \S.* \|$/gm)];
  expect(rows.map(([, key]) => key)).toEqual(CONFIG_KEYS);
  expect([...example.matchAll(/^([\w-]+):/gm)].map(([, key]) => key)).toEqual(CONFIG_KEYS);
  for (const [, key, value] of rows) {
    expect(CONFIG_HELP[key as ConfigKey], key).toBeTruthy();
    const written = value === undefined ? '' : `${key}: ${value}\n`;
    expect(loadConfig({ file: write(written), required: [] }), key).toEqual(defaults);
  }
  expect(loadDaemonConfig({ file: write(example) })).toEqual({
    ...defaults,
    node: 'host-a',
    table: '/etc/mapwire/table.yaml',
    underlay: [{ device: 'eth0', vlan: 0 }],
  });
});
