import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import type { Place } from '../daemon/config-schema.ts';
import { kernelAge, OLDEST_KERNEL } from '../daemon/kernel-age.ts';
import { missingCapabilities } from '../daemon/privileges.ts';
import { MapwireError } from '../errors.ts';
import {
  effectiveCapabilities,
  FEATURES,
  type Feature,
  kernelVersion,
  libbpfVersion,
  probeAll,
} from '../libbpf/index.ts';
import { hasErrors, readTable, type Table } from '../table/index.ts';
import { call } from './client.ts';
import type { Finding } from './doctor-finding.ts';
import { underlayFindings } from './doctor-underlay.ts';
import { flagsOf, withConfig } from './options.ts';
import { EXIT, print, printJson } from './output.ts';

const BPF_FS_MAGIC = 0xcafe4a11;

/** Without these nothing goes. The others have a fallback. */
const REQUIRED: readonly Feature[] = ['xdp-link', 'batch-hash', 'ringbuf'];

/** `mapwire doctor`: what this host has and lacks, each with its remedy. */
export function doctorCommand(program: Command): void {
  withConfig(
    program
      .command('doctor')
      .description('kernel, drivers, bpffs, capabilities, MTU, foreign programs: each with its remedy'),
    ['node', 'table', 'underlay', 'hook', 'pin-dir', 'state-dir', 'socket'],
  )
    .option('--json', 'print JSON')
    .action(async (options: Record<string, unknown>) => {
      const place = loadConfig({ file: options.config as string | undefined, flags: flagsOf(options), required: [] });
      const findings = await examine(place);
      const failed = findings.some(({ state }) => state === 'fail');
      if (options.json) await printJson({ ok: !failed, findings });
      else await print(findings.map(line).join('\n'));
      if (failed) process.exitCode = EXIT.failed;
    });
}

function line({ what, state, found, remedy }: Finding): string {
  const text = `${state.padEnd(4)}  ${what}: ${found}`;
  return remedy === undefined ? text : `${text}\n      remedy: ${remedy}`;
}

async function examine(place: Place): Promise<Finding[]> {
  const findings: Finding[] = [kernel(), privileges(), bpffs(place.pinDir), ...lockdown()];
  const library = libbpf();
  findings.push(library);
  if (library.state !== 'fail') {
    findings.push(...(await features()));
  }
  const { findings: found, table: read } = table(place);
  if (library.state !== 'fail') findings.push(...(await underlayFindings(place, read)));
  findings.push(...found);
  findings.push(...(await daemon(place, read)));
  return findings;
}

function kernel(): Finding {
  const { release } = kernelVersion();
  const remedy = `Linux ${OLDEST_KERNEL} or later`;
  switch (kernelAge(release)) {
    case 'ok':
      return { what: 'kernel', state: 'ok', found: release };
    case 'too old':
      return { what: 'kernel', state: 'fail', found: `${release} is too old`, remedy };
    default:
      return { what: 'kernel', state: 'warn', found: `'${release}' does not tell its version`, remedy };
  }
}

function privileges(): Finding {
  const missing = missingCapabilities(effectiveCapabilities());
  if (missing.length === 0) return { what: 'privileges', state: 'ok', found: 'enough' };
  return {
    what: 'privileges',
    state: 'fail',
    found: `missing ${missing.join(', ')}`,
    remedy: 'run as root, or through the systemd unit',
  };
}

function bpffs(pinDir: string): Finding {
  let folder = pinDir;
  while (!existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder);
  if (statfsSync(folder).type >>> 0 === BPF_FS_MAGIC) {
    return { what: 'bpffs', state: 'ok', found: `${pinDir} is in a bpffs` };
  }
  return {
    what: 'bpffs',
    state: 'fail',
    found: `${pinDir} is not in a bpffs`,
    remedy: 'mount -t bpf bpf /sys/fs/bpf',
  };
}

function lockdown(): Finding[] {
  const path = '/sys/kernel/security/lockdown';
  if (!existsSync(path)) return [];
  const mode = /\[(\w+)\]/.exec(readFileSync(path, 'utf8'))?.[1] ?? 'none';
  if (mode !== 'confidentiality') return [{ what: 'lockdown', state: 'ok', found: mode }];
  return [
    {
      what: 'lockdown',
      state: 'warn',
      found: 'confidentiality: the kernel may refuse BPF programs that read memory',
      remedy: 'boot with lockdown=integrity',
    },
  ];
}

function libbpf(): Finding {
  try {
    return { what: 'libbpf', state: 'ok', found: libbpfVersion() };
  } catch (error) {
    const known = error instanceof MapwireError;
    return {
      what: 'libbpf',
      state: 'fail',
      found: error instanceof Error ? error.message : String(error),
      remedy: (known ? error.hint : undefined) ?? 'apt install libbpf1, then npm run build',
    };
  }
}

async function features(): Promise<Finding[]> {
  const support = await probeAll();
  return (Object.keys(FEATURES) as Feature[]).map((name): Finding => {
    const { kernel: since, what } = FEATURES[name];
    if (support[name] === true) return { what: name, state: 'ok', found: what };
    if (support[name] === 'unknown') {
      return { what: name, state: 'warn', found: 'could not be found out', remedy: 'run doctor as root' };
    }
    return REQUIRED.includes(name)
      ? { what: name, state: 'fail', found: `this kernel lacks ${what}`, remedy: `Linux ${since} or later` }
      : { what: name, state: 'ok', found: `absent (Linux ${since}); Mapwire falls back: ${what}` };
  });
}

function table(place: Place): { readonly findings: Finding[]; readonly table?: Table } {
  if (place.table === undefined) return { findings: [] };
  const { table: read, diagnostics } = readTable(place.table);
  const one = (finding: Omit<Finding, 'what'>): Finding[] => [{ what: 'table', ...finding }];
  if (read === undefined || hasErrors(diagnostics)) {
    const errors = diagnostics.filter(({ severity }) => severity === 'error').length;
    return { findings: one({ state: 'fail', found: `${errors} errors`, remedy: `mapwire check ${place.table}` }) };
  }
  const ports = `${read.portCount} ports`;
  if (place.node === undefined) return { findings: one({ state: 'ok', found: ports }), table: read };
  const node = read.nodes.get(place.node);
  if (node === undefined) {
    const remedy = "add it to 'nodes', or change 'node' in the configuration";
    return { findings: one({ state: 'fail', found: `no node '${place.node}'`, remedy }) };
  }
  const found = `${ports}; this node has ${node.underlay.join(', ')}`;
  return { findings: one({ state: 'ok', found }), table: read };
}

interface Running {
  readonly state: string;
  readonly pid: number;
  readonly dataplane: { readonly tableLayout?: string };
}

async function daemon(place: Place, read: Table | undefined): Promise<Finding[]> {
  const what = 'daemon';
  try {
    const running = await call<Running>(place.socket, 'GET', '/v1/status');
    const { state, pid, dataplane } = running;
    const found = `process ${pid}, ${state}`;
    return [{ what, state: state === 'ready' ? 'ok' : 'warn', found }, layout(place, read, dataplane.tableLayout)];
  } catch {
    return [{ what, state: 'ok', found: 'not running' }, layout(place, read, undefined)];
  }
}

/** From here on tables of buckets make packets noticeably cheaper (docs/decisions/0012-compact-layout.md). */
const MANY_PORTS = 50_000;

function layout(place: Place, read: Table | undefined, running: string | undefined): Finding {
  const [what, wanted] = ['layout', place.layout ?? 'hash'];
  if (running !== undefined && running !== wanted) {
    const found = `${running} is in force, ${wanted} is configured`;
    return { what, state: 'warn', found, remedy: 'restart the daemon: it goes over without losing a packet' };
  }
  const ports = read?.portCount ?? 0;
  const hint = wanted === 'hash' && ports > MANY_PORTS ? `; with ${ports} ports \`layout: compact\` is faster` : '';
  return { what, state: 'ok', found: `${wanted}${hint}` };
}
