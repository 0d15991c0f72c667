import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { IdBook, type Plan, plan } from '../compiler/index.ts';
import { loadConfig } from '../daemon/config.ts';
import type { Place } from '../daemon/config-schema.ts';
import { kernelAge, OLDEST_KERNEL } from '../daemon/kernel-age.ts';
import { missingCapabilities } from '../daemon/privileges.ts';
import { chooseHook } from '../dataplane/index.ts';
import { MapwireError } from '../errors.ts';
import {
  type AttachedProgram,
  type Device,
  effectiveCapabilities,
  FEATURES,
  type Feature,
  kernelVersion,
  libbpfVersion,
  Netlink,
  probeAll,
} from '../libbpf/index.ts';
import { hasErrors, readTable } from '../table/index.ts';
import { call } from './client.ts';
import type { Finding } from './finding.ts';
import { flagsOf, withConfig } from './options.ts';
import { EXIT, print, printJson } from './output.ts';
import { mtuFindings } from './underlay-mtu.ts';

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
  const { planned, found } = table(place);
  const library = libbpf();
  findings.push(library);
  if (library.state !== 'fail') {
    findings.push(...(await features()));
    findings.push(...(await devices(place, planned)));
  }
  findings.push(...found);
  findings.push(await daemon(place));
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

async function devices(place: Place, planned: Plan | undefined): Promise<Finding[]> {
  if (place.underlay === undefined) {
    return [
      {
        what: 'underlay',
        state: 'warn',
        found: 'not configured',
        remedy: 'name it with --underlay or in the configuration',
      },
    ];
  }
  const findings: Finding[] = [];
  using netlink = new Netlink();
  const all = await netlink.devices();
  for (const name of place.underlay) {
    const device = all.find((one) => one.name === name);
    if (device === undefined) {
      const others = all.map((one) => one.name).filter((one) => one !== 'lo');
      findings.push({
        what: `device ${name}`,
        state: 'fail',
        found: 'absent',
        remedy: `the devices here are: ${others.slice(0, 8).join(', ')}`,
      });
      continue;
    }
    findings.push(...(await underlay(netlink, device, place, planned)));
  }
  return findings;
}

async function underlay(netlink: Netlink, device: Device, place: Place, planned: Plan | undefined): Promise<Finding[]> {
  const what = `device ${device.name}`;
  const findings: Finding[] = [];
  if (!device.up) findings.push({ what, state: 'fail', found: 'down', remedy: `ip link set ${device.name} up` });
  findings.push(...mtuFindings(device, planned?.networks() ?? []));
  const { xdp, why } = chooseHook(place.hook ?? 'auto', {
    kind: device.kind,
    peerElsewhere: device.linkNetnsid !== undefined,
    xdp: await netlink.xdpFeatures(device.ifindex),
  });
  findings.push({ what, state: 'ok', found: `MTU ${device.mtu}, hook ${xdp ? 'xdp' : 'tc'} (${why})` });
  findings.push(...(await foreignPrograms(netlink, device)));
  return findings;
}

async function foreignPrograms(netlink: Netlink, device: Device): Promise<Finding[]> {
  const what = `device ${device.name}`;
  let attached: readonly AttachedProgram[];
  try {
    attached = await netlink.attachedPrograms(device.ifindex);
  } catch (error) {
    if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_PRIVILEGE') throw error;
    const found = 'what is attached to it could not be found out';
    return [{ what, state: 'warn', found, remedy: 'run doctor as root' }];
  }
  return attached
    .filter(({ hook, programName }) => hook.startsWith('xdp') && !programName?.startsWith('mw_'))
    .map(({ programId, programName }) => ({
      what,
      state: 'warn',
      found: `another XDP program is attached: '${programName ?? '?'}' (id ${programId}); Mapwire forwards through TC there`,
      remedy: `ip link set dev ${device.name} xdp off, if nothing needs it`,
    }));
}

/** The plan is there when the table is good and has this node. */
function table(place: Place): { readonly planned?: Plan; readonly found: readonly Finding[] } {
  const what = 'table';
  if (place.table === undefined) return { found: [] };
  const { table: read, diagnostics } = readTable(place.table);
  if (read === undefined || hasErrors(diagnostics)) {
    const errors = diagnostics.filter(({ severity }) => severity === 'error').length;
    return { found: [{ what, state: 'fail', found: `${errors} errors`, remedy: `mapwire check ${place.table}` }] };
  }
  if (place.node === undefined) return { found: [{ what, state: 'ok', found: `${read.portCount} ports` }] };
  const node = read.nodes.get(place.node);
  if (node === undefined) {
    const remedy = "add it to 'nodes', or change 'node' in the configuration";
    return { found: [{ what, state: 'fail', found: `no node '${place.node}'`, remedy }] };
  }
  const found = `${read.portCount} ports; this node has ${node.underlay.join(', ')}`;
  return { planned: plan(read, place.node, new IdBook()), found: [{ what, state: 'ok', found }] };
}

async function daemon(place: Place): Promise<Finding> {
  try {
    const { state, pid } = await call<{ state: string; pid: number }>(place.socket, 'GET', '/v1/status');
    return { what: 'daemon', state: state === 'ready' ? 'ok' : 'warn', found: `process ${pid}, ${state}` };
  } catch {
    return { what: 'daemon', state: 'ok', found: 'not running' };
  }
}
