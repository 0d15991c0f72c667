import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type BpfObject,
  type Direction,
  hasErrno,
  Link,
  LinkType,
  Netlink,
  objectIds,
  type Program,
  probe,
  TcFilter,
} from '../../../src/libbpf/index.ts';
import { run } from '../../support/process.ts';
import { caught, loadEverything, mapwireError, openDescriptors, Pair, PinFolder } from './support.ts';

let object: BpfObject;
let pair: Pair;
let folder: PinFolder;
let netlink: Netlink;
/** Kernel 6.6. What follows holds with and without it. */
let tcx: boolean;
beforeAll(async () => {
  tcx = (await probe('tcx')) === true;
  object = await loadEverything();
  folder = new PinFolder();
  netlink = new Netlink();
});
afterAll(() => {
  object.close();
  netlink.close();
  folder[Symbol.dispose]();
});
beforeEach(async () => {
  pair = await Pair.create();
  await pair.configure();
});
afterEach(() => pair[Symbol.asyncDispose]());

const program = (name: string): Program => object.programs.get(name)!;

/** Whether a ping gets through the pair. */
async function reaches(): Promise<boolean> {
  const { code } = await run(['ping', '-c2', '-i0.2', '-W1', '-I', pair.name, '198.51.100.2'], { check: false });
  return code === 0;
}

describe('XDP', () => {
  test('attach, update in place, detach', async () => {
    using link = await program('say').attachXdp({ ifindex: pair.ifindex, mode: 'native' });
    expect(link.info()).toEqual({
      id: link.id,
      type: LinkType.XDP,
      kind: 'xdp',
      programId: program('say').id,
      ifindex: pair.ifindex,
    });
    expect((await netlink.device(pair.name)).xdp).toEqual({ native: program('say').id, generic: 0, offloaded: 0 });
    expect(await reaches()).toBe(true);
    await link.update(program('drop'));
    expect(link.info().programId).toBe(program('drop').id);
    expect(await reaches()).toBe(false);
    await link.update(program('say'), program('drop'));
    expect(await reaches()).toBe(true);
    expect(await caught(() => link.update(program('drop'), program('drop')))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'EPERM', syscall: 'bpf(BPF_LINK_UPDATE)' }),
    );
    await link.detach();
    expect(link.info().ifindex).toBe(0);
    expect((await netlink.device(pair.name)).xdp.native).toBe(0);
    expect(await caught(() => link.update(program('drop')))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'ENOLINK' }),
    );
  });

  test('generic, and the mode that the driver has', async () => {
    {
      using link = await program('drop').attachXdp({ ifindex: pair.ifindex, mode: 'generic' });
      expect(link.kind).toBe('xdp');
      expect((await netlink.device(pair.name)).xdp).toEqual({ native: 0, generic: program('drop').id, offloaded: 0 });
    }
    using link = await program('drop').attachXdp({ ifindex: pair.ifindex, mode: 'any' });
    expect((await netlink.device(pair.name)).xdp.native).toBe(link.info().programId);
  });

  test('closing an unpinned link detaches; a pin keeps it', async () => {
    (await program('drop').attachXdp({ ifindex: pair.ifindex, mode: 'native' })).close();
    expect((await netlink.device(pair.name)).xdp.native).toBe(0);
    const path = folder.at('xdp');
    {
      using link = await program('drop').attachXdp({ ifindex: pair.ifindex, mode: 'native' });
      link.pin(path);
    }
    expect((await netlink.device(pair.name)).xdp.native).toBe(program('drop').id);
    {
      using link = Link.openPinned(path);
      expect(link.info()).toMatchObject({ kind: 'xdp', ifindex: pair.ifindex });
      await link.update(program('say'));
      link.unpin(path);
      link.unpin(path);
    }
    expect((await netlink.device(pair.name)).xdp.native).toBe(0);
  });

  test('a program that is there already, by link or by netlink', async () => {
    using link = await program('drop').attachXdp({ ifindex: pair.ifindex, mode: 'native' });
    expect(await caught(() => program('say').attachXdp({ ifindex: pair.ifindex, mode: 'native' }))).toEqual(
      mapwireError('ERR_MW_FOREIGN_PROGRAM', { errnoName: 'EBUSY', ifindex: pair.ifindex }),
    );
    expect(await netlink.attachedPrograms(pair.ifindex)).toEqual([
      { hook: 'xdp-native', programId: program('drop').id, programName: 'drop', linkId: link.id },
    ]);
    link.close();
    program('say').pin(folder.at('foreign'));
    await run(['ip', 'link', 'set', pair.name, 'xdpdrv', 'pinned', folder.at('foreign')]);
    expect(await netlink.attachedPrograms(pair.ifindex)).toEqual([
      { hook: 'xdp-native', programId: program('say').id, programName: 'say' },
    ]);
    expect(await caught(() => program('drop').attachXdp({ ifindex: pair.ifindex, mode: 'native' }))).toEqual(
      mapwireError('ERR_MW_FOREIGN_PROGRAM', { ifindex: pair.ifindex }),
    );
  });

  test('no such device, no native XDP, wrong type of program, bad index', async () => {
    expect(await caught(() => program('say').attachXdp({ ifindex: 0x7ffffff0, mode: 'any' }))).toEqual(
      mapwireError('ERR_MW_NOT_FOUND', { errnoName: 'ENODEV' }),
    );
    expect(await caught(() => program('say').attachXdp({ ifindex: 1, mode: 'native' }))).toEqual(
      mapwireError('ERR_MW_UNSUPPORTED', { errnoName: 'EOPNOTSUPP' }),
    );
    const invalid = mapwireError('ERR_MW_INVALID_ARGUMENT');
    expect(await caught(() => program('mark').attachXdp({ ifindex: pair.ifindex, mode: 'any' }))).toEqual(invalid);
    expect(await caught(() => program('say').attachXdp({ ifindex: 0, mode: 'any' }))).toEqual(invalid);
    expect(await caught(() => program('say').attachXdp({ ifindex: Number.NaN, mode: 'any' }))).toEqual(invalid);
    expect(await caught(() => program('say').attachTcx({ ifindex: pair.ifindex, direction: 'ingress' }))).toEqual(
      invalid,
    );
  });

  test('a driver that cannot: a large MTU and a program without frags', async () => {
    await run(['ip', 'link', 'set', pair.name, 'mtu', '9000']);
    await run(['ip', '-n', pair.namespace, 'link', 'set', pair.peer, 'mtu', '9000']);
    expect(await caught(() => program('say').attachXdp({ ifindex: pair.ifindex, mode: 'native' }))).toEqual(
      mapwireError('ERR_MW_UNSUPPORTED'),
    );
    using link = await program('length').attachXdp({ ifindex: pair.ifindex, mode: 'native' });
    expect(link.info().programId).toBe(program('length').id);
  });

  test('a device that goes leaves a defunct link', async () => {
    using link = await program('drop').attachXdp({ ifindex: pair.ifindex, mode: 'native' });
    await run(['ip', 'link', 'del', pair.name]);
    expect(link.info()).toMatchObject({ ifindex: 0 });
  });

  test('links are found by id', async () => {
    using link = await program('drop').attachXdp({ ifindex: pair.ifindex, mode: 'native' });
    expect([...objectIds('link')]).toContain(link.id);
    using same = Link.fromId(link.id);
    expect(same.info()).toEqual(link.info());
    using twin = link.dup();
    link.close();
    expect(twin.info().ifindex).toBe(pair.ifindex);
    expect(await caught(() => link.info())).toEqual(mapwireError('ERR_MW_CLOSED'));
  });
});

describe.each<Direction>(['ingress', 'egress'])('TCX %s', (direction) => {
  /** True when the kernel has no TCX and said so. */
  async function withoutTcx(): Promise<boolean> {
    if (tcx) return false;
    expect(await caught(() => program('mark').attachTcx({ ifindex: pair.ifindex, direction }))).toEqual(
      mapwireError('ERR_MW_UNSUPPORTED', { errnoName: 'EINVAL' }),
    );
    return true;
  }

  test('attach, update, detach', async () => {
    if (await withoutTcx()) return;
    using link = await program('mark').attachTcx({ ifindex: pair.ifindex, direction });
    expect(link.info()).toEqual({
      id: link.id,
      type: LinkType.TCX,
      kind: 'tcx',
      programId: program('mark').id,
      ifindex: pair.ifindex,
      direction,
    });
    expect(await reaches()).toBe(true);
    await link.update(program('shoot'), program('mark'));
    expect(await reaches()).toBe(false);
    expect(await caught(() => link.update(program('mark'), program('mark')))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'EPERM' }),
    );
    expect(await netlink.attachedPrograms(pair.ifindex)).toEqual([
      { hook: 'tcx', direction, programId: program('shoot').id, programName: 'shoot', linkId: link.id },
    ]);
    await link.detach();
    expect(await reaches()).toBe(true);
  });

  test('first and last', async () => {
    if (await withoutTcx()) return;
    using one = await program('mark').attachTcx({ ifindex: pair.ifindex, direction });
    using last = await program('shoot').attachTcx({ ifindex: pair.ifindex, direction, position: 'last' });
    using another = await loadEverything();
    using first = await another.programs
      .get('shoot')!
      .attachTcx({ ifindex: pair.ifindex, direction, position: 'first' });
    const attached = await netlink.attachedPrograms(pair.ifindex);
    expect(attached.map(({ linkId }) => linkId)).toEqual([first.id, one.id, last.id]);
  });
});

describe.each<Direction>(['ingress', 'egress'])('clsact %s', (direction) => {
  const place = { priority: 7, handle: 3 };

  test('attach, update in place, take over, detach', async () => {
    const before = openDescriptors();
    const filter = await TcFilter.attach(program('mark'), { ifindex: pair.ifindex, direction, ...place });
    expect(await filter.info()).toEqual({
      kind: 'clsact',
      ifindex: pair.ifindex,
      direction,
      ...place,
      programId: program('mark').id,
    });
    expect(await reaches()).toBe(true);
    filter.close();
    expect(await caught(() => filter.info())).toEqual(mapwireError('ERR_MW_CLOSED'));

    using again = await TcFilter.open({ ifindex: pair.ifindex, direction, ...place });
    await again.update(program('shoot'), program('mark'));
    expect(await reaches()).toBe(false);
    const wrong = await caught(() => again.update(program('mark'), program('mark')));
    expect(wrong).toEqual(mapwireError('ERR_MW_SYSCALL', { programId: program('shoot').id }));
    expect(hasErrno(wrong, 1)).toBe(true);
    expect(await netlink.attachedPrograms(pair.ifindex)).toEqual([
      { hook: 'clsact', direction, programId: program('shoot').id, programName: 'shoot', ...place },
    ]);
    await again.detach();
    expect(await reaches()).toBe(true);
    expect(await netlink.attachedPrograms(pair.ifindex)).toEqual([]);
    expect(openDescriptors()).toBe(before);
  });

  test('a place that is taken; the qdisc of another stays', async () => {
    await run(['tc', 'qdisc', 'add', 'dev', pair.name, 'clsact']);
    using filter = await TcFilter.attach(program('mark'), { ifindex: pair.ifindex, direction, ...place });
    expect(
      await caught(() => TcFilter.attach(program('shoot'), { ifindex: pair.ifindex, direction, ...place })),
    ).toEqual(mapwireError('ERR_MW_FOREIGN_PROGRAM'));
    expect((await filter.info()).programId).toBe(program('mark').id);
    using beside = await TcFilter.attach(program('shoot'), { ifindex: pair.ifindex, direction, priority: 8 });
    await filter.detach();
    await beside.detach();
    expect((await run(['tc', 'qdisc', 'show', 'dev', pair.name])).stdout).toContain('clsact');
  });

  test('the qdisc goes with the last filter of the one who added it', async () => {
    const filter = await TcFilter.attach(program('mark'), { ifindex: pair.ifindex, direction });
    using other = await TcFilter.attach(program('mark'), { ifindex: pair.ifindex, direction, priority: 2 });
    await filter.detach();
    expect((await other.info()).programId).toBe(program('mark').id);
    await other.detach();
    const last = await TcFilter.attach(program('mark'), { ifindex: pair.ifindex, direction });
    await last.detach();
    // other did not add the qdisc, last found it there: it stays
    expect((await run(['tc', 'qdisc', 'show', 'dev', pair.name])).stdout).toContain('clsact');
    await run(['tc', 'qdisc', 'del', 'dev', pair.name, 'clsact']);
    await (await TcFilter.attach(program('mark'), { ifindex: pair.ifindex, direction })).detach();
    expect((await run(['tc', 'qdisc', 'show', 'dev', pair.name])).stdout).not.toContain('clsact');
  });

  test('missing, bad places, a failed attach leaves no qdisc', async () => {
    expect(await caught(() => TcFilter.open({ ifindex: pair.ifindex, direction }))).toEqual(
      mapwireError('ERR_MW_NOT_FOUND'),
    );
    const invalid = mapwireError('ERR_MW_INVALID_ARGUMENT');
    for (const bad of [{ priority: 0 }, { priority: 65536 }, { handle: 0 }]) {
      expect(await caught(() => TcFilter.open({ ifindex: pair.ifindex, direction, ...bad }))).toEqual(invalid);
    }
    expect(await caught(() => TcFilter.attach(program('mark'), { ifindex: 0x7ffffff0, direction }))).toEqual(
      mapwireError('ERR_MW_NOT_FOUND', { errnoName: 'ENODEV' }),
    );
    expect(await caught(() => TcFilter.attach(program('say'), { ifindex: pair.ifindex, direction }))).toEqual(
      mapwireError('ERR_MW_INVALID_ARGUMENT'),
    );
    expect((await run(['tc', 'qdisc', 'show', 'dev', pair.name])).stdout).not.toContain('clsact');
  });
});

test('attachTc takes what the kernel has', async () => {
  const attachment = await program('shoot').attachTc({ ifindex: pair.ifindex, direction: 'ingress' });
  expect(attachment.kind).toBe(tcx ? 'tcx' : 'clsact');
  expect(await reaches()).toBe(false);
  await attachment.update(program('mark'));
  expect(await reaches()).toBe(true);
  await attachment.detach();
  attachment.close();
  expect(await netlink.attachedPrograms(pair.ifindex)).toEqual([]);
});
