/** Commands that ask the daemon and print what it says. */
import type { Command } from 'commander';
import { formatRows, type RowValue } from '../compiler/index.ts';
import { version } from '../daemon/version.ts';
import { type NodeStateView, type ProbesView, standingText } from '../daemon/views.ts';
import type {
  Dataplane,
  DataplaneStatus,
  DropCount,
  GroupStatus,
  MapDump,
  NextHopStatus,
  TraceResult,
} from '../dataplane/index.ts';
import { type Diagnostic, renderDiagnostic } from '../table/index.ts';
import { call } from './client.ts';
import { fromPins } from './offline.ts';
import { PLACE_KEYS, placeOf, withConfig } from './options.ts';
import { columns, plural, print, printJson } from './output.ts';
import { withQuestion } from './simulate.ts';

/** A command that prints the answer to one GET: as JSON, or in words. */
function ask<T>(
  program: Command,
  name: string,
  description: string,
  path: string,
  words: (answer: T) => string,
  pinned?: (plane: Dataplane) => T,
): void {
  withConfig(program.command(name).description(description), PLACE_KEYS)
    .option('--json', 'print JSON')
    .action(async (options: Record<string, unknown>) => {
      const place = placeOf(options);
      const answer = await call<T>(place.socket, 'GET', path).catch((error: unknown) => {
        if (pinned === undefined) throw error;
        return fromPins(place, error, pinned);
      });
      await (options.json ? printJson(answer) : print(words(answer)));
    });
}

/** What `GET /v1/status` answers. */
export interface StatusAnswer {
  readonly node: string;
  readonly version: string;
  /** Null: no daemon runs, this was read from the pinned maps. */
  readonly pid: number | null;
  readonly state: 'waiting' | 'applying' | 'ready' | 'failing' | 'no daemon';
  readonly revision: { readonly table: number | null; readonly applied: number | null };
  readonly sources: readonly {
    readonly name: string;
    readonly state: string;
    readonly diagnostics: readonly Diagnostic[];
  }[];
  readonly nodes: readonly NodeStateView[];
  /** Absent without a daemon. */
  readonly probes?: ProbesView;
  readonly dataplane: DataplaneStatus;
}

/** What the programs were made for. */
function programsText({ made, encaps, features }: DataplaneStatus['programs']): string {
  switch (made) {
    case 'none':
      return 'programs: none in force';
    case 'generic':
      return 'programs: the same for any table (specialise: off)';
    case 'meanwhile':
      return 'programs: for any table, on TC, until those for this one are loaded';
    case 'plan':
      return `programs: made for ${[...encaps, ...features].join(', ') || 'no network'}`;
  }
}

function statusWords(status: StatusAnswer): string {
  const { table, applied } = status.revision;
  const { dataplane } = status;
  const lines = [
    status.pid === null
      ? 'no daemon; the data plane goes on with what is pinned (start one with `mapwire run`)'
      : `node ${status.node}: ${status.state} (mapwire ${status.version}, process ${status.pid})`,
    `revision ${applied ?? 'none'} in force${table === applied || status.pid === null ? '' : `, ${table ?? 'none'} wanted`}; generation ${dataplane.generation}${dataplane.tableLayout === undefined ? '' : `, layout ${dataplane.tableLayout}`}`,
  ];
  lines.push(programsText(dataplane.programs));
  for (const source of status.sources) {
    lines.push(`source ${source.name}: ${source.state}`);
    for (const diagnostic of source.diagnostics) lines.push(renderDiagnostic(diagnostic));
  }
  for (const one of status.nodes) lines.push(`node ${one.node}: state: ${standingText(one)}`);
  if (status.probes !== undefined && status.probes.sessions > 0) lines.push(probesWords(status.probes));
  for (const { subject, message, hint } of dataplane.problems) {
    lines.push(`problem with ${subject}: ${message}`);
    if (hint !== undefined) lines.push(`  hint: ${hint}`);
  }
  const devices = dataplane.devices.map((one) => [
    one.name,
    one.port ?? (one.vlan === 0 ? one.role : `${one.role}, VLAN ${one.vlan}`),
    one.hook,
    one.mtu,
    one.why,
  ]);
  const hops = [...dataplane.nextHops.flatMap(hopRows), ...dataplane.groups.map(groupRow)];
  const maps = dataplane.maps.map((one) => [one.map, one.entries, one.capacity]);
  return [
    ...lines,
    '',
    columns(['device', 'for', 'hook', 'mtu', 'why'], devices),
    '',
    columns(['node', 'address', 'mtu', 'via', 'device', 'next hop'], hops),
    '',
    columns(['map', 'entries', 'capacity'], maps),
  ].join('\n');
}

/** `probes: 3 sessions, 2 up, 1 loss; discarded: 4 by their TTL` */
function probesWords({ sessions, up, losses, discarded, unsent, unsentWhy }: ProbesView): string {
  const odd = [
    discarded.ttl > 0 ? `${discarded.ttl} discarded by their TTL` : '',
    discarded.malformed > 0 ? `${discarded.malformed} malformed` : '',
    discarded.unknown > 0 ? `${discarded.unknown} of nobody` : '',
    unsent > 0 ? `${unsent} could not be sent (${unsentWhy})` : '',
  ].filter((text) => text !== '');
  const words = `probes: ${plural(sessions, 'session')}, ${up} up, ${plural(losses, 'loss', 'losses')}`;
  return odd.length === 0 ? words : `${words}; packets: ${odd.join(', ')}`;
}

type Cell = string | number | undefined;

/** A line for each way; the node is named once. */
function hopRows({ node, address, mtu, pathMtu, ways, why }: NextHopStatus): Cell[][] {
  const size = pathMtu === undefined ? mtu : `${pathMtu} (told)`;
  if (ways.length === 0) return [[node, address, size, undefined, undefined, why]];
  return ways.map((way, i) => [
    ...(i === 0 ? [node, address, size] : ['', '', '']),
    way.via,
    way.vlan === 0 ? way.device : `${way.device}:${way.vlan}`,
    way.why ?? way.mac,
  ]);
}

function groupRow({ group, networks, device, vlan, mac }: GroupStatus): Cell[] {
  const name = device === undefined || vlan === 0 ? device : `${device}:${vlan}`;
  const next = device === undefined ? 'no underlay device is up' : mac;
  return [`group of ${networks.join(', ')}`, group, undefined, undefined, name, next];
}

/** JSON says null where there is nothing; people read a dash. */
function rowsWords(title: string): (answer: readonly Readonly<Record<string, RowValue | null>>[]) => string {
  return (answer) =>
    formatRows(
      title,
      answer.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value ?? '-']))),
    );
}

interface Drop {
  readonly reason: string;
  readonly packets: number;
  readonly bytes: number;
}

function numbers({ reason, packets, bytes }: DropCount): Drop {
  return { reason, packets: Number(packets), bytes: Number(bytes) };
}

/** `status` without a daemon: what the kernel holds. */
function pinnedStatus(plane: Dataplane): StatusAnswer {
  const revision = plane.adoptedRevision;
  return {
    node: '',
    version: version(),
    pid: null,
    state: 'no daemon',
    revision: { table: null, applied: revision === 0 ? null : revision },
    sources: [],
    nodes: [],
    dataplane: plane.status(),
  };
}

/** The commands `status`, `nodes`, `networks`, `ports`, `drops`, `dump` and `trace`. */
export function askCommands(program: Command): void {
  ask(program, 'status', 'what the daemon and the kernel hold', '/v1/status', statusWords, pinnedStatus);
  ask(program, 'nodes', 'nodes, their addresses and next hops', '/v1/nodes', rowsWords('nodes'));
  ask(program, 'networks', 'networks of this node', '/v1/networks', rowsWords('networks'));
  ask(program, 'ports', 'ports, where they are, and their counters', '/v1/ports', rowsWords('ports'));
  ask<readonly Drop[]>(
    program,
    'drops',
    'dropped packets by reason',
    '/v1/drops',
    (drops) =>
      columns(
        ['reason', 'packets', 'bytes'],
        drops.filter(({ packets }) => packets > 0).map(({ reason, packets, bytes }) => [reason, packets, bytes]),
      ),
    (plane) => plane.drops().map(numbers),
  );
  dumpCommand(program);
  traceCommand(program);
}

function dumpCommand(program: Command): void {
  withConfig(
    program
      .command('dump')
      .description("the kernel's maps with names joined")
      .argument('[map]', 'one map, e.g. port, mac or ip4'),
    PLACE_KEYS,
  )
    .option('--json', 'print JSON')
    .action(async (map: string | undefined, options: Record<string, unknown>) => {
      const path = map === undefined ? '/v1/dump' : `/v1/dump?map=${encodeURIComponent(map)}`;
      const place = placeOf(options);
      const answer = await call<readonly MapDump[]>(place.socket, 'GET', path).catch((error: unknown) =>
        fromPins(place, error, (plane) => plane.dump(map)),
      );
      if (options.json) await printJson(answer);
      else await print(answer.map((one) => formatRows(one.map, one.entries)).join('\n'));
    });
}

function traceCommand(program: Command): void {
  withQuestion(
    withConfig(
      program.command('trace').description('what the live program with the live maps would do with a packet'),
      PLACE_KEYS,
    ),
  )
    .option('--json', 'print JSON')
    .action(async (options: Record<string, unknown>) => {
      const { from, to, kind, size } = options;
      const answer = await call<TraceResult>(placeOf(options).socket, 'POST', '/v1/trace', { from, to, kind, size });
      if (options.json) await printJson(answer);
      else await print(traceWords(answer));
    });
}

function traceWords(trace: TraceResult): string {
  const { hook, verdict, reason, network, port, node, device, segment, copies } = trace;
  const facts = Object.entries({ reason, network, port, node, device, segment, copies })
    .filter(([name, value]) => value !== undefined && !(name === 'reason' && value === 'none'))
    .map(([name, value]) => `${name} ${value}`);
  return [`${verdict} (decided by the ${hook} program)`, ...facts.map((fact) => `  ${fact}`)].join('\n');
}
