/** A run becomes files: goals are judged, tables hold the figures, plots are well-formed. */
import { describe, expect, test } from 'vitest';
import { countDrops } from '../../../bench/drops.ts';
import { type Figures, goals } from '../../../bench/goals.ts';
import { writesOf } from '../../../bench/map-writes.ts';
import type { PacketRow } from '../../../bench/packets.ts';
import { report } from '../../../bench/report.ts';
import { summary } from '../../../bench/statistics.ts';
import { barPlot, linePlot, shortNumber, ticks } from '../../../bench/svg.ts';

function packet(peer: string, endpoints: number, mpps: number, ns?: number): PacketRow {
  return {
    ...{ direction: 'encap', encap: 'vxlan', size: 64, endpoints, peer, delivered: 1 },
    rate: summary([mpps * 0.9e6, mpps * 1e6, mpps * 1.1e6]),
    ...(ns !== undefined && { programNs: summary([ns]) }),
  };
}

const figures: Figures = {
  packets: [
    packet('mapwire-xdp', 1, 3, 100),
    packet('mapwire-xdp', 1_000_000, 1, 500),
    packet('kernel-tuned', 1, 1),
    packet('kernel-tuned', 1_000_000, 0.5),
    { direction: 'encap', encap: 'vxlan', size: 64, endpoints: 1_000_000, peer: 'ovs', absent: 'too many' },
  ],
  sockets: [
    {
      wire: 'gso',
      peer: 'mapwire-auto',
      tcp: { 1: { rate: summary([12]), retransmits: summary([3]) } },
      roundTrip: { median: summary([3000]), p99: summary([9000]) },
      drops: { 'CPU_BACKLOG enqueue_to_backlog': 2 },
    },
    {
      wire: 'gso',
      peer: 'kernel-tuned',
      tcp: { 1: { rate: summary([10]), retransmits: summary([0]) } },
      roundTrip: { median: summary([6000]), p99: summary([9000]) },
    },
  ],
  updates: {
    tables: [
      { peer: 'mapwire-xdp', endpoints: 1, loadSeconds: 1, residentMiB: 60 },
      {
        peer: 'mapwire-xdp',
        endpoints: 1_000_000,
        loadSeconds: 4,
        restartSeconds: 1,
        restartWrites: 0,
        residentMiB: 100,
      },
      { peer: 'kernel', endpoints: 1_000_000, loadSeconds: 20, kernelMiB: 460 },
    ],
    edits: [{ how: 'api', endpoints: 1_000_000, count: 9, medianMs: 1, p99Ms: 4, mostMs: 5 }],
    streams: [{ endpoints: 1_000_000, edits: 10_000, clients: 8, seconds: 2 }],
    bystanders: [
      {
        ...{ during: 'reload', endpoints: 1_000_000, seconds: 3, sent: 9000, lost: 0 },
        ...{ medianUs: 9, p99Us: 20, mostUs: 300 },
      },
    ],
    loops: [
      { during: 'reload', endpoints: 1_000_000, p99Ms: 2, mostMs: 17.25 },
      { during: 'file edits', endpoints: 1_000_000, p99Ms: 2, mostMs: 9 },
    ],
  },
  failover: [
    {
      ...{ peer: 'mapwire-xdp', endpoints: 1_000_000, count: 50, writes: 1 },
      ...{ medianMs: 0.2, p99Ms: 1.5, mostMs: 1.6, requestMs: 2 },
    },
  ],
};

describe('goals', () => {
  const judged = new Map(goals(figures).map((goal) => [goal.figure, goal]));

  test('are reached, or not, or not measured', () => {
    const find = (start: string) => [...judged.values()].find(({ figure }) => figure.startsWith(start));
    expect(find('encapsulating, 64 B, 1 endpoint')).toMatchObject({ goal: '≥ 2.7×', text: '3.00×', reached: true });
    expect(find('encapsulating at 1M endpoints, hash')).toMatchObject({ text: '2.00×', reached: false });
    expect(find('TCP, one stream')).toMatchObject({ text: '1.20×', reached: false });
    expect(find('round trip')).toMatchObject({ text: '0.50×', reached: true });
    expect(find('the same through the API')).toMatchObject({ text: '4.00 ms', reached: false });
    expect(find('resident size')).toMatchObject({ text: '42 MB', reached: true });
    expect(find('bystander')).toMatchObject({ text: '0', reached: true });
    expect(find('map writes of a failover')).toMatchObject({ goal: '≤ 1', text: '1', reached: true });
    expect(find('from that write')).toMatchObject({ goal: '≤ 1 ms', text: '1.50 ms', reached: false });
    expect(find('the daemon’s event loop')).toMatchObject({ text: '17.3 ms', reached: true });
    expect(find('decapsulating')).toMatchObject({ text: 'not measured', reached: undefined });
  });
});

describe('report', () => {
  const machine = {
    ...{ processor: 'A <fast> one', cores: 2, memoryGiB: 23, kernel: '6.18.0', node: 'v22.0.0', hypervisor: true },
    date: '2026-01-02T03:04:05.000Z',
  };
  const files = report({ ...figures, machine, command: 'npm run bench', seconds: 100 });

  test('has the figures as JSON and as tables', () => {
    expect(JSON.parse(files.get('results.json')!)).toMatchObject({ mapwire: 'bench', version: 1, machine, ...figures });
    const text = files.get('results.md')!;
    expect(text).toContain('2 cores (a virtual machine), 23 GiB, Linux 6.18.0');
    expect(text).toContain('| mapwire-xdp | 3.00 ± 10 % | 1.00 ± 10 % |');
    expect(text).toContain('ovs at 1M: too many');
    expect(text).toContain('2 CPU_BACKLOG enqueue_to_backlog');
    expect(text).toContain('10000 edits');
    expect(text).toContain('| a reload of every port | 1M | 2.0 | 17.3 |');
    expect(text).toContain('| 1M | mapwire-xdp | 50 | 1 | 0.20 | 1.50 | 1.60 | 2.00 |');
    expect(text).not.toContain('NaN');
    expect(text).not.toContain('undefined');
    for (const row of text.split('\n').filter((line) => line.startsWith('|')))
      expect(row.endsWith('|'), row).toBe(true);
  });

  test('has a plot for each picture in the text', () => {
    const named = [...files.get('results.md')!.matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)].map((match) => match[1]!);
    expect(named.sort()).toEqual([...files.keys()].filter((name) => name.endsWith('.svg')).sort());
    expect(named).toContain('packets-encap.svg');
  });
});

describe('plots', () => {
  test('are well-formed, with every name and a mark for every point', () => {
    const svg = linePlot({
      ...{ title: 'A & B', x: 'x', y: 'y' },
      lines: [{ name: '<one>', points: [1, 10, 100].map((x) => ({ x, y: x / 10, low: x / 20, high: x / 5 })) }],
    });
    expect(svg).toContain('A &amp; B');
    expect(svg).toContain('&lt;one&gt;');
    expect(svg.match(/<circle/g)).toHaveLength(3);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    const open = [...svg.matchAll(/<(\w+)(?:\s[^>]*[^/])?>/g)].length;
    expect(open).toBe([...svg.matchAll(/<\/\w+>/g)].length);
  });

  test('logarithmic axes and bars stay inside', () => {
    const texts = [
      linePlot({
        ...{ title: 't', x: 'x', y: 'y', logarithmic: true },
        lines: [
          {
            name: 'a',
            points: [
              { x: 10, y: 0.3 },
              { x: 1e6, y: 40 },
            ],
          },
        ],
      }),
      barPlot({ title: 't', y: 'y', groups: [{ name: 'g', bars: [{ name: 'a', y: 5, low: 4, high: 7 }] }] }),
    ];
    for (const svg of texts) {
      const numbers = [...svg.matchAll(/\b(?:y|cy|y1|y2)="(-?[\d.]+)"/g)].map((match) => Number(match[1]));
      expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...numbers)).toBeLessThanOrEqual(440);
    }
  });

  test('ticks are round and reach the top', () => {
    expect(ticks(2.05)).toEqual([0, 0.5, 1, 1.5, 2, 2.5]);
    expect(ticks(10)).toEqual([0, 2, 4, 6, 8, 10]);
    expect([1, 10_000, 1_000_000, 0.25, 1500].map(shortNumber)).toEqual(['1', '10k', '1M', '0.25', '1500']);
  });
});

test('drops are counted by reason and place', () => {
  const text = [
    '# tracer: nop',
    '  <idle>-0  [001] b.s3.  12.1: kfree_skb: skbaddr=0x1 rx_sk=0x0 protocol=2048 location=enqueue_to_backlog+0x1f/0x2 reason: CPU_BACKLOG',
    '  <idle>-0  [001] b.s3.  12.2: kfree_skb: skbaddr=0x2 rx_sk=0x0 protocol=2048 location=enqueue_to_backlog+0x1f/0x2 reason: CPU_BACKLOG',
    '  ping-7    [000] b.s3.  12.3: xdp_redirect_err: prog_id=7 action=REDIRECT ifindex=2 to_ifindex=0 err=-6 map_id=0x0 map_index=4',
    '  ping-7    [000] b.s3.  12.4: xdp_devmap_xmit: ndo_xdp_xmit from_ifindex=2 to_ifindex=3 action=REDIRECT sent=0 drops=16 err=0',
  ].join('\n');
  expect(countDrops(text)).toEqual({
    'xdp_devmap_xmit 0': 16,
    'CPU_BACKLOG enqueue_to_backlog': 2,
    'xdp_redirect_err -6': 1,
  });
});

describe('writes to maps', () => {
  test('are those of the process, with the time at which each began', () => {
    const text = [
      '# tracer: nop',
      '            node-4711    [001] .....   123.000456: sys_bpf(cmd: 2, uattr: 7ffc0, size: 20)',
      '            node-4712    [000] .....   124.500000: sys_bpf(cmd: 1a, uattr: 7ffc0, size: 38)',
      '         bpftool-99      [001] .....   125.000000: sys_bpf(cmd: 2, uattr: 7ffc0, size: 20)',
    ].join('\n');
    expect(writesOf(text, (thread) => thread >= 4711)).toEqual([123_000_456_000n, 124_500_000_000n]);
  });
});
