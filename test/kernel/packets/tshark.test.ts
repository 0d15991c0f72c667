/** What the fixtures say leaves a device, read by a program that nobody here wrote: tshark finds nothing to complain of. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packetFixtures } from '../../fixtures/packets/index.ts';
import { packetFaults } from '../../support/packet-check.ts';
import { expectationOf, frameOf } from '../../support/packet-fixture.ts';
import { type CapturedFrame, writePcapng } from '../../support/pcap.ts';
import { run } from '../../support/process.ts';
import { badChecksums } from '../../support/traffic.ts';

/** Protocols of tunnels as tshark names them, and where it shows the segment. */
const TUNNELS = [
  ['vxlan', 'vxlan.vni'],
  ['geneve', 'geneve.vni'],
  ['gre', 'gre.key'],
  ['lisp-data', 'lisp-data.iid'],
  ['vxlan', 'vxlan.next_proto'],
] as const;

/** Every frame that answers or carries a sound one. */
function frames(): CapturedFrame[] {
  return packetFixtures
    .filter((fixture) => packetFaults(frameOf(fixture.frame)).length === 0)
    .flatMap((fixture) =>
      (['xdp', 'tc'] as const).flatMap((hook) => {
        const { record, outputs } = expectationOf(fixture, hook);
        // tshark holds the checksum of quoted TCP against the part that is quoted
        if (record.reason === 'too-big' && String(fixture.frame).includes('| tcp')) return [];
        const ours = record.verdict === 'encap' || record.verdict === 'answer' || record.verdict === 'flood';
        return ours ? outputs.map((output) => ({ ...output, comment: `${hook}: ${fixture.name}` })) : [];
      }),
    );
}

test('tshark sees no malformed frame and no bad checksum', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mapwire-tshark-'));
  try {
    const file = join(folder, 'frames.pcapng');
    const all = frames();
    expect(all.length).toBeGreaterThan(100);
    writePcapng(file, all);
    const malformed = await run(['tshark', '-r', file, '-Y', '_ws.malformed', '-T', 'fields', '-e', 'frame.comment'], {
      timeout: 60_000,
    });
    expect(malformed.stdout.trim()).toBe('');
    expect(await badChecksums(file)).toEqual({ frames: all.length, bad: [] });
    // it took them for what they are, over both families
    for (const [protocol, field] of TUNNELS) {
      for (const ip of ['ip', 'ipv6']) {
        const filter = `${protocol} && ${ip}.dst == ${ip === 'ip' ? '192.0.2.2' : '2001:db8::3'}`;
        const { stdout } = await run(['tshark', '-r', file, '-Y', filter, '-T', 'fields', '-e', field]);
        expect(stdout.split('\n').length, filter).toBeGreaterThan(20);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
