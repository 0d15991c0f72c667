import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  DirectoryLock,
  FEATURES,
  isBpffs,
  libbpfVersion,
  monotonicNs,
  openDirectory,
  probe,
  probeAll,
  sdNotify,
  tryFlock,
} from '../../../src/libbpf/index.ts';
import { Background, eventually } from '../../support/process.ts';
import { caught, mapwireError, openDescriptors, PinFolder } from './support.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mwlib-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('locks', () => {
  test('one holder; the other is told who', async () => {
    using pins = new PinFolder();
    for (const path of [folder, pins.path]) {
      const lock = DirectoryLock.acquire(path);
      expect(await caught(() => DirectoryLock.acquire(path))).toEqual(
        mapwireError('ERR_MW_BUSY', { path, pid: process.pid }),
      );
      lock.close();
      lock.close();
      DirectoryLock.acquire(path).close();
    }
  });

  test('a lock goes with its process', async () => {
    const holder = new Background(['flock', '--no-fork', '--exclusive', folder, 'cat']);
    await eventually('the lock is taken', () => {
      try {
        DirectoryLock.acquire(folder).close();
        return false;
      } catch {
        return true;
      }
    });
    expect(await caught(() => DirectoryLock.acquire(folder))).toEqual(mapwireError('ERR_MW_BUSY', { pid: holder.pid }));
    await holder.stop('SIGKILL');
    await eventually('the lock is free', () => {
      try {
        DirectoryLock.acquire(folder).close();
        return true;
      } catch {
        return false;
      }
    });
  });

  test('no directory, a failed lock leaves nothing open', async () => {
    const before = openDescriptors();
    expect(await caught(() => DirectoryLock.acquire(join(folder, 'none')))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
    expect(await caught(() => tryFlock(0x7fffffff))).toEqual(mapwireError('ERR_MW_SYSCALL', { errnoName: 'EBADF' }));
    expect(openDescriptors()).toBe(before);
  });
});

describe('paths', () => {
  test('a symbolic link anywhere in it is refused', async () => {
    mkdirSync(join(folder, 'a/b'), { recursive: true });
    symlinkSync(join(folder, 'a'), join(folder, 'link'));
    writeFileSync(join(folder, 'file'), '');
    using fine = openDirectory(join(folder, 'a/b'));
    expect(fine.number).toBeGreaterThan(2);
    for (const path of ['link', 'link/b', 'file']) {
      expect(await caught(() => openDirectory(join(folder, path)))).toEqual(mapwireError('ERR_MW_PIN_DIR'));
    }
    expect(await caught(() => openDirectory('a/b'))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    expect(await caught(() => openDirectory('/tmp/a\0b'))).toBeInstanceOf(RangeError);
  });

  test('bpffs is told from others, also by descriptor', () => {
    using pins = new PinFolder();
    using open = openDirectory(pins.path);
    expect(isBpffs(pins.path)).toBe(true);
    expect(isBpffs(`/proc/self/fd/${open.number}`)).toBe(true);
    expect(isBpffs(folder)).toBe(false);
  });
});

describe('systemd', () => {
  test('gets the state as one datagram', async () => {
    const path = join(folder, 'notify');
    const listener = new Background(['socat', '-u', `UNIX-RECV:${path}`, '-']);
    process.env.NOTIFY_SOCKET = path;
    try {
      await eventually('the socket listens', () => {
        try {
          return sdNotify('READY=1\nSTATUS=fine');
        } catch {
          return false;
        }
      });
      await listener.waitFor(/READY=1\nSTATUS=fine/);
    } finally {
      delete process.env.NOTIFY_SOCKET;
      await listener.stop();
    }
  });

  test('nobody listens', async () => {
    expect(sdNotify('READY=1')).toBe(false);
    process.env.NOTIFY_SOCKET = join(folder, 'nobody');
    try {
      expect(await caught(() => sdNotify('READY=1'))).toEqual(mapwireError('ERR_MW_NOT_FOUND', { syscall: 'sendto' }));
    } finally {
      delete process.env.NOTIFY_SOCKET;
    }
  });
});

test('features: this kernel has what its version says, and the answers stay', async () => {
  const answers = await probeAll();
  const [major, minor] = (await import('node:os')).release().split('.').map(Number) as [number, number];
  for (const [name, answer] of Object.entries(answers)) {
    const [wantedMajor, wantedMinor] = FEATURES[name as keyof typeof FEATURES].kernel.split('.').map(Number) as [
      number,
      number,
    ];
    const expected = major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
    expect([name, answer]).toEqual([name, expected]);
  }
  expect(probe('tcx')).toBe(probe('tcx'));
});

test('clock and libbpf', () => {
  const before = monotonicNs();
  expect(monotonicNs()).toBeGreaterThanOrEqual(before);
  expect(libbpfVersion()).toMatch(/^1\.\d+$/);
});
