/**
 * One end of a measured path: drops what arrives, and sends frames by live test runs. Commands are JSON lines; it runs compiled,
 * inside a network namespace.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { BpfObject, type Link, type Program } from '../src/libbpf/index.ts';

export type EndCommand =
  | { readonly op: 'drop'; readonly object: string; readonly ifindex: number }
  | {
      readonly op: 'load';
      readonly object: string;
      readonly ifindex: number;
      readonly macAt: number;
      readonly ipAt: number;
      readonly entries: number;
    }
  | { readonly op: 'send'; readonly frame: string; readonly count: number }
  | { readonly op: 'forward'; readonly object: string; readonly from: number; readonly to: number };

const kept: (BpfObject | Link)[] = [];
let generator: Program | undefined;
const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

async function load(
  path: string,
  constants: Record<string, number>,
  target: number | undefined,
): Promise<ReadonlyMap<string, Program>> {
  const object = BpfObject.open(new Uint8Array(readFileSync(path)), { name: 'cost' });
  for (const [name, value] of Object.entries(constants)) object.setGlobal(name, u32(value));
  await object.load();
  kept.push(object);
  if (target !== undefined) object.maps.get('to')!.update(u32(0), u32(target));
  return object.programs;
}

async function run(command: EndCommand): Promise<unknown> {
  switch (command.op) {
    case 'drop': {
      const programs = await load(command.object, {}, undefined);
      kept.push(await programs.get('drop_all_but_arp')!.attachXdp({ ifindex: command.ifindex, mode: 'native' }));
      return {};
    }
    case 'forward': {
      const programs = await load(command.object, {}, command.to);
      const program = programs.get('redirect')!;
      kept.push(await program.attachXdp({ ifindex: command.from, mode: 'native' }));
      return { id: program.id };
    }
    case 'load': {
      const { macAt, ipAt, entries } = command;
      const programs = await load(command.object, { mac_at: macAt, ip_at: ipAt, entries }, command.ifindex);
      generator = programs.get('generate');
      return {};
    }
    case 'send': {
      const start = performance.now();
      const data = new Uint8Array(Buffer.from(command.frame, 'hex'));
      await generator!.testRunAsync({ data, repeat: command.count, liveFrames: true, batchSize: 64 });
      return { seconds: (performance.now() - start) / 1000 };
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as EndCommand))}\n`);
}
for (const one of kept.reverse()) one.close();
