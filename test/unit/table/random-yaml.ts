/** Random tables in YAML, as text: plain ones, odd ones that are right, and broken ones. The same ones in JSON. */
import type { Random } from '../../support/random.ts';

const hex = (n: number): string => n.toString(16).padStart(2, '0');

interface RandomPort {
  readonly id: string;
  readonly network: string;
  readonly mac: string;
  readonly ips: readonly string[];
  readonly node: string;
  readonly interface: string | undefined;
}

function randomPort(random: Random, n: number): RandomPort {
  const clash = random.chance(0.01);
  return {
    id: random.chance(0.03) ? random.pick(ODD_IDS) : `port-${n}`,
    network: random.chance(0.01) ? 'gone' : random.pick(['blue', 'red']),
    mac: random.chance(0.005) ? 'no mac' : `02:00:00:00:00:${hex(clash ? 0 : n)}`,
    ips: [`10.0.0.${n + 1}`, `fd00::${hex(n + 1)}`].slice(0, random.below(3)),
    node: random.chance(0.01) ? 'gone' : random.pick(['a', 'b']),
    interface: random.chance(0.2) ? `tap${n}` : undefined,
  };
}

const ODD_IDS = [
  '17',
  'true',
  'a b',
  'é',
  '😀',
  '',
  ' x',
  '0x1f',
  '1e3',
  '~',
  'null',
  'x:y',
  '__proto__',
  '- x',
  '# x',
];
const COMMENTS = ['# a comment', '#', '# ports:', '# é 😀', '#\tx', '# - x', "# it's"];
const SAFE = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

/** A text as YAML may have it, if it can be had plain. */
function scalar(random: Random, text: string, key = false): string {
  const quoted = JSON.stringify(text);
  if (text.startsWith(':') || !/^[A-Za-z0-9_.:-]+$/.test(text) || (!SAFE.test(text) && !/[.:]/.test(text))) {
    // Now and then it is written as it is, whatever that means.
    return random.chance(0.1) && text !== '' ? text : quoted;
  }
  if (key && text.endsWith(':')) return quoted;
  return random.chance(0.1) ? random.pick([quoted, `'${text}'`]) : text;
}

function comment(random: Random, chance: number): string {
  return random.chance(chance) ? `${' '.repeat(random.between(1, 3))}${random.pick(COMMENTS)}` : '';
}

/** Lines between others. */
function between(random: Random, chance: number): string {
  if (!random.chance(chance)) return '';
  return random.chance(0.5)
    ? `${' '.repeat(random.below(7))}${random.pick(COMMENTS)}\n`
    : random.pick(['\n', '  \n', '\n\n']);
}

/** How odd a text is: chances of things that are rarely written. */
export type Oddity = 0 | 0.02 | 0.2;

/** A record in one of many ways. */
function record(random: Random, port: RandomPort, odd: Oddity): string {
  const { id, network, mac, ips, node } = port;
  const text = (value: string): string => scalar(random, value);
  const key = scalar(random, id, true);
  const list = `[${ips.map((ip) => (ip.includes('::') ? JSON.stringify(ip) : text(ip))).join(', ')}]`;
  const locator = port.interface === undefined ? '' : `, interface: ${port.interface}`;
  const end = (): string => `${comment(random, 0.05)}\n`;
  if (random.chance(0.3)) {
    const newline = random.chance(odd) ? `\n${' '.repeat(random.between(1, 6))}` : ' ';
    return `  ${key}: { network: ${text(network)}, mac: ${text(mac)},${newline}ips: ${list}, at: { node: ${node}${locator} } }${end()}`;
  }
  const indent = ' '.repeat(random.chance(odd) ? 6 : 4);
  const lines = [
    `network: ${random.chance(odd) ? `|-\n${indent}  ${network}` : text(network)}`,
    `mac: ${random.chance(odd) ? `"${mac.slice(0, 5)}\\\n${indent}  ${mac.slice(5)}"` : text(mac)}`,
    random.chance(0.3)
      ? `ips:${ips.length === 0 ? ' []' : ips.map((ip) => `\n${indent}${random.pick(['- ', '  - '])}${scalar(random, ip)}`).join('')}`
      : `ips: ${list}`,
    random.chance(0.3)
      ? `at:\n${indent}  - node: ${node}${port.interface === undefined ? '' : `\n${indent}    interface: ${port.interface}`}`
      : `at: { node: ${node}${locator} }`,
  ];
  if (random.chance(odd))
    lines.push(random.pick(['role: router', 'role:', 'state: up', 'sequence: 7', 'sequence: 0x10']));
  if (random.chance(odd))
    lines.push(random.pick(['network: red', 'x: &a 1', 'x: *a', 'x: !!str 1', '? x\n: y', '<<: {}']));
  if (random.chance(odd)) lines.sort();
  const body = lines.map((line) => `${between(random, 0.03)}${indent}${line}${end()}`).join('');
  return `  ${random.chance(odd) ? `? ${key}\n  ` : key}:${end()}${body}`;
}

/** A whole table of some ports. */
export function randomYaml(random: Random, odd: Oddity): string {
  let text = between(random, 0.1);
  if (random.chance(odd))
    text += random.pick(['---\n', '%YAML 1.2\n---\n', '--- # x\n', '...\n', '%YAML 1.1\n---\n', '--- !!map\n']);
  const sections: string[] = [];
  const version = random.chance(odd)
    ? random.pick(['', 'mapwire: 2\n', 'mapwire: "1"\n', 'mapwire:\n'])
    : 'mapwire: 1\n';
  sections.push(version);
  sections.push(`nodes:\n  a: { underlay: 192.0.2.1 }\n  b:${comment(random, 0.1)}\n    underlay: 192.0.2.2\n`);
  sections.push('networks:\n  blue: { segment: 1 }\n  red: { segment: 2 }\n');
  const ports = Array.from({ length: random.below(40) }, (_, n) => randomPort(random, n));
  if (random.chance(odd)) ports.push(...ports.slice(0, 2));
  const records = ports.map((port) => between(random, 0.1) + record(random, port, odd)).join('');
  const head = random.chance(odd)
    ? random.pick(['ports: &p', 'ports: !!map', '"ports":', '? ports\n:', 'ports :'])
    : 'ports:';
  sections.push(`${head}${comment(random, 0.1)}\n${records}`);
  if (random.chance(odd))
    sections.push(random.pick(['port: {}\n', 'ports: {}\n', 'ports:\n  x: 1\n', '17: 1\n', 'nodes: [a]\n']));
  if (random.chance(0.3)) sections.reverse();
  text += sections.join(between(random, 0.3));
  if (random.chance(odd))
    text += random.pick(['---\nmapwire: 1\n', '...\n', '... # x\n', '--- \n', '  # end', '\u0000', 'x']);
  if (random.chance(0.2)) text = text.replaceAll('\n', '\r\n');
  if (random.chance(0.2)) text = text.replace(/\n$/, '');
  return text;
}

/** The same in JSON. */
export function randomJson(random: Random, odd: Oddity): string {
  const space = (): string => (random.chance(0.3) ? random.pick([' ', '\n', '\n  ', '\t', '\r\n']) : '');
  const text = (value: string): string =>
    random.chance(odd)
      ? `"\\u${value.charCodeAt(0).toString(16).padStart(4, '0')}${value.slice(1)}"`
      : JSON.stringify(value);
  const member = (key: string, value: string): string =>
    `${space()}${JSON.stringify(key)}${space()}:${space()}${value}${space()}`;
  const mapping = (members: string[]): string => `{${members.join(',')}${members.length === 0 ? space() : ''}}`;
  const ports = Array.from({ length: random.below(40) }, (_, n) => randomPort(random, n));
  if (random.chance(odd)) ports.push(...ports.slice(0, 2));
  const records = ports.map((port) => {
    const members = [
      member('network', text(port.network)),
      member('mac', text(port.mac)),
      member('ips', `[${space()}${port.ips.map(text).join(`${space()},`)}]`),
      member(
        'at',
        mapping([
          member('node', text(port.node)),
          ...(port.interface ? [member('interface', text(port.interface))] : []),
        ]),
      ),
    ];
    if (random.chance(odd)) members.push(random.pick(members));
    if (random.chance(odd))
      members.push(member('x', random.pick(['-1.5e3', 'true', 'null', '[[]]', '{"a":{"a":1,"a":2}}'])));
    return member(port.id, random.chance(odd) ? random.pick(['1', '[]', 'null', '"x"']) : mapping(members));
  });
  const sections = [
    member('mapwire', random.chance(odd) ? random.pick(['2', '"1"', '{}', '[1, 2]']) : '1'),
    member('nodes', '{"a": {"underlay": "192.0.2.1"},\n"b": {"underlay": "192.0.2.2"}}'),
    member('networks', '{"blue": {"segment": 1}, "red": {"segment": 2}}'),
    member('ports', random.chance(odd) ? `[${records.map((each) => `{${each}}`).join(',')}]` : mapping(records)),
  ];
  if (random.chance(odd))
    sections.push(
      random.pick([...sections, member('port', '{}'), member('ports', '5'), member('ports', '{"port-1":{},"y":{}}')]),
    );
  if (random.chance(0.3)) sections.reverse();
  return `${space()}${mapping(sections)}${space()}`;
}

const SIGNS = [
  ...'"\'{}[],:#&*!|>%@`-? \t\r\n0aé\\',
  '\n\n',
  '\n- ',
  ': ',
  ' #',
  '---\n',
  '...\n',
  '  ',
  '\u0085',
  '\u2028',
  '\ufeff',
  '"\n',
  'null',
];

/** A text with a few things in it changed. */
export function damaged(random: Random, text: string): string {
  let result = text;
  for (let n = random.between(1, 3); n > 0; n--) {
    const at = random.below(result.length + 1);
    const line = result.lastIndexOf('\n', at - 1) + 1;
    const next = result.indexOf('\n', at) + 1 || result.length;
    const kind = random.below(7);
    if (kind === 0) result = result.slice(0, at) + result.slice(at + random.between(1, 4));
    else if (kind === 1) result = result.slice(0, line) + result.slice(next);
    else if (kind === 2) result = result.slice(0, next) + result.slice(line);
    else if (kind === 3) result = `${result.slice(0, line)}${' '.repeat(random.between(1, 3))}${result.slice(line)}`;
    else if (kind === 4) result = result.slice(0, line) + result.slice(line).replace(/^ {1,2}/, '');
    else if (kind === 5 && random.chance(0.2)) result = result.slice(0, at);
    else result = result.slice(0, at) + random.pick(SIGNS) + result.slice(at);
  }
  return result;
}
