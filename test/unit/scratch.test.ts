import { test } from 'vitest';
import { IdBook, plan } from '../../src/compiler/index.ts';
import { every } from '../fixtures/packets/encap-scene.ts';
test('x', () => {
  const p = plan(every.table, 'a', new IdBook({ restMs: 0 }));
  for (const e of p.entries())
    if (['node', 'vtep', 'network', 'flood', 'segment'].includes(e.map))
      console.log(e.map, JSON.stringify(e.key, (k, v) => (v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v)), JSON.stringify(e.value, (k, v) => (v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v)).slice(0, 260), e.map === 'node' ? p.ids.nodeName(e.key) : '');
  console.log(p.features, p.wire, [...p.groups()]);
});
