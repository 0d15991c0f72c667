/** What the kernel's verifier said, taken from libbpf's words. */
export interface VerifierFailure {
  readonly program: string;
  /** The line that says why. */
  readonly summary: string;
  readonly log: string;
}

const BEGIN = /^libbpf: prog '([^']+)': -- BEGIN PROG LOAD LOG --$/m;
const END = '-- END PROG LOAD LOG --';

/** Lines that follow the reason and do not say it. */
function isTrailer(line: string): boolean {
  return line === '' || /^(processed \d+ insns|verification time|stack depth|-- )/.test(line);
}

/** The verifier's log in libbpf's output; undefined if a load did not fail there. */
export function verifierFailure(output: string): VerifierFailure | undefined {
  const begin = BEGIN.exec(output);
  if (begin === null) return undefined;
  const from = begin.index + begin[0].length + 1;
  const end = output.indexOf(END, from);
  const log = output.slice(from, end < 0 ? undefined : end);
  const lines = log.split('\n').map((line) => line.trim());
  const summary = lines.filter((line) => !isTrailer(line)).at(-1) ?? 'no reason given';
  return { program: begin[1]!, summary, log };
}
