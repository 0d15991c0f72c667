import { expect, it } from 'vitest';
import { metricsText } from '../../../src/daemon/metrics.ts';
import type { StatusView } from '../../../src/daemon/views.ts';
import { Reason, reasonName } from '../../../src/generated/layout.ts';

const STATUS: StatusView = {
  version: '1.2.3',
  pid: 7,
  node: 'a',
  state: 'ready',
  revision: { table: 5, applied: 4 },
  sources: [
    { name: 'file:/etc/t "x"\\y', state: 'good', diagnostics: [] },
    { name: 'api', state: 'bad', diagnostics: [] },
  ],
  ports: { table: 3, local: 2, attached: 1 },
  lastApply: null,
  failure: null,
  nodes: [
    { node: 'b', state: 'down', by: 'command', until: null },
    { node: 'c', state: 'drain', by: 'return', until: null },
    { node: 'd', state: 'up', by: 'command', until: null },
  ],
  dataplane: {
    revision: 4,
    generation: 2,
    layout: 1,
    programs: { made: 'plan', encaps: ['vxlan'], features: [] },
    tableLayout: 'hash',
    devices: [],
    nextHops: [
      {
        node: 'b',
        address: '192.0.2.2',
        family: 4,
        resolved: true,
        device: 'eth0',
        via: '192.0.2.2',
        mac: '02:00:00:00:00:02',
        ways: [
          { device: 'eth0', vlan: 0, via: '192.0.2.2', mac: '02:00:00:00:00:02', used: true, why: undefined },
          { device: 'eth1', vlan: 30, via: '192.0.2.9', mac: undefined, used: false, why: 'eth1 is down' },
        ],
        mtu: 1400,
        pathMtu: 1400,
        why: undefined,
      },
    ],
    groups: [],
    maps: [{ map: 'mac', entries: 3, capacity: 4096 }],
    problems: [],
  },
};

const text = metricsText(
  STATUS,
  [{ reason: 'guard-mac', packets: 2n ** 60n, bytes: 128n }],
  [
    {
      device: 'tap0',
      role: 'port',
      port: 'line\nbreak',
      rxPackets: 1n,
      rxBytes: 2n,
      txPackets: 3n,
      txBytes: 4n,
      drops: 5n,
      answers: 6n,
    },
  ],
  {
    sessions: new Map([
      [
        'b',
        {
          kind: 's-bfd',
          status: {
            state: 1,
            diagnostic: 1,
            remoteState: 1,
            remoteDiagnostic: 0,
            since: 0,
            txMs: 300,
            detectionMs: 900,
            sent: 11,
            received: 10,
            expired: 2,
          },
        },
      ],
    ]),
    totals: {
      sessions: 1,
      discardedTtl: 4,
      discardedMalformed: 0,
      discardedUnknown: 0,
      unsent: 5,
      unsentWhy: 'EHOSTUNREACH',
    },
  },
);

it('follows the exposition format: one HELP and TYPE a family, then its samples, nothing twice', () => {
  expect(text.endsWith('\n')).toBe(true);
  const seen = new Set<string>();
  const samples = new Set<string>();
  let family = '';
  let type = '';
  for (const line of text.trimEnd().split('\n')) {
    const help = /^# HELP (\w+) \S/.exec(line)?.[1];
    if (help !== undefined) {
      expect(seen.has(help), help).toBe(false);
      seen.add(help);
      family = help;
      type = '';
      continue;
    }
    const typed = /^# TYPE (\w+) (counter|gauge)$/.exec(line);
    if (typed !== null) {
      expect(typed[1]).toBe(family);
      type = typed[2] as string;
      expect(family.endsWith('_total')).toBe(type === 'counter');
      continue;
    }
    const sample = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? -?\d+(\.\d+)?$/.exec(line);
    expect(sample, line).not.toBeNull();
    expect(sample?.[1]).toBe(family);
    expect(type).not.toBe('');
    const key = line.slice(0, line.lastIndexOf(' '));
    expect(samples.has(key), key).toBe(false);
    samples.add(key);
  }
});

it('has every drop reason, exact 64-bit counters, and both revisions', () => {
  for (const number of Object.values(Reason)) {
    if (number === Reason.NONE || number === Reason.COUNT) continue;
    expect(text).toContain(`mapwire_drop_packets_total{reason="${reasonName(number)}"} `);
  }
  expect(text).toContain('mapwire_drop_packets_total{reason="guard-mac"} 1152921504606846976\n');
  expect(text).toContain('mapwire_drop_packets_total{reason="guard-ip"} 0\n');
  expect(text).toContain('\nmapwire_planned_revision 5\n');
  expect(text).toContain('mapwire_nodes_not_up{state="down"} 1\nmapwire_nodes_not_up{state="drain"} 1\n');
  expect(text).toContain('\nmapwire_applied_revision 4\n');
  expect(text).toContain('mapwire_map_entries{map="mac"} 3\n');
  expect(text).toContain('mapwire_map_capacity{map="mac"} 4096\n');
  expect(text).toContain('mapwire_next_hops{node="b",family="4"} 1\n');
  expect(text).toContain('mapwire_path_mtu_bytes{node="b"} 1400\n');
});

it('escapes what labels may hold', () => {
  expect(text).toContain('mapwire_source_good{source="file:/etc/t \\"x\\"\\\\y"} 1\n');
  expect(text).toContain('port="line\\nbreak"');
});

it('has what probes found', () => {
  for (const line of [
    'mapwire_probe_up{node="b",kind="s-bfd"} 0',
    'mapwire_probe_interval_seconds{node="b",kind="s-bfd"} 0.3',
    'mapwire_probe_losses_total{node="b",kind="s-bfd"} 2',
    'mapwire_probe_sent_total{node="b",kind="s-bfd"} 11',
    'mapwire_probe_received_total{node="b",kind="s-bfd"} 10',
    'mapwire_probe_discarded_total{why="ttl"} 4',
    'mapwire_probe_unsent_total 5',
  ]) {
    expect(text).toContain(`\n${line}\n`);
  }
});
