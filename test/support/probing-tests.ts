/**
 * Probes between three hosts of Mapwire: who dies is left within three intervals and 100 ms, who is only restarted is not, and
 * what operators and the table say counts before. Seen from outside, by pings to a guest that is on two hosts.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Namespace } from './hosts.ts';
import { guestAddresses, Overlay, type OverlayGuest } from './overlay.ts';
import { eventually } from './process.ts';
import { PingStream, ping } from './traffic.ts';

const HOSTS = ['a', 'b', 'c'] as const;
type HostName = (typeof HOSTS)[number];
/** Long enough for a machine that does other things too. */
const INTERVAL = 200;
const PROMISED = 3 * INTERVAL + 100;
const PING_MS = 10;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface NodeRow {
  readonly node: string;
  readonly state: string;
  readonly probe: string | null;
  readonly session: string | null;
  readonly remoteSession: string | null;
  readonly diagnostic: string | null;
  readonly sessionSince: string | null;
  readonly losses: number | null;
}

/**
 * Defines the tests of one hook and family.
 *
 * @param whole with those that take longer: what comes after a restart of who asks, BFD, returning
 */
export function probingTests(hook: 'tc' | 'xdp', family: 4 | 6, whole: boolean): void {
  let overlay: Overlay;
  let client: OverlayGuest;
  /** The same addresses in two guests. */
  let pair: Record<'b' | 'c', Namespace>;
  const address = guestAddresses(1, 100);

  async function row(on: HostName, of: HostName): Promise<NodeRow> {
    const { text } = await overlay.daemon(on).api('GET', '/v1/nodes');
    return (JSON.parse(text) as NodeRow[]).find(({ node }) => node === of)!;
  }
  async function node(on: HostName, state: string, id: HostName): Promise<void> {
    const { status, text } = await overlay
      .daemon(on)
      .api('POST', '/v1/node-state', JSON.stringify({ node: id, state }));
    expect(status, text).toBe(200);
  }
  const sessions = () => Promise.all(HOSTS.flatMap((on) => HOSTS.filter((of) => of !== on).map((of) => row(on, of))));
  const allUp = () =>
    eventually('all sessions are up', async () => (await sessions()).every(({ session }) => session === 'up'), 20_000);

  /** Which of the two guests gets what is sent to their address. */
  async function serving(): Promise<string> {
    const count = async (name: 'b' | 'c') => {
      const { stdout } = await pair[name].run(['ip', '-j', '-s', 'link', 'show', 'eth0']);
      return (JSON.parse(stdout) as { stats64: { rx: { packets: number } } }[])[0]!.stats64.rx.packets;
    };
    const before = [await count('b'), await count('c')];
    await ping(client.namespace, address.ip4, { count: 20 });
    const [b, c] = [(await count('b')) - before[0]!, (await count('c')) - before[1]!];
    return b >= 20 && c < 20 ? 'b' : c >= 20 && b < 20 ? 'c' : `b ${b}, c ${c}`;
  }

  /** Milliseconds in which no ping was answered, around something that is done. */
  async function gap(action: () => Promise<unknown>, after: number): Promise<number> {
    const stream = new PingStream(client.namespace, address.ip4, PING_MS / 1000);
    await stream.flowing();
    await action();
    await pause(after);
    const { output } = stream;
    await stream.stop();
    const times = [...output.matchAll(/^\[([\d.]+)\] \d+ bytes from/gm)].map(([, time]) => Number(time) * 1000);
    let longest = 0;
    for (let i = 1; i < times.length; i++) longest = Math.max(longest, times[i]! - times[i - 1]!);
    return Math.round(longest);
  }

  async function died(kind: string): Promise<void> {
    const down = await eventually('a says that b is down', async () => {
      const now = await row('a', 'b');
      return now.state === 'down (by probe)' && now;
    });
    expect(down).toMatchObject({ probe: kind, session: 'down', diagnostic: 'detection-time-expired' });
    expect(await serving()).toBe('c');
  }

  beforeAll(async () => {
    overlay = await Overlay.build();
    for (const [i, name] of HOSTS.entries()) {
      await overlay.host(name, i + 1);
      overlay.node(name, [family]);
    }
    overlay.network('blue', { encap: 'vxlan', segment: 5001 });
    client = await overlay.guest('a', 'blue', { n: 1 });
    const guest = (host: 'b' | 'c') =>
      overlay.lab.guest(overlay.hosts.get(host)!.namespace, `pair-${host}`, 'pair', {
        mac: address.mac,
        addresses: [`${address.ip4}/24`, `${address.ip6}/64`],
      });
    pair = { b: await guest('b'), c: await guest('c') };
    overlay.table.ports.pair = {
      network: 'blue',
      mac: address.mac,
      ips: [address.ip4, address.ip6],
      at: ['b', 'c'].map((name, i) => ({ node: name, interface: 'pair', priority: i + 1 })),
    };
    const extra = [
      'probe: s-bfd',
      `probe-interval: ${INTERVAL}ms`,
      hook === 'xdp' && whole ? 'return: after 2s' : 'return: at-once',
    ];
    await overlay.start(HOSTS, { hook, extra: extra.join('\n') });
    await allUp();
  }, 60_000);

  afterAll(() => overlay?.close());

  test('sessions are shown, and answered by the data plane', async () => {
    expect(await row('a', 'b')).toMatchObject({ probe: 's-bfd', session: 'up', state: 'up (by probe)', losses: 0 });
    expect(await row('a', 'a')).toMatchObject({ probe: null, session: null, state: 'up' });
    const { stdout } = await overlay.daemon('a').command(['status', '--config', overlay.daemon('a').config]);
    expect(stdout).toContain('probes: 2 sessions, 2 up, 0 losses');
    const metrics = await overlay.daemon('a').api('GET', '/metrics');
    expect(metrics.text).toContain('mapwire_probe_up{node="b",kind="s-bfd"} 1');
    // answers of the program on the underlay, and nothing that a socket of b saw
    const answers = /mapwire_device_answers_total\{device="eth0",role="underlay",port=""\} (\d+)/;
    const { text } = await overlay.daemon('b').api('GET', '/metrics');
    expect(Number(answers.exec(text)![1])).toBeGreaterThan(0);
    for (const name of HOSTS) expect(await overlay.drops(name)).not.toHaveProperty('probe-malformed');
    expect(await serving()).toBe('b');
  });

  test('a daemon that is killed, or stopped, and starts again fails nothing over', async () => {
    const before = await row('a', 'b');
    const longest = await gap(async () => {
      await overlay.daemon('b').stop('SIGKILL');
      // for much longer than the detection time there is nobody but the data plane
      await pause(2 * PROMISED);
      await overlay.daemon('b').run();
      if (!whole) return;
      await overlay.daemon('b').stop('SIGTERM');
      await pause(2 * PROMISED);
      await overlay.daemon('b').run();
    }, 100);
    const after = await row('a', 'b');
    expect(after).toEqual(before);
    expect(longest).toBeLessThan(PROMISED);
    expect(await serving()).toBe('b');
    if (!whole) return;
    // and the one that asks: it knows nobody, and takes nobody for dead
    const asker = await gap(async () => {
      await overlay.daemon('a').stop('SIGKILL');
      await overlay.daemon('a').run();
    }, 100);
    expect(asker).toBeLessThan(PROMISED);
    expect(await row('a', 'b')).toMatchObject({ state: expect.stringMatching(/^up/), losses: 0 });
    await allUp();
  }, 60_000);

  if (!whole) {
    test('a node whose wire is cut is left in time, and comes back', async () => {
      const longest = await gap(() => overlay.wire.ip('link set p-b down'), 1_000);
      console.log(`${hook}, IPv${family}: S-BFD of ${INTERVAL} ms, wire cut: ${longest} ms without an answer`);
      expect(longest).toBeLessThanOrEqual(PROMISED + PING_MS);
      await died('s-bfd');
      await overlay.wire.ip('link set p-b up');
      await eventually('b is back', async () => (await row('a', 'b')).state === 'up (by probe)', 15_000);
      expect(await serving()).toBe('b');
    }, 60_000);
    return;
  }

  test('a node that says itself that it is drained is what it was', async () => {
    await node('b', 'drain', 'b');
    await eventually('a hears it', async () => (await row('a', 'b')).remoteSession === 'admin-down');
    expect(await row('a', 'b')).toMatchObject({ session: 'down', state: 'up (by probe)', losses: 0 });
    expect(await serving()).toBe('b');
    await node('b', 'clear', 'b');
    await eventually('a hears that it is back', async () => (await row('a', 'b')).session === 'up');
  });

  test('a node whose wire is cut is left in time, and comes back as it is configured', async () => {
    const longest = await gap(() => overlay.wire.ip('link set p-b down'), 1_500);
    console.log(`${hook}, IPv${family}: S-BFD of ${INTERVAL} ms, wire cut: ${longest} ms without an answer`);
    expect(longest).toBeLessThanOrEqual(PROMISED + PING_MS);
    await died('s-bfd');
    expect((await row('a', 'b')).losses).toBe(1);

    // An operator's word, and the table's, count before.
    await node('a', 'up', 'b');
    expect((await row('a', 'b')).state).toBe('up (by command)');
    expect((await ping(client.namespace, address.ip4, { count: 2 })).received).toBe(0);
    await node('a', 'clear', 'b');
    expect((await row('a', 'b')).state).toBe('down (by probe)');
    overlay.table.nodes.b!.state = 'up';
    await overlay.applyTable();
    // The table's word is a return, too.
    if (hook === 'xdp') expect((await row('a', 'b')).state).toMatch(/^drain \(returns at /);
    await eventually('b is up', async () => (await row('a', 'b')).state === 'up (by table)', 10_000);
    delete overlay.table.nodes.b!.state;
    await overlay.applyTable();
    expect((await row('a', 'b')).state).toBe('down (by probe)');

    // A daemon that starts while it is dead knows it.
    await overlay.daemon('a').stop('SIGKILL');
    await overlay.daemon('a').run();
    expect((await row('a', 'b')).state).toBe('down (by probe)');
    expect(await serving()).toBe('c');

    await overlay.wire.ip('link set p-b up');
    if (hook === 'xdp') {
      await eventually('b waits', async () => (await row('a', 'b')).state.startsWith('drain (returns at '), 10_000);
      expect(await serving()).toBe('c');
    }
    await eventually('b is back', async () => (await row('a', 'b')).state === 'up (by probe)', 15_000);
    expect(await serving()).toBe('b');
  }, 60_000);

  test('BFD: daemons answer; a stopped one is what it was, a frozen one is dead', async () => {
    for (const name of HOSTS) overlay.table.nodes[name]!.probe = { kind: 'bfd', interval: `${INTERVAL}ms` };
    await overlay.applyTable();
    const bfd = async () => {
      const now = await row('a', 'b');
      return now.probe === 'bfd' && now.session === 'up';
    };
    await eventually('BFD is up', bfd, 20_000);
    expect(await serving()).toBe('b');

    const { losses } = await row('a', 'b');
    const stopped = await gap(async () => {
      await overlay.daemon('b').stop('SIGTERM');
      await pause(2 * PROMISED);
      expect(await row('a', 'b')).toMatchObject({ session: 'down', state: 'up (by probe)' });
      await overlay.daemon('b').run();
      await eventually('BFD is up again', bfd, 20_000);
    }, 100);
    expect(stopped).toBeLessThan(PROMISED);
    expect((await row('a', 'b')).losses).toBe(losses);
    expect(await serving()).toBe('b');

    process.kill(overlay.daemon('b').daemon!.pid, 'SIGSTOP');
    try {
      await died('bfd');
    } finally {
      process.kill(overlay.daemon('b').daemon!.pid, 'SIGCONT');
    }
    await eventually('b is back', async () => (await row('a', 'b')).state === 'up (by probe)', 20_000);

    const longest = await gap(() => overlay.wire.ip('link set p-b down'), 1_500);
    console.log(`${hook}, IPv${family}: BFD of ${INTERVAL} ms, wire cut: ${longest} ms without an answer`);
    expect(longest).toBeLessThanOrEqual(PROMISED + PING_MS);
    await died('bfd');
    await overlay.wire.ip('link set p-b up');
    await eventually('BFD is up again', bfd, 20_000);
    await eventually('b is back', async () => (await row('a', 'b')).state === 'up (by probe)', 15_000);
  }, 60_000);
}
