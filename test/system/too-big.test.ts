/**
 * A guest whose packets do not fit is told so, and what it is told bears being passed on: the answer is made of a packet
 * that came with an unfinished checksum, mostly a super-packet, and must carry nothing of that. So each guest
 * mirrors what it receives to a device without checksum offload: there the stack would "finish" whatever still counts
 * as unfinished, and spoil the answer.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../support/process.ts';
import { type Guest, ThreeHosts } from '../support/three-hosts.ts';
import { capture, datagrams, transfer } from '../support/traffic.ts';

/** Length of an answer, Ethernet header included (docs/packet-rules.md, rule 2.10). */
const ANSWER = { ip4: 590, ip6: 1254 } as const;
const TOO_BIG = {
  ip4: 'icmp.type == 3 && icmp.code == 4 && icmp.mtu == 1450',
  ip6: 'icmpv6.type == 2 && icmpv6.mtu == 1450',
} as const;

describe.each(['veth', 'tap'] as const)('a guest behind a %s, with its MTU larger than the network’s', (kind) => {
  let hosts: ThreeHosts;
  let from: Guest;
  let to: Guest;

  beforeAll(async () => {
    hosts = await ThreeHosts.build();
    from = await hosts.guest('a', 'from', 10, kind);
    to = await hosts.guest('b', 'to', 20);
    await from.namespace.ip(
      'link add mirror type veth peer name mirrored',
      'link set mirror up',
      'link set mirrored up',
    );
    await from.namespace.offload('mirror', { tx: 'off' });
    await from.namespace.run(['tc', 'qdisc', 'add', 'dev', 'eth0', 'clsact']);
    const mirror = 'protocol all u32 match u32 0 0 action mirred egress mirror dev mirror'.split(' ');
    await from.namespace.run(['tc', 'filter', 'add', 'dev', 'eth0', 'ingress', ...mirror]);
    await hosts.writeTable();
    await hosts.start({ hook: 'tc' });
  });

  afterAll(() => hosts?.close());

  test.each([
    ['TCP', 'ip4'],
    ['TCP', 'ip6'],
    ['UDP', 'ip4'],
    ['UDP', 'ip6'],
  ] as const)('%s over %s', async (protocol, family) => {
    for (const version of ['-4', '-6']) await from.namespace.run(['ip', version, 'route', 'flush', 'cache']);
    const file = join(await hosts.lab.folder(), 'mirrored.pcap');
    const watch = await capture(from.namespace, 'mirrored', file, family === 'ip4' ? 'icmp' : 'icmp6');
    if (protocol === 'TCP') await transfer(from.namespace, to.namespace, to[family], 1 << 20);
    else await datagrams(from.namespace, to.namespace, to[family], [1440]);
    await watch.stop();
    const matching = async (filter: string) => {
      const fields = ['-T', 'fields', '-e', 'frame.len', '-o', 'ip.check_checksum:TRUE'];
      const { stdout } = await run(['tshark', '-r', file, ...fields, '-Y', filter]);
      return stdout.split('\n').filter((line) => line !== '');
    };
    expect(new Set(await matching(TOO_BIG[family]))).toEqual(new Set([String(ANSWER[family])]));
    // not that of the quoted packet, which was unfinished
    const wrong = ['ip', 'icmp', 'icmpv6'].map((layer) => `${layer}.checksum.status == "Bad"`);
    expect(await matching(wrong.join(' || '))).toEqual([]);
  });
});
