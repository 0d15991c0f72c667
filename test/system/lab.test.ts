/** The lab proves itself first: two hosts of the kernel's own VXLAN, judged by the checks the other tests rely on. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab, type Namespace } from '../support/hosts.ts';
import { badChecksums, capture, datagrams, PingStream, ping, transfer } from '../support/traffic.ts';

let lab: Lab;
let left: Namespace;
let right: Namespace;
let farHost: Namespace;
let nearHost: Namespace;

beforeAll(async () => {
  lab = new Lab();
  const wire = await lab.wire();
  nearHost = await lab.namespace('a');
  farHost = await lab.namespace('b');
  await lab.plug(wire, nearHost, 'a', '192.0.2.1');
  await lab.plug(wire, farHost, 'b', '192.0.2.2');
  await lab.kernelVtep(nearHost, { vni: 7, local: '192.0.2.1', peers: ['192.0.2.2'] });
  await lab.kernelVtep(farHost, { vni: 7, local: '192.0.2.2', peers: ['192.0.2.1'] });
  const guest = (host: Namespace, n: number) =>
    lab.guest(host, `g${n}`, 'port', {
      mac: `02:00:00:00:00:0${n}`,
      addresses: [`10.1.0.${n}/24`, `fd00:1::${n}/64`],
      mtu: 1450,
    });
  left = await guest(nearHost, 1);
  right = await guest(farHost, 2);
  for (const host of [nearHost, farHost]) await host.ip('link set port master br0');
});

afterAll(() => lab?.close());

test('ping, TCP and UDP cross, and streams count what is lost', async () => {
  expect(await ping(left, '10.1.0.2')).toMatchObject({ sent: 3, received: 3 });
  const stream = new PingStream(left, 'fd00:1::2');
  await stream.flowing();
  await transfer(left, right, '10.1.0.2', 1 << 20);
  await datagrams(left, right, 'fd00:1::2', [0, 1, 1200, 4000]);
  const { sent, received } = await stream.stop();
  expect(received).toBe(sent);
  expect(stream.lost()).toEqual([]);
});

test('a guest behind a tap moves super-packets with unfinished checksums', async () => {
  const tap = await lab.tapGuest(nearHost, 'tap', 'tap0', {
    mac: '02:00:00:00:00:03',
    addresses: ['10.1.0.3/24', 'fd00:1::3/64'],
    mtu: 1450,
  });
  await nearHost.ip('link set tap0 master br0');
  await transfer(tap, right, '10.1.0.2', 8 << 20);
  await transfer(right, tap, 'fd00:1::3', 8 << 20);
});

test('a wrong checksum in a capture is found, a right one is not', async () => {
  const folder = await lab.folder();
  const good = join(folder, 'good.pcap');
  // What leaves the host with its own checksums completed is right at the far end …
  await nearHost.offload('eth0', { tx: 'off' });
  const first = await capture(farHost, 'eth0', good, 'udp port 4789 and src 192.0.2.1');
  await transfer(left, right, '10.1.0.2', 1 << 18);
  await first.stop();
  const verdict = await badChecksums(good);
  expect(verdict.frames).toBeGreaterThan(20);
  expect(verdict.bad).toEqual([]);
  // … and what a veth carries unfinished is not.
  const unfinished = join(folder, 'unfinished.pcap');
  await nearHost.offload('eth0', { tx: 'on' });
  const second = await capture(farHost, 'eth0', unfinished, 'udp port 4789 and src 192.0.2.1');
  await transfer(left, right, '10.1.0.2', 1 << 18);
  await second.stop();
  expect((await badChecksums(unfinished)).bad.length).toBeGreaterThan(0);
});
