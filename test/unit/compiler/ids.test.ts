import { describe, expect, it } from 'vitest';
import { groupNatural, groupOwner, ID_REST_MS, IdBook, IdSpace } from '../../../src/compiler/index.ts';
import { NODE_WIRE } from '../../../src/generated/layout.ts';

function space(): { ids: IdSpace; wait: (ms: number) => void } {
  let clock = 0;
  return {
    ids: new IdSpace(() => clock, ID_REST_MS),
    wait: (ms) => {
      clock += ms;
    },
  };
}

describe('IdSpace', () => {
  it('gives dense numbers from 1, the same to the same owner', () => {
    const { ids } = space();
    expect([ids.acquire('a', 'A'), ids.acquire('b', 'B'), ids.acquire('a', 'A')]).toEqual([1, 2, 1]);
    expect(ids.ownerOf(2)).toBe('b');
    expect(ids.size).toBe(2);
  });

  it('lets a freed id rest for 60 seconds before somebody else gets it', () => {
    const { ids, wait } = space();
    ids.acquire('a', 'A');
    ids.release('a');
    wait(ID_REST_MS - 1);
    expect(ids.acquire('b', 'B')).toBe(2);
    wait(1);
    expect(ids.acquire('c', 'C')).toBe(1);
  });

  it('gives a resting id back to its own natural key at once', () => {
    const { ids } = space();
    ids.acquire('a', 'A');
    ids.release('a');
    expect(ids.acquire('renamed', 'A')).toBe(1);
  });

  it('does not give an id to a natural key that it had before its last owner', () => {
    const { ids, wait } = space();
    ids.acquire('a', 'A');
    ids.release('a');
    wait(ID_REST_MS);
    expect(ids.acquire('b', 'B')).toBe(1);
    expect(ids.acquire('a', 'A')).toBe(2);
  });

  it('keeps the id of an owner whose natural key changes', () => {
    const { ids } = space();
    ids.acquire('a', 'A');
    expect(ids.acquire('a', 'A2')).toBe(1);
    ids.release('a');
    expect(ids.acquire('x', 'A')).toBe(2);
    expect(ids.acquire('y', 'A2')).toBe(1);
  });

  it('survives two owners that exchange their natural keys', () => {
    const { ids } = space();
    ids.acquire('a', 'A');
    ids.acquire('b', 'B');
    ids.beginPass();
    expect(ids.acquire('a', 'B')).toBe(1);
    expect(ids.acquire('b', 'A')).toBe(2);
    ids.endPass();
    expect([ids.ownerOf(1), ids.ownerOf(2)]).toEqual(['a', 'b']);
  });

  it('adopts what the kernel holds by natural key, and lets the unclaimed rest', () => {
    const { ids, wait } = space();
    ids.adopt(7, 'A');
    ids.adopt(3, 'B');
    ids.adopt(5, undefined);
    ids.beginPass();
    expect(ids.acquire('a', 'A')).toBe(7);
    ids.endPass();
    const fresh = [ids.acquire('n1', 'N1'), ids.acquire('n2', 'N2'), ids.acquire('n3', 'N3'), ids.acquire('n4', 'N4')];
    expect(fresh).toEqual([1, 2, 4, 6]);
    expect(ids.acquire('n5', 'N5')).toBe(8);
    wait(ID_REST_MS);
    expect([ids.acquire('n6', 'N6'), ids.acquire('n7', 'N7')].sort()).toEqual([3, 5]);
  });

  it('is not led astray by an absurd id', () => {
    const { ids } = space();
    ids.adopt(0xffff_fffe, undefined);
    ids.beginPass();
    expect(ids.acquire('a', 'A')).toBe(1);
    ids.endPass();
    expect(ids.acquire('b', 'B')).toBe(2);
  });

  it('adopts nothing by a natural key that the kernel holds twice', () => {
    const { ids } = space();
    ids.adopt(1, 'A');
    ids.adopt(2, 'A');
    ids.beginPass();
    expect(ids.acquire('a', 'A')).toBe(3);
    ids.endPass();
  });

  it('never adopts the id of the wire', () => {
    const { ids, wait } = space();
    ids.adopt(NODE_WIRE, undefined);
    ids.adopt(NODE_WIRE, 'A');
    ids.beginPass();
    expect(ids.acquire('a', 'A')).toBe(1);
    ids.endPass();
    wait(ID_REST_MS);
    expect(ids.acquire('b', 'B')).toBe(2);
  });

  it('finds a node by either of its addresses, and lets nobody else have its id by the other', () => {
    const { ids } = space();
    ids.adopt(7, '2001:db8::1');
    ids.adopt(7, '192.0.2.1');
    ids.beginPass();
    expect(ids.acquire('a', '192.0.2.1')).toBe(7);
    ids.endPass();
    ids.beginPass();
    expect(ids.acquire('b', '2001:db8::1')).toBe(1);
    expect(ids.acquire('a', '192.0.2.1')).toBe(7);
    ids.endPass();
  });

  it('takes ids from owners that a full pass did not ask for', () => {
    const { ids } = space();
    ids.acquire('a', 'A');
    ids.acquire('b', 'B');
    ids.beginPass();
    ids.acquire('b', 'B');
    ids.endPass();
    expect(ids.idOf('a')).toBeUndefined();
    expect(ids.idOf('b')).toBe(2);
  });
});

describe('multicast groups', () => {
  it('have ids of nodes, and names that no node can have', () => {
    const ids = new IdBook();
    const node = ids.nodes.acquire('group 239.1.1.1', '192.0.2.1');
    const group = ids.nodes.acquire(groupOwner('239.1.1.1'), groupNatural('239.1.1.1'));
    expect(group).not.toBe(node);
    expect([ids.nodeName(node), ids.nodeName(group), ids.nodeName(NODE_WIRE)]).toEqual([
      'group 239.1.1.1',
      'group 239.1.1.1',
      'wire',
    ]);
    expect([ids.isGroup(node), ids.isGroup(group), ids.isGroup(NODE_WIRE)]).toEqual([false, true, false]);
  });
});
