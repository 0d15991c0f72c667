/** What was to be reached, and what one run measured. */
import type { FailoverRow } from './failover.ts';
import type { PacketRow } from './packets.ts';
import type { SocketRow } from './sockets.ts';
import type { UpdateResults } from './updates.ts';

export interface Figures {
  readonly packets: readonly PacketRow[];
  readonly sockets: readonly SocketRow[];
  readonly updates: UpdateResults | undefined;
  readonly failover: readonly FailoverRow[];
}

export interface Goal {
  readonly figure: string;
  readonly goal: string;
  /** undefined: this run did not measure it. */
  readonly measured: number | undefined;
  readonly text: string;
  readonly reached: boolean | undefined;
}

interface Wanted {
  readonly figure: string;
  readonly least?: number;
  readonly most?: number;
  readonly unit: string;
  readonly digits: number;
  readonly of: (figures: Figures) => number | undefined;
}

const MILLION = 1_000_000;

function packet({ packets }: Figures, peer: string, direction: 'encap' | 'decap', endpoints: number) {
  const row = packets.find(
    (one) =>
      one.peer === peer &&
      one.direction === direction &&
      one.endpoints === endpoints &&
      one.encap === 'vxlan' &&
      one.size === 64,
  );
  return { rate: row?.rate?.median, ns: row?.programNs?.median };
}

function ratio(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}

const rates = (a: string, b: string, direction: 'encap' | 'decap', endpoints: number) => (figures: Figures) =>
  ratio(packet(figures, a, direction, endpoints).rate, packet(figures, b, direction, endpoints).rate);

const socket = ({ sockets }: Figures, peer: string, wire: string) =>
  sockets.find((row) => row.peer === peer && row.wire === wire);

const tcp = (wire: string) => (figures: Figures) =>
  ratio(
    socket(figures, 'mapwire-auto', wire)?.tcp['1']?.rate.median,
    socket(figures, 'kernel-tuned', wire)?.tcp['1']?.rate.median,
  );

const table = ({ updates }: Figures, peer: string, endpoints: number) =>
  updates?.tables.find((row) => row.peer === peer && row.endpoints === endpoints);

const edit = (how: 'file' | 'api') => (figures: Figures) =>
  figures.updates?.edits.find((row) => row.how === how && row.endpoints === MILLION)?.p99Ms;

const failover = ({ failover: rows }: Figures) =>
  rows.find((row) => row.peer === 'mapwire-xdp' && row.endpoints === MILLION);

/** In the order of the table that set them. */
const WANTED: readonly Wanted[] = [
  {
    figure: 'encapsulating, 64 B, 1 endpoint, `xdp`, against the tuned kernel',
    ...{ least: 2.7, unit: '×', digits: 2, of: rates('mapwire-xdp', 'kernel-tuned', 'encap', 1) },
  },
  {
    figure: 'the same against frames that XDP drops at the host’s first device',
    ...{ least: 0.88, unit: '×', digits: 2, of: rates('mapwire-xdp', 'drop', 'encap', 1) },
  },
  {
    figure: 'the same against the whole path with a bare redirect',
    ...{ least: 0.88, unit: '×', digits: 2, of: rates('mapwire-xdp', 'redirect', 'encap', 1) },
  },
  {
    figure: 'encapsulating at 1M endpoints, hash maps, against the tuned kernel at 1M',
    ...{ least: 2.7, unit: '×', digits: 2, of: rates('mapwire-xdp', 'kernel-tuned', 'encap', MILLION) },
  },
  {
    figure: 'the same with `layout: compact`',
    ...{ least: 2.7, unit: '×', digits: 2, of: rates('mapwire-compact', 'kernel-tuned', 'encap', MILLION) },
  },
  {
    figure: 'encapsulating at 1M endpoints, `layout: compact`, against itself at 1',
    ...{ least: 0.8, unit: '×', digits: 2 },
    of: (figures) =>
      ratio(
        packet(figures, 'mapwire-compact', 'encap', MILLION).rate,
        packet(figures, 'mapwire-compact', 'encap', 1).rate,
      ),
  },
  {
    figure: 'decapsulating to a local port, against the tuned kernel',
    ...{ least: 2.7, unit: '×', digits: 2, of: rates('mapwire-xdp', 'kernel-tuned', 'decap', 1) },
  },
  {
    figure: 'BPF ns a packet, specialised against generic',
    ...{ most: 0.75, unit: '×', digits: 2 },
    of: (figures) =>
      ratio(packet(figures, 'mapwire-xdp', 'encap', 1).ns, packet(figures, 'mapwire-generic', 'encap', 1).ns),
  },
  {
    figure: 'TCP, one stream, `auto`, GSO-carrying wire, against the tuned kernel',
    ...{ least: 1.4, unit: '×', digits: 2, of: tcp('gso') },
  },
  { figure: 'the same, MTU-sized wire', ...{ least: 1.2, unit: '×', digits: 2, of: tcp('mtu') } },
  {
    figure: 'round trip, `auto`, against the tuned kernel',
    ...{ most: 0.6, unit: '×', digits: 2 },
    of: (figures) =>
      ratio(
        socket(figures, 'mapwire-auto', 'gso')?.roundTrip.median.median,
        socket(figures, 'kernel-tuned', 'gso')?.roundTrip.median.median,
      ),
  },
  {
    figure: '1M-port NDJSON table to forwarding',
    ...{ most: 5, unit: ' s', digits: 2, of: (figures) => table(figures, 'mapwire-xdp', MILLION)?.loadSeconds },
  },
  {
    figure: 'the same against the kernel’s FDB with `bridge -batch`',
    ...{ most: 0.25, unit: '×', digits: 2 },
    of: (figures) =>
      ratio(table(figures, 'mapwire-xdp', MILLION)?.loadSeconds, table(figures, 'kernel', MILLION)?.loadSeconds),
  },
  {
    figure: 'restart of the daemon at 1M ports to `ready`',
    ...{ most: 1.5, unit: ' s', digits: 2, of: (figures) => table(figures, 'mapwire-xdp', MILLION)?.restartSeconds },
  },
  {
    figure: 'map elements that the restart wrote',
    ...{ most: 0, unit: '', digits: 0, of: (figures) => table(figures, 'mapwire-xdp', MILLION)?.restartWrites },
  },
  {
    figure: 'one edit at 1M ports, a file of 1,000 rewritten, to the first obeying packet, p99',
    ...{ most: 50, unit: ' ms', digits: 1, of: edit('file') },
  },
  { figure: 'the same through the API, p99', ...{ most: 3, unit: ' ms', digits: 2, of: edit('api') } },
  {
    figure: 'resident size of the daemon with 1M endpoints above the empty one',
    ...{ most: 50, unit: ' MB', digits: 0 },
    of: (figures) => {
      const [full, empty] = [table(figures, 'mapwire-xdp', MILLION), table(figures, 'mapwire-xdp', 1)];
      return full?.residentMiB === undefined || empty?.residentMiB === undefined
        ? undefined
        : (full.residentMiB - empty.residentMiB) * 1.048576;
    },
  },
  {
    figure: 'both address mappings of 1M endpoints in the kernel, `layout: compact`',
    ...{ most: 64, unit: ' MB', digits: 0 },
    of: (figures) => {
      const mib = table(figures, 'mapwire-compact', MILLION)?.addressMiB;
      return mib === undefined ? undefined : mib * 1.048576;
    },
  },
  {
    figure: 'bystander’s packets lost during a full reload of 1M',
    ...{ most: 0, unit: '', digits: 0 },
    of: ({ updates }) => updates?.bystanders.find((row) => row.during === 'reload' && row.endpoints === MILLION)?.lost,
  },
  {
    figure: 'the daemon’s event loop blocked in one go, once `ready`, 1M ports, most',
    ...{ most: 20, unit: ' ms', digits: 1 },
    of: ({ updates }) => {
      const most = updates?.loops.filter(({ endpoints }) => endpoints === MILLION).map(({ mostMs }) => mostMs) ?? [];
      return most.length === 0 ? undefined : Math.max(...most);
    },
  },
  {
    figure: 'map writes of a failover by `node down`, 1M endpoints behind the node',
    ...{ most: 1, unit: '', digits: 0, of: (figures) => failover(figures)?.writes },
  },
  {
    figure: 'from that write to the first packet on the standby, p99',
    ...{ most: 1, unit: ' ms', digits: 2, of: (figures) => failover(figures)?.p99Ms },
  },
];

export function goals(figures: Figures): Goal[] {
  return WANTED.map(({ figure, least, most, unit, digits, of }) => {
    const measured = of(figures);
    const goal = least !== undefined ? `≥ ${least}${unit}` : `≤ ${most}${unit}`;
    if (measured === undefined) return { figure, goal, measured, text: 'not measured', reached: undefined };
    const reached = least !== undefined ? measured >= least : measured <= (most ?? 0);
    return { figure, goal, measured, text: `${measured.toFixed(digits)}${unit}`, reached };
  });
}
