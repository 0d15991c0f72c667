import { describe, expect, test } from 'vitest';
import { MapType, mapTypeName, programTypeName } from '../../../src/libbpf/constants.ts';
import { countCpuList, kernelVersion, monotonicNs } from '../../../src/libbpf/system.ts';
import { checked, Errno, errnoName, hasErrno, systemError } from '../../../src/libbpf/system-error.ts';
import { skbContext, xdpContext } from '../../../src/libbpf/test-context.ts';

test.each([
  ['0', 1],
  ['0-1\n', 2],
  ['0-3,8,10-11', 7],
])('possible CPUs of %j', (text, count) => expect(countCpuList(text)).toBe(count));

test('what is no list of CPUs', () => {
  expect(() => countCpuList('')).toThrow();
  expect(() => countCpuList('0-')).toThrow();
});

test('names of types', () => {
  expect(mapTypeName(MapType.lpm_trie)).toBe('lpm_trie');
  expect(mapTypeName(200)).toBe('type 200');
  expect(programTypeName(6)).toBe('xdp');
  expect(programTypeName(77)).toBe('type 77');
});

test('the kernel and its clock', () => {
  expect(kernelVersion().release).toContain(`${kernelVersion().major}.${kernelVersion().minor}`);
  const before = monotonicNs();
  expect(monotonicNs()).toBeGreaterThanOrEqual(before);
});

describe('errors of system calls', () => {
  test.each([
    [Errno.ENOENT, 'ERR_MW_NOT_FOUND', 'ENOENT'],
    [Errno.ENODEV, 'ERR_MW_NOT_FOUND', 'ENODEV'],
    [Errno.EPERM, 'ERR_MW_PRIVILEGE', 'EPERM'],
    [Errno.EOPNOTSUPP, 'ERR_MW_UNSUPPORTED', 'EOPNOTSUPP'],
    [Errno.ENOTSUPP, 'ERR_MW_UNSUPPORTED', 'ENOTSUPP'],
    [Errno.EAGAIN, 'ERR_MW_SYSCALL', 'EAGAIN'],
    [4000, 'ERR_MW_SYSCALL', 'errno 4000'],
  ])('%d is %s', (errno, code, name) => {
    for (const number of [errno, -errno]) {
      const error = systemError(number, 'call', 'what was done');
      expect(error).toMatchObject({ code, details: { errno, errnoName: name, syscall: 'call' } });
      expect(error.message).toContain('what was done');
      expect(hasErrno(error, errno)).toBe(true);
      expect(hasErrno(error, errno + 1)).toBe(false);
    }
    expect(errnoName(errno)).toBe(name);
  });

  test('a missing privilege has a hint; code and hint can be given', () => {
    expect(systemError(1, 'call', 'x').hint).toMatch(/CAP_BPF/);
    expect(systemError(1, 'call', 'x', { code: 'ERR_MW_BUSY', hint: 'wait', details: { a: 1 } })).toMatchObject({
      code: 'ERR_MW_BUSY',
      hint: 'wait',
      details: { a: 1, errno: 1 },
    });
  });

  test('checked', () => {
    expect(checked(3, 'call', 'x')).toBe(3);
    expect(() => checked(-2, 'call', 'x')).toThrow(/ENOENT/);
    expect(hasErrno(new Error('other'), 2)).toBe(false);
  });
});

describe('contexts of test runs', () => {
  test('struct xdp_md', () => {
    const view = new DataView(xdpContext({ dataLength: 64, metaLength: 4, ingressIfindex: 7, rxQueueIndex: 1 }).buffer);
    expect(Array.from({ length: 6 }, (_, i) => view.getUint32(i * 4, true))).toEqual([4, 64, 0, 7, 1, 0]);
  });

  test('struct __sk_buff', () => {
    const bytes = skbContext({ mark: 1, priority: 2, ifindex: 3, cb: [4, 5, 6, 7, 8], tstamp: 9n, gsoSize: 10 });
    expect(bytes.byteLength).toBe(192);
    const view = new DataView(bytes.buffer);
    expect([8, 32, 40, 48, 64, 176].map((offset) => view.getUint32(offset, true))).toEqual([1, 2, 3, 4, 8, 10]);
    expect(view.getBigUint64(152, true)).toBe(9n);
    expect(() => skbContext({ cb: [1] })).toThrow();
  });
});
