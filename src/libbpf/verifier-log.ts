/** What the kernel's verifier said, taken from libbpf's words. */
export interface VerifierFailure {
  readonly program: string;
  /** The lines that say why. */
  readonly summary: string;
  readonly log: string;
}

const BEGIN = /^libbpf: prog '([^']+)': -- BEGIN PROG LOAD LOG --$/m;
const END = '-- END PROG LOAD LOG --';

/** Lines that follow the reason and do not say it. */
function isTrailer(line: string): boolean {
  return line === '' || /^(processed \d+ insns|verification time|stack depth|mark_precise|-- )/.test(line);
}

/** Instructions, source lines and states: what the verifier walked before it said why. */
function isWalk(line: string): boolean {
  return /^(\d+: |;|from \d+ to |R\d+\w*=|R\d+(_\w+)?\(|last_idx|frame\d|arg#|func#|Validating |caller:|callee:)/.test(
    line,
  );
}

const MOST_REASONS = 3;

/** The lines that say why, e.g. `invalid access to packet, off=0 size=1; R1 offset is outside of the packet`. */
function reason(lines: readonly string[]): string {
  const reasons: string[] = [];
  for (const line of lines.toReversed()) {
    if (reasons.length === 0 && isTrailer(line)) continue;
    if (isTrailer(line) || isWalk(line) || reasons.length === MOST_REASONS) break;
    reasons.unshift(line);
  }
  return reasons.length === 0 ? 'no reason given' : reasons.join('; ');
}

/** The verifier's log in libbpf's output; undefined if a load did not fail there. */
export function verifierFailure(output: string): VerifierFailure | undefined {
  const begin = BEGIN.exec(output);
  if (begin === null) return undefined;
  const from = begin.index + begin[0].length + 1;
  const end = output.indexOf(END, from);
  const log = output.slice(from, end < 0 ? undefined : end);
  return { program: begin[1]!, summary: reason(log.split('\n').map((line) => line.trim())), log };
}
