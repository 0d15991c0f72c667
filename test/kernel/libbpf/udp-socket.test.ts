import { createSocket } from 'node:dgram';
import { describe, expect, test } from 'vitest';
import { UdpSocket } from '../../../src/libbpf/index.ts';
import { ipFromMappedBytes, mappedBytes } from '../../../src/table/index.ts';

describe.each(['127.0.0.1', '::1'])('UdpSocket on %s', (text) => {
  const address = mappedBytes(text);

  test('sends with its TTL, from a dynamic port, and is told the TTL of what comes', async () => {
    using far = new UdpSocket({ address, ttl: 255 });
    using near = new UdpSocket({ address, ttl: 254, trafficClass: 0xc0 });
    expect(far.port).toBeGreaterThanOrEqual(49_152);
    expect(near.port).toBeGreaterThanOrEqual(49_152);
    // more than a batch of 64
    for (let i = 0; i < 100; i++) near.queue(address, far.port, new Uint8Array([i, 2, 3]));
    expect(near.flush()).toEqual({ unsent: 0, errno: 0 });
    expect(near.flush()).toBeUndefined();
    expect(await far.readable()).toBe(true);
    const got = [...far.receive()].map((one) => ({ ...one, payload: [...one.payload], address: '' }));
    expect(got).toHaveLength(100);
    expect(got[99]).toEqual({ address: '', port: near.port, length: 3, ttl: 254, payload: [99, 2, 3] });
    far.queue(address, near.port, new Uint8Array(40));
    far.flush();
    expect(await near.readable()).toBe(true);
    const [back] = near.receive();
    expect(back).toMatchObject({ ttl: 255, length: 40 });
    expect(ipFromMappedBytes(back!.address)).toBe(text);
  });

  test('tells the length of what is longer than a record', async () => {
    using socket = new UdpSocket({ address, ttl: 255 });
    const other = createSocket(text.includes(':') ? 'udp6' : 'udp4');
    other.send(new Uint8Array(1000).fill(7), socket.port, text);
    expect(await socket.readable()).toBe(true);
    const [one] = socket.receive();
    expect(one).toMatchObject({ length: 1000, ttl: 64 });
    expect(one!.payload).toHaveLength(40);
    other.close();
  });

  test('one that cannot be sent does not keep others back', async () => {
    using far = new UdpSocket({ address, ttl: 255 });
    using near = new UdpSocket({ address, ttl: 255 });
    // the other family, then ours
    const wrong = mappedBytes(text.includes(':') ? '127.0.0.1' : '::1');
    near.queue(wrong, far.port, new Uint8Array(1));
    near.queue(address, far.port, new Uint8Array(2));
    const outcome = near.flush()!;
    expect(outcome.unsent).toBe(1);
    expect(outcome.errno).toBeGreaterThan(0);
    expect(await far.readable()).toBe(true);
    expect([...far.receive()].map(({ length }) => length)).toEqual([2]);
  });

  test('a port is one socket’s; an address that is not here is none', () => {
    using first = new UdpSocket({ address, ttl: 255 });
    expect(() => new UdpSocket({ address, ttl: 255, port: first.port })).toThrow(
      expect.objectContaining({ code: 'ERR_MW_BUSY' }),
    );
    const absent = mappedBytes(text.includes(':') ? '2001:db8::77' : '192.0.2.77');
    expect(() => new UdpSocket({ address: absent, ttl: 255 })).toThrow(
      expect.objectContaining({ code: 'ERR_MW_NOT_FOUND' }),
    );
    expect(() => new UdpSocket({ address, ttl: 256 })).toThrow(
      expect.objectContaining({ code: 'ERR_MW_INVALID_ARGUMENT' }),
    );
    expect(() => first.queue(address, 1, new Uint8Array(41))).toThrow(
      expect.objectContaining({ code: 'ERR_MW_INVALID_ARGUMENT' }),
    );
  });

  test('closing ends who waits', async () => {
    const socket = new UdpSocket({ address, ttl: 255 });
    const waiting = socket.readable();
    socket.close();
    socket.close();
    expect(await waiting).toBe(false);
    expect(() => [...socket.receive()]).toThrow(expect.objectContaining({ code: 'ERR_MW_CLOSED' }));
  });
});
