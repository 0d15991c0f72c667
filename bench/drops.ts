/**
 * What the kernel drops behind a program's back, by tracepoint: skb:kfree_skb with its reason, failed redirects, and frames that a
 * device did not take.
 */
import { type TraceEvent, TraceEvents } from './trace-events.ts';

const EVENTS: readonly TraceEvent[] = [
  { name: 'skb/kfree_skb' },
  { name: 'xdp/xdp_redirect_err' },
  { name: 'xdp/xdp_devmap_xmit', filter: 'drops > 0' },
  { name: 'xdp/xdp_exception' },
];

/** How often each happened, by name: `TCP_OFOMERGE tcp_data_queue`, `xdp_redirect_err -6`. */
export type Drops = Readonly<Record<string, number>>;

export class DropWatch {
  readonly #trace: TraceEvents;

  private constructor(trace: TraceEvents) {
    this.#trace = trace;
  }

  static async start(name: string): Promise<DropWatch> {
    return new DropWatch(await TraceEvents.start(name, EVENTS));
  }

  /** What happened since the last call. */
  take(): Drops {
    return countDrops(this.#trace.take());
  }

  close(): void {
    this.#trace.close();
  }
}

/** Reads the lines of tracefs's `trace`. */
export function countDrops(text: string): Drops {
  const counts = new Map<string, number>();
  for (const line of text.split('\n')) {
    const event = /: (kfree_skb|xdp_redirect_err|xdp_devmap_xmit|xdp_exception): (.*)$/.exec(line);
    if (event === null) continue;
    const [, name = '', rest = ''] = event;
    const { key, many } = nameOf(name, rest);
    counts.set(key, (counts.get(key) ?? 0) + many);
  }
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}

function nameOf(event: string, rest: string): { key: string; many: number } {
  const field = (name: string) => new RegExp(`\\b${name}[=:] ?(\\S+)`).exec(rest)?.[1] ?? '?';
  switch (event) {
    case 'kfree_skb':
      return { key: `${field('reason')} ${field('location').replace(/\+.*$/, '')}`, many: 1 };
    case 'xdp_devmap_xmit':
      return { key: `xdp_devmap_xmit ${field('err')}`, many: Number(field('drops')) };
    default:
      return { key: `${event} ${event === 'xdp_exception' ? field('action') : field('err')}`, many: 1 };
  }
}
