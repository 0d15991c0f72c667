import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Schedule } from '../../../src/bfd/index.ts';

test('gives the same as a sorted list', () => {
  const step = fc.oneof(
    fc.record({ op: fc.constant('set' as const), item: fc.nat(20), time: fc.nat(1000) }),
    fc.record({ op: fc.constant('delete' as const), item: fc.nat(20), time: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const schedule = new Schedule<number>();
      const model = new Map<number, number>();
      for (const { op, item, time } of steps) {
        if (op === 'set') {
          schedule.set(item, time);
          model.set(item, time);
        } else {
          schedule.delete(item);
          model.delete(item);
        }
        const least = Math.min(Number.POSITIVE_INFINITY, ...model.values());
        expect([schedule.size, schedule.next]).toEqual([model.size, least]);
        const due = schedule.due(500);
        expect(due === undefined ? least > 500 : model.get(due) === least).toBe(true);
      }
    }),
  );
});
