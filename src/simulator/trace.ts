/** Collects the steps of one simulation. */
import type { Step } from './types.ts';

export class Trace {
  readonly steps: Step[] = [];

  /** Notes that under `rule` of packet-rules.md `asked` was looked at and `found` was the answer. */
  note(rule: string, asked: string, found: string): void {
    this.steps.push({ rule, asked, found });
  }
}
