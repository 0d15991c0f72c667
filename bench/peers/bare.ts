/** The two ends of the scale: what the way of a frame costs without anything done to it. */
import { type Peer, timeOf } from './peer.ts';

/** XDP drops at the first device of the host: the generator's own speed. */
export const drop: Peer = {
  names: ['drop'],
  async start({ site }) {
    const worker = site.hereWorker();
    await worker.ask({ op: 'sink', object: site.object, ifindexes: [site.devices.port, site.devices.eth0] });
    return { countsSent: true, stop: () => worker.close() };
  },
};

/** XDP redirects from one device to the other and does nothing else. */
export const redirect: Peer = {
  names: ['redirect'],
  async start({ site }) {
    const worker = site.hereWorker();
    const { port, eth0 } = site.devices;
    const ids = {
      encap: await worker.ask<number>({ op: 'forward', object: site.object, from: port, to: eth0 }),
      decap: await worker.ask<number>({ op: 'forward', object: site.object, from: eth0, to: port }),
    };
    return {
      unchanged: true,
      programTime: (direction) => timeOf(ids[direction]),
      stop: () => worker.close(),
    };
  },
};
