import { expect, test } from 'vitest';
import { verifierFailure } from '../../../src/libbpf/verifier-log.ts';

const wrap = (log: string): string => `libbpf: prog 'p': BPF program load failed: Permission denied
libbpf: prog 'p': -- BEGIN PROG LOAD LOG --
${log}-- END PROG LOAD LOG --
libbpf: prog 'p': failed to load: -13
libbpf: failed to load object 'o'
`;

test.each([
  [
    'a packet access',
    `reg type unsupported for arg#0 function f#7
0: R1=ctx() R10=fp0
; int f(struct xdp_md *ctx) @ x.c:3
0: (61) r1 = *(u32 *)(r1 +0)          ; R1_w=pkt(r=0)
1: (71) r0 = *(u8 *)(r1 +0)
invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`,
    'invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0); R1 offset is outside of the packet',
  ],
  [
    'a bad helper, with statistics after it',
    `0: (85) call 999
invalid func unknown#999
verification time 12 usec
stack depth 0
processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`,
    'invalid func unknown#999',
  ],
  [
    'a reason right after a state',
    `from 3 to 5: R0=scalar() R10=fp0
R0 !read_ok
processed 6 insns
`,
    'R0 !read_ok',
  ],
  ['no log at all', '', 'no reason given'],
])('%s', (_, log, summary) => {
  expect(verifierFailure(wrap(log))).toEqual({ program: 'p', summary, log });
});

test('what is no failure of the verifier', () => {
  expect(verifierFailure('')).toBeUndefined();
  expect(
    verifierFailure('libbpf: Error in bpf_create_map_xattr(m):ERROR: Cannot allocate memory(-12)\n'),
  ).toBeUndefined();
});
