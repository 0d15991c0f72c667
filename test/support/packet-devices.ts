/**
 * Network devices for test runs of the programs: `BPF_PROG_TEST_RUN` takes a frame's device from the caller's own network
 * namespace, and Node cannot change its namespace; so they are made there, with names of this process: veths, both ends of
 * a pair as devices of their own (not every kernel has dummies). They carry no address and no IPv6, so that the kernel sends
 * nothing by them on its own.
 */
import { existsSync, readdirSync } from 'node:fs';
import { run } from './process.ts';

const PREFIX = 'mwpk';
const NAME = /^mwpk(\d+)x\d+$/;

export interface TestDevice {
  readonly name: string;
  readonly ifindex: number;
}

export class PacketDevices implements AsyncDisposable {
  readonly devices: readonly TestDevice[];

  private constructor(devices: readonly TestDevice[]) {
    this.devices = devices;
  }

  /** Makes as many. Removes those that a process which is no more has left. */
  static async make(count: number): Promise<PacketDevices> {
    await removeLeftovers();
    const names = Array.from({ length: count + (count % 2) }, (_, i) => `${PREFIX}${process.pid}x${i}`);
    const pairs = names.flatMap((name, i) =>
      i % 2 === 0 ? [`link add ${name} type veth peer name ${names[i + 1]}`] : [],
    );
    await batch([
      ...pairs,
      ...names.flatMap((name) => [`link set ${name} mtu 9500 addrgenmode none`, `link set ${name} up`]),
    ]);
    const list = JSON.parse((await run(['ip', '-json', 'link', 'show', 'type', 'veth'])).stdout) as {
      ifname: string;
      ifindex: number;
    }[];
    const byName = new Map(list.map(({ ifname, ifindex }) => [ifname, ifindex]));
    return new PacketDevices(names.map((name) => ({ name, ifindex: byName.get(name)! })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removePairs(this.devices.map(({ name }) => name));
  }
}

async function removeLeftovers(): Promise<void> {
  const left = readdirSync('/sys/class/net').filter((name) => {
    const pid = NAME.exec(name)?.[1];
    return pid !== undefined && (Number(pid) === process.pid || !existsSync(`/proc/${pid}`));
  });
  await removePairs(left);
}

/** One end takes the other with it: the ends with even numbers are enough. */
async function removePairs(names: readonly string[]): Promise<void> {
  await batch(names.filter((name) => Number(name.split('x').at(-1)) % 2 === 0).map((name) => `link del ${name}`));
}

async function batch(lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await run(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
