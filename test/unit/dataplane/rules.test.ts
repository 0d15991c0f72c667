import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configFromHex, configHex, covers } from '../../../src/dataplane/config.ts';
import { chooseHook, type DeviceFacts, deviceFlags } from '../../../src/dataplane/device-rules.ts';
import { addHistory } from '../../../src/dataplane/former.ts';
import { capacityFor, ENTRY_ORDER, isTight } from '../../../src/dataplane/map-table.ts';
import { Mutex } from '../../../src/dataplane/mutex.ts';
import { pairNames } from '../../../src/dataplane/segmenter.ts';
import { Slots } from '../../../src/dataplane/slots.ts';
import { StateFile } from '../../../src/dataplane/state-file.ts';
import { tagRule } from '../../../src/dataplane/tag-rules.ts';
import { type Config, DeviceFlags, type Port, port as portCodec } from '../../../src/generated/layout.ts';

const facts = (more: Partial<DeviceFacts> = {}): DeviceFacts => ({
  kind: undefined,
  peerElsewhere: false,
  xdp: { basic: true, redirectTarget: true, redirectTargetFrags: false, rxMetadata: { vlanTag: false } },
  ...more,
});

describe('hooks', () => {
  it('auto: XDP on physical devices, TC on virtual ones', () => {
    expect(chooseHook('auto', facts()).xdp).toBe(true);
    for (const kind of ['veth', 'tun', 'bridge']) expect(chooseHook('auto', facts({ kind })).xdp).toBe(false);
  });

  it('xdp: on every device whose driver has it, or does not say', () => {
    expect(chooseHook('xdp', facts({ kind: 'veth' })).xdp).toBe(true);
    expect(chooseHook('xdp', facts({ kind: 'veth', xdp: undefined })).xdp).toBe(true);
    const none = {
      basic: false,
      redirectTarget: false,
      redirectTargetFrags: false,
      rxMetadata: { vlanTag: false },
    };
    expect(chooseHook('xdp', facts({ xdp: none }))).toEqual({ xdp: false, why: 'the driver has no native XDP' });
    expect(chooseHook('auto', facts({ xdp: none })).xdp).toBe(false);
  });

  it('tc: never', () => {
    expect(chooseHook('tc', facts())).toEqual({ xdp: false, why: 'hook: tc' });
  });
});

describe('VLAN tags before native XDP', () => {
  const asking = facts().xdp && { ...facts().xdp!, rxMetadata: { vlanTag: true } };
  it.each([
    ['a tap has them in the frame, whatever it says', facts({ kind: 'tun' }), 'on', 'in-frame'],
    ['a veth is asked where it can be', facts({ kind: 'veth', xdp: asking }), 'on', 'ask'],
    ['its offload changes nothing', facts({ kind: 'veth', xdp: asking }), 'off', 'ask'],
    ['a veth before 6.8 hides them', facts({ kind: 'veth' }), 'off', 'hidden'],
    ['a veth of a kernel that does not say hides them', facts({ kind: 'veth', xdp: undefined }), 'off', 'hidden'],
    ['a NIC that does not strip', facts(), 'off', 'in-frame'],
    ['a NIC that can be told not to', facts({ xdp: asking }), 'on', 'switch-off'],
    ['a NIC that cannot, but can be asked', facts({ xdp: asking }), 'fixed', 'ask'],
    ['a NIC that can neither', facts(), 'fixed', 'hidden'],
  ] as const)('%s', (_, of, stripping, rule) => {
    expect(tagRule(of, stripping)).toBe(rule);
  });
});

describe('device flags', () => {
  it('come from what is known to work, and nothing else', () => {
    expect(deviceFlags(facts())).toBe(DeviceFlags.XDP_REDIRECT);
    expect(deviceFlags(facts({ xdp: undefined }))).toBe(0);
    expect(deviceFlags(facts({ kind: 'tun' }))).toBe(DeviceFlags.XDP_REDIRECT | DeviceFlags.PARTIAL_CHECKSUM);
    expect(deviceFlags(facts({ kind: 'veth', xdp: undefined }))).toBe(DeviceFlags.PARTIAL_CHECKSUM);
    expect(deviceFlags(facts({ kind: 'veth', peerElsewhere: true, xdp: undefined }))).toBe(
      DeviceFlags.PARTIAL_CHECKSUM | DeviceFlags.REDIRECT_PEER,
    );
    const frags = {
      basic: true,
      redirectTarget: true,
      redirectTargetFrags: true,
      rxMetadata: { vlanTag: false },
    };
    expect(deviceFlags(facts({ xdp: frags }))).toBe(DeviceFlags.XDP_REDIRECT | DeviceFlags.XDP_FRAGS);
  });
});

describe('the history of a port', () => {
  const at = (...nodes: number[]) => nodes.map((node) => ({ node, segment: 1, priority: 1, weight: 1, flags: 0 }));
  const port = (nodes: number[], more: Partial<Port> = {}): Port => ({
    port: 1,
    network: 1,
    mac: new Uint8Array(6),
    flags: 0,
    at: at(...nodes),
    sequence: 0,
    former: 0,
    formerUntil: 0n,
    ...more,
  });
  const history = (wanted: Port, held: Port | undefined, now = 1000n) => {
    // beside other entries, as in a batch
    const value = new DataView(new ArrayBuffer(3 * portCodec.size));
    const before = new DataView(new ArrayBuffer(3 * portCodec.size));
    portCodec.write(value, portCodec.size, wanted);
    if (held !== undefined) {
      portCodec.write(before, 2 * portCodec.size, held);
      addHistory(value, portCodec.size, before, 2 * portCodec.size, now + 500n);
    }
    const { former, formerUntil, ...rest } = portCodec.read(value, portCodec.size);
    expect(portCodec.encode({ ...rest, former: wanted.former, formerUntil: wanted.formerUntil })).toEqual(
      portCodec.encode(wanted),
    );
    return [former, formerUntil];
  };

  it('is empty for a new port, another port, or the same id in another network', () => {
    expect(history(port([2]), undefined)).toEqual([0, 0n]);
    expect(history(port([2]), port([3], { port: 9 }))).toEqual([0, 0n]);
    expect(history(port([2]), port([3], { network: 9 }))).toEqual([0, 0n]);
  });

  it('names the first node that was left, for the grace', () => {
    expect(history(port([4]), port([3]))).toEqual([3, 1500n]);
    expect(history(port([2]), port([2, 3, 4]))).toEqual([3, 1500n]);
  });

  it('is not changed by other order, another node more, or time', () => {
    expect(history(port([3, 2]), port([2, 3]))).toEqual([0, 0n]);
    expect(history(port([2, 3]), port([2]))).toEqual([0, 0n]);
    const held = port([3], { former: 2, formerUntil: 1400n });
    expect(history(port([3]), held)).toEqual([2, 1400n]);
    expect(history(port([3]), held, 99_000n)).toEqual([2, 1400n]);
    expect(history(port([3], { flags: 1 }), held)).toEqual([2, 1400n]);
  });

  it('forgets a time that nobody can have promised', () => {
    expect(history(port([3]), port([3], { former: 2, formerUntil: 1501n }))).toEqual([0, 0n]);
  });
});

describe('constants of the programs', () => {
  const config: Config = {
    self: 1,
    self4: 0xc0000201,
    self6: new Uint8Array(16),
    vxlanPort: 4789,
    gpePort: 4790,
    genevePort: 6081,
    lispPort: 4341,
    encaps: 2,
    unknownSegmentStack: 0,
    guardRemote: 1,
    record: 0,
    quiet: 0,
    hasIp6: 0,
    hasAllow: 1,
    hasMacs: 0,
    hasUnknownFlood: 0,
    hasTransparent: 0,
    hasGroup: 0,
    hasChecksum: 0,
    hasBalance: 0,
    hasMove: 0,
    ttl: 64,
    dscp: 0,
    front: 0,
    leave: 0,
    generic: 0,
    compact: 0,
    segmenter: 0,
    floodRate: 1000,
    tooBigRate: 10,
    probeTtl: 255,
    discriminator: 1,
  };

  it('serve as long as no feature is missing and nothing else differs', () => {
    expect(covers(config, config)).toBe(true);
    expect(covers(config, { ...config, hasAllow: 0 })).toBe(true);
    expect(covers({ ...config, encaps: 6 }, config)).toBe(true);
    // A segmenter that is not needed any more stays until another switch; a new one, or another, needs one.
    expect(covers({ ...config, segmenter: 7 }, { ...config, segmenter: 0 })).toBe(true);
    expect(covers({ ...config, segmenter: 0 }, { ...config, segmenter: 7 })).toBe(false);
    expect(covers({ ...config, segmenter: 6 }, { ...config, segmenter: 7 })).toBe(false);
    for (const more of [{ hasIp6: 1 }, { hasMacs: 1 }, { encaps: 6 }, { encaps: 4 }, { self: 2 }, { tooBigRate: 9 }]) {
      expect(covers(config, { ...config, ...more }), JSON.stringify(more)).toBe(false);
    }
    expect(covers({ ...config, hasAllow: 0 }, config)).toBe(false);
  });

  it('stand in a name and come back from it', () => {
    expect(configFromHex(configHex(config))).toEqual(config);
    expect(configFromHex('00')).toBeUndefined();
    expect(configFromHex('z'.repeat(configHex(config).length))).toBeUndefined();
  });
});

describe('sizes', () => {
  it('are twice the plan, at least 4096, and tight above 80 %', () => {
    expect([capacityFor(0), capacityFor(2048), capacityFor(5000)]).toEqual([4096, 4096, 10_000]);
    expect(isTight(3276, 4096)).toBe(false);
    expect(isTight(3277, 4096)).toBe(true);
  });

  it('all maps have their place in the order of writes', () => {
    expect([...ENTRY_ORDER].sort()).toEqual([
      'allow4',
      'allow6',
      'balance',
      'dev',
      'flood',
      'ip4',
      'ip6',
      'link',
      'local',
      'mac',
      'move',
      'network',
      'node',
      'port',
      'segment',
      'source_mac',
      'vtep',
    ]);
  });
});

describe('slots', () => {
  it('stay with their device; the lowest free one is next', () => {
    const slots = new Slots();
    slots.adopt(10, 1);
    expect(slots.take(7)).toEqual({ slot: 0, fresh: true });
    expect(slots.take(10)).toEqual({ slot: 1, fresh: false });
    expect(slots.take(8)).toEqual({ slot: 2, fresh: true });
    slots.release(7);
    expect(slots.extent).toBe(3);
    expect(slots.take(9)).toEqual({ slot: 0, fresh: true });
  });
});

describe('Mutex', () => {
  it('runs one after the other, also after a failure', async () => {
    const mutex = new Mutex();
    const order: string[] = [];
    const first = mutex.run(async () => {
      await new Promise((done) => setTimeout(done, 5));
      order.push('first');
      throw new Error('no');
    });
    const second = mutex.run(async () => order.push('second'));
    await expect(first).rejects.toThrow('no');
    await second;
    expect(order).toEqual(['first', 'second']);
  });
});

describe('the segmenter', () => {
  it('has names that fit, of its instance and no other', () => {
    const [one, two] = [pairNames('/sys/fs/bpf/mapwire'), pairNames('/sys/fs/bpf/other')];
    for (const name of [one.near, one.far]) expect(name.length).toBeLessThanOrEqual(15);
    expect(new Set([one.near, one.far, two.near, two.far]).size).toBe(4);
    expect(pairNames('/sys/fs/bpf/mapwire')).toEqual(one);
  });
});

describe('StateFile', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mwstate-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('remembers the first value of a setting and every neighbour, readable by nobody else', () => {
    const state = StateFile.open(join(folder, 'new'));
    state.addSetting({ device: 'p1', ifindex: 3, setting: 'gro', before: false });
    state.addSetting({ device: 'p1', ifindex: 3, setting: 'gro', before: true });
    state.addNeighbours([{ ifindex: 2, address: '192.0.2.2' }]);
    const again = StateFile.open(join(folder, 'new'));
    expect(again.settings).toEqual([{ device: 'p1', ifindex: 3, setting: 'gro', before: false }]);
    expect(again.neighbours).toEqual([{ ifindex: 2, address: '192.0.2.2' }]);
    expect(statSync(join(folder, 'new')).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'new', 'host-changes.json')).mode & 0o777).toBe(0o600);
    again.removeNeighbours([{ ifindex: 2, address: '192.0.2.2' }]);
    expect(JSON.parse(readFileSync(join(folder, 'new', 'host-changes.json'), 'utf8')).neighbours).toEqual([]);
    again.remove();
    again.remove();
    expect(StateFile.open(join(folder, 'new')).settings).toEqual([]);
  });

  it('remembers what was made to be received, and pairs; a file of an earlier version has none', () => {
    writeFileSync(join(folder, 'host-changes.json'), '{"version": 1, "settings": [], "neighbours": []}');
    const state = StateFile.open(folder);
    expect([state.receptions, state.pairs]).toEqual([[], []]);
    const mac = { device: 'eth0', ifindex: 2, kind: 'mac', address: '02:00:00:00:00:01' } as const;
    const group = { device: 'eth0', ifindex: 2, kind: 'group', address: '239.1.1.1' } as const;
    state.addReceptions([mac, group]);
    state.addReceptions([mac]);
    state.addPair({ name: 'n', peer: 'f' });
    state.addPair({ name: 'n', peer: 'f' });
    expect(StateFile.open(folder).receptions).toEqual([mac, group]);
    expect(StateFile.open(folder).pairs).toEqual([{ name: 'n', peer: 'f' }]);
    state.removeReceptions([mac]);
    state.removePair('n');
    expect(StateFile.open(folder).receptions).toEqual([group]);
    expect(StateFile.open(folder).pairs).toEqual([]);
  });

  it('does not go on with a damaged file', () => {
    writeFileSync(join(folder, 'host-changes.json'), '{"version": 1, "settings"');
    expect(() => StateFile.open(folder)).toThrow(expect.objectContaining({ code: 'ERR_MW_CONFIG' }));
  });
});
