/**
 * The place of a measurement: the host that is measured, in a namespace of its own, and everything around it in a second one.
 *
 *     outside: guest ── veth ── port  [here]  eth0 ── veth ── wire :outside
 */
import type { Lab, Namespace } from '../test/support/hosts.ts';
import { HOST, LOCAL, nodeAddress, WIRE_MAC } from './addressing.ts';
import { type Direction, type Encap, traffic } from './frames.ts';
import { JsonWorker } from './json-worker.ts';
import type { EndCommand, Sent } from './packet-end.ts';

/** Frames are sent and everything that follows in the kernel is done on this one. */
function lastCpu(): number {
  return Number(process.env.MAPWIRE_BENCH_CPU ?? 1);
}

export interface Stream {
  readonly direction: Direction;
  readonly encap: Encap;
  readonly size: number;
  readonly endpoints: number;
}

export class Site {
  readonly here: Namespace;
  readonly outside: Namespace;
  /** Indexes of the devices. */
  readonly devices: Readonly<Record<'port' | 'eth0' | 'guest' | 'wire', number>>;
  /** packets.bpf.c, compiled. */
  readonly object: string;
  readonly #end: JsonWorker;
  readonly #lab: Lab;
  #loaded = '';

  private constructor(lab: Lab, here: Namespace, outside: Namespace, devices: Site['devices'], object: string) {
    this.#lab = lab;
    this.here = here;
    this.outside = outside;
    this.devices = devices;
    this.object = object;
    this.#end = new JsonWorker(outside, 'packet-end.js', ['taskset', '-c', `${lastCpu()}`]);
  }

  /**
   * @param object packets.bpf.c, compiled
   * @param nodes so many neighbours on the wire are known for good
   * @param sinks whether what comes out is dropped and counted; else sockets see it
   */
  static async build(lab: Lab, name: string, object: string, nodes: number, sinks = true): Promise<Site> {
    const [here, outside] = [await lab.namespace(`${name}-here`), await lab.namespace(`${name}-out`)];
    for (const namespace of [here, outside]) await namespace.sysctl({ 'net.ipv6.conf.default.disable_ipv6': 1 });
    await here.ip(
      `link add port type veth peer name guest address ${LOCAL.mac} netns ${outside.name}`,
      `link add eth0 mtu 1500 address ${HOST.mac} type veth peer name wire address ${WIRE_MAC} netns ${outside.name}`,
      `addr add ${HOST.address}/24 dev eth0`,
      'link set port up',
      'link set eth0 up',
      ...Array.from(
        { length: nodes },
        (_, node) => `neigh add ${nodeAddress(node)} lladdr ${WIRE_MAC} dev eth0 nud permanent`,
      ),
    );
    await outside.ip('link set guest up', 'link set wire up');
    // A veth takes redirected frames only if its receiving end has NAPI: an XDP program, or this.
    for (const device of ['port', 'eth0']) await here.offload(device, { gro: 'on' });
    const devices = {
      port: await indexOf(here, 'port'),
      eth0: await indexOf(here, 'eth0'),
      guest: await indexOf(outside, 'guest'),
      wire: await indexOf(outside, 'wire'),
    };
    const site = new Site(lab, here, outside, devices, object);
    if (sinks) await site.#ask({ op: 'sink', object, ifindexes: [devices.guest, devices.wire] });
    else for (const device of ['guest', 'wire']) await outside.offload(device, { gro: 'on' });
    return site;
  }

  #ask<T>(command: EndCommand): Promise<T> {
    return this.#end.ask<T>(command);
  }

  /** Puts a stream through for at least `ms` milliseconds. `unchanged`: frames come out as they went in. */
  async send(stream: Stream, ms: number, unchanged = false): Promise<Sent> {
    const name = JSON.stringify(stream);
    if (this.#loaded !== name) {
      const { bytes, draw, expected } = traffic(stream.direction, stream.encap, stream.size, stream.endpoints);
      const ifindex = stream.direction === 'encap' ? this.devices.guest : this.devices.wire;
      await this.#ask({
        op: 'load',
        object: this.object,
        ifindex,
        draw,
        frame: Buffer.from(bytes).toString('hex'),
        expected: unchanged ? bytes.length : expected,
      });
      this.#loaded = name;
    }
    return this.#ask<Sent>({ op: 'send', ms });
  }

  /** A worker beside the devices of the host. */
  hereWorker(): JsonWorker {
    return new JsonWorker(this.here, 'packet-end.js');
  }

  /** Takes both namespaces down, before the lab goes. */
  async remove(): Promise<void> {
    await this.#end.close();
    for (const namespace of [this.here, this.outside]) await this.#lab.remove(namespace);
  }
}

export async function indexOf(namespace: Namespace, device: string): Promise<number> {
  const { stdout } = await namespace.run(['ip', '-j', 'link', 'show', device]);
  return (JSON.parse(stdout) as { ifindex: number }[])[0]!.ifindex;
}
