/** The kernel's own BTF, a hundred thousand types that no test source thought of, against bpftool. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readBtf } from '../../../src/bintools/btf.ts';
import { sizeOf, structLayout, typeName } from '../../../src/bintools/c-layout.ts';
import { asBpftool, bpftoolTypes, normalised } from '../../unit/bintools/oracle.ts';

const VMLINUX = '/sys/kernel/btf/vmlinux';

describe("the running kernel's BTF", () => {
  const btf = readBtf(new Uint8Array(readFileSync(VMLINUX)));

  test('is read as bpftool reads it', async () => {
    const ours = asBpftool(btf);
    const theirs = await bpftoolTypes(VMLINUX);
    expect(ours.length).toBe(theirs.length);
    expect(ours.length).toBeGreaterThan(10_000);
    for (const [index, type] of ours.entries()) {
      // comparing text is a hundred times faster than toEqual, which then says what differs
      const other = normalised(theirs[index] ?? {});
      if (JSON.stringify(type) !== JSON.stringify(other)) expect(type).toEqual(other);
    }
  });

  test('has only layouts in which each member is inside its struct', () => {
    let structs = 0;
    for (const type of btf.types) {
      if (type.kind !== 'struct' && type.kind !== 'union') continue;
      structs++;
      const layout = structLayout(btf, type);
      expect(layout.size).toBe(sizeOf(btf, type.id));
      for (const member of layout.members) {
        const end = member.bits ? (member.bits.offset + member.bits.width) / 8 : member.offset + member.size;
        if (end > layout.size) expect.fail(`${typeName(btf, type.id)}.${member.name} ends at ${end} of ${layout.size}`);
      }
      for (const hole of layout.holes) if (hole.offset + hole.size > layout.size) expect.fail(`hole in ${layout.name}`);
    }
    expect(structs).toBeGreaterThan(1000);
  });
});
