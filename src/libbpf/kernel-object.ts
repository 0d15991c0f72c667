import { MapwireError } from '../errors.ts';
import { addon } from './addon.ts';
import type { NativeKind } from './addon-types.ts';
import { checked, Errno, systemError } from './system-error.ts';

/** What maps, programs, links and BTF have in common. */

export const Kind = { map: 0, program: 1, link: 2, btf: 3 } as const satisfies Record<string, NativeKind>;
export type KindName = keyof typeof Kind;

/** The kernel's struct bpf_*_info; 256 bytes hold each of them, and a kernel with shorter ones leaves zeros. */
export function objectInfo(fd: number, what: string): DataView {
  const bytes = new Uint8Array(256);
  checked(addon().objectInfo(fd, bytes), 'bpf(BPF_OBJ_GET_INFO_BY_FD)', `info of ${what}`);
  return new DataView(bytes.buffer);
}

const decoder = new TextDecoder();

/** A NUL-terminated name field (BPF_OBJ_NAME_LEN is 16). */
export function nameAt(view: DataView, offset: number, length = 16): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, length);
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

export function openPinned(kind: KindName, path: string): number {
  const result = addon().openPinned(Kind[kind], path);
  if (result === -Errno.EPROTOTYPE) {
    throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `'${path}' is pinned, but not a ${kind}`, { details: { path } });
  }
  return checked(result, 'bpf(BPF_OBJ_GET)', `pinned ${kind} '${path}'`, { details: { path } });
}

export function pin(fd: number, what: string, path: string): void {
  const result = addon().pin(fd, path);
  if (result >= 0) return;
  const hint =
    result === -Errno.EEXIST
      ? 'something is pinned there already'
      : result === -Errno.EINVAL || result === -Errno.EPERM
        ? 'the folder must be on a bpffs: mount -t bpf bpf /sys/fs/bpf'
        : undefined;
  throw systemError(result, 'bpf(BPF_OBJ_PIN)', `pin ${what} to '${path}'`, {
    details: { path },
    ...(hint === undefined ? {} : { hint }),
  });
}

export function openById(kind: KindName, id: number): number {
  return checked(addon().fdById(Kind[kind], id), `bpf(BPF_${kind.toUpperCase()}_GET_FD_BY_ID)`, `${kind} ${id}`, {
    details: { id },
  });
}

/**
 * The ids of all objects of a kind in the kernel, ascending, of every namespace. An object may go between its id and
 * the use of it.
 *
 * @throws ERR_MW_PRIVILEGE (needs CAP_SYS_ADMIN)
 */
export function* objectIds(kind: KindName): Generator<number, void, undefined> {
  for (let id = 0; ; ) {
    const next = addon().nextId(Kind[kind], id);
    if (next === -Errno.ENOENT) return;
    id = checked(next, `bpf(BPF_${kind.toUpperCase()}_GET_NEXT_ID)`, `${kind} after ${id}`);
    yield id;
  }
}
