/** The two readers of a line agree: what the fast one takes is what the full one makes of it; and it takes what it should. */
import { describe, expect, it } from 'vitest';
import { formatTable, parseTable } from '../../../src/table/index.ts';
import { PlainLine } from '../../../src/table/plain-line.ts';
import { Random } from '../../support/random.ts';

const SEED = process.env.MAPWIRE_SEED ?? String(Date.now() % 1_000_000);

const HEAD = '{"mapwire":1}\n{"node":"a","underlay":"192.0.2.1"}\n{"network":"blue","segment":1}\n';
const USUAL = '{"port":"web-1","network":"blue","mac":"02:00:00:00:00:01","ips":["10.1.0.1"],"at":{"node":"a"}}';

function takes(line: string): boolean {
  const bytes = Buffer.from(line);
  return new PlainLine().parse(bytes, 0, bytes.length);
}

describe('the usual line', () => {
  it.each([
    USUAL,
    `${USUAL} \r`,
    '{ "port" : "x" , "network":"blue",\t"mac":"02:0A:0a:00:00:01", "at":{ "node" : "a" } }',
    '{"at":{"node":"a"},"ips":[],"mac":"02:00:00:00:00:01","port":"x","network":"blue"}',
    USUAL.replace('["10.1.0.1"]', '["10.1.0.1","fd00::1"]'),
    USUAL.replace('["10.1.0.1"]', '["fd00::1"]'),
    USUAL.replace('web-1', '0f3b8a10-1111-4222-8333-abcdefabcdef'),
  ])('is taken: %s', (line) => {
    expect(takes(line)).toBe(true);
  });

  it.each([
    ['two addresses of a family', USUAL.replace('["10.1.0.1"]', '["10.1.0.1","10.1.0.2"]')],
    ['IPv6 first', USUAL.replace('["10.1.0.1"]', '["fd00::1","10.1.0.1"]')],
    ['a leading zero', USUAL.replace('10.1.0.1', '10.01.0.1')],
    ['an unusable address', USUAL.replace('10.1.0.1', '127.0.0.1')],
    ['a group MAC', USUAL.replace('02:00', '03:00')],
    ['a MAC of zeros', USUAL.replace('02:00:00:00:00:01', '00:00:00:00:00:00')],
    ['an escape', USUAL.replace('web-1', 'web\\u002d1')],
    ['a space in the id', USUAL.replace('web-1', 'web 1')],
    ['an id that is too long', USUAL.replace('web-1', 'x'.repeat(65))],
    ['no id', USUAL.replace('web-1', '')],
    ['a key twice', USUAL.replace('"ips"', '"mac":"02:00:00:00:00:02","ips"')],
    ['a key more', USUAL.replace('"ips"', '"role":"router","ips"')],
    ['a key less', USUAL.replace('"network":"blue",', '')],
    ['an interface', USUAL.replace('"a"}', '"a","interface":"tap"}')],
    ['a list of locators', USUAL.replace('{"node":"a"}', '[{"node":"a"}]')],
    ['a comma before the end', USUAL.replace('"10.1.0.1"]', '"10.1.0.1",]')],
    ['a comma at the end', USUAL.replace('"a"}}', '"a"},}')],
    ['something after the end', `${USUAL}x`],
    ['a removal', USUAL.replace('"ips"', '"delete":true,"ips"')],
    ['an end that is missing', USUAL.slice(0, -1)],
    ['no mapping', '[]'],
    ['nothing', ''],
  ])('is not taken with %s', (_, line) => {
    expect(takes(line)).toBe(false);
  });

  it(`reads as the full reader does, whatever is broken in it (seed ${SEED})`, () => {
    const random = new Random(`${SEED} plain`);
    const signs = [...'"{}[],:\\ \t\r01af.-é\u0000', '""', '10.1.0.300', 'null'];
    for (let run = 0; run < 2_000; run++) {
      const at = random.below(USUAL.length);
      const sign = signs[random.below(signs.length)]!;
      const line = run === 0 ? USUAL : USUAL.slice(0, at) + sign + USUAL.slice(at + random.below(3));
      // a record with one more key is never taken, so this is the full reader's word
      const slow = parseTable(`${HEAD}${line.replace(/^\{/, '{"macs":[],')}\n`, { format: 'ndjson' });
      const fast = parseTable(`${HEAD}${line}\n`, { format: 'ndjson' });
      const text = (result: typeof slow) => result.table && [...formatTable(result.table)].join('');
      if (takes(line)) expect(text(fast), `${SEED}: ${line}`).toBe(text(slow));
      if (slow.table !== undefined && line.startsWith('{')) expect(text(fast), `${SEED}: ${line}`).toBe(text(slow));
      if (fast.table !== undefined && takes(line)) expect(fast.diagnostics).toEqual([]);
    }
  });
});
