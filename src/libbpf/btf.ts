import { addon } from './addon.ts';
import { LITTLE_ENDIAN } from './byte-order.ts';
import { Fd } from './fd.ts';
import { objectInfo, openById } from './kernel-object.ts';
import { checked, systemError } from './system-error.ts';

/** BTF that the kernel holds: the types of a loaded object. */
export class Btf implements Disposable {
  readonly id: number;
  readonly #fd: Fd;

  private constructor(fd: number) {
    this.#fd = new Fd(fd, 'BTF');
    // struct bpf_btf_info: u64 btf; u32 btf_size; u32 id
    this.id = objectInfo(fd, 'BTF').getUint32(12, LITTLE_ENDIAN);
  }

  /** @throws ERR_MW_NOT_FOUND, ERR_MW_PRIVILEGE: every kernel wants CAP_SYS_ADMIN for this. `load` needs CAP_BPF only. */
  static fromId(id: number): Btf {
    return new Btf(openById('btf', id));
  }

  /** Loads raw BTF (the contents of a .BTF section without floats and the like that an old kernel refuses). */
  static load(bytes: Uint8Array): Btf {
    return new Btf(checked(addon().btfLoad(bytes), 'bpf(BPF_BTF_LOAD)', 'load BTF'));
  }

  /** @throws ERR_MW_CLOSED */
  get fd(): number {
    return this.#fd.number;
  }

  /** The bytes, header included, as in a .BTF section. */
  raw(): Uint8Array {
    const result = addon().btfRaw(this.fd);
    if (typeof result === 'number') throw systemError(result, 'bpf(BPF_OBJ_GET_INFO_BY_FD)', `BTF ${this.id}`);
    return result;
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
