/** The ends of a measured path, in one process and namespace: see packets.bpf.c. */
import { readFileSync } from 'node:fs';
import { BpfObject, type Link, type Program, type TcAttachment } from '../src/libbpf/index.ts';
import type { Draw } from './frames.ts';
import { serveJson } from './json-worker.ts';

export type EndCommand =
  | { readonly op: 'sink'; readonly object: string; readonly ifindexes: readonly number[] }
  | { readonly op: 'forward'; readonly object: string; readonly from: number; readonly to: number }
  | {
      readonly op: 'load';
      readonly object: string;
      readonly ifindex: number;
      readonly draw: Draw;
      /** Hex. */
      readonly frame: string;
      readonly expected: number;
    }
  | { readonly op: 'send'; readonly ms: number };

export interface Sent {
  readonly sent: number;
  readonly seconds: number;
  /** What came out. */
  readonly whole: number;
  readonly other: number;
}

const BATCH = 64;
/** Frames between two looks at the clock. */
const CHUNK = 65_536;

/** Bytes of `head` in packets.bpf.c; every frame has them. */
const HEAD = 64;

const kept: (BpfObject | Link | TcAttachment)[] = [];
let sink: BpfObject | undefined;
let generator: BpfObject | undefined;
let data = new Uint8Array();

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

async function load(path: string, constants: Draw, frame?: Uint8Array): Promise<BpfObject> {
  const object = BpfObject.open(new Uint8Array(readFileSync(path)), { name: 'bench' });
  for (const [name, value] of Object.entries(constants)) object.setGlobal(name, u32(value));
  if (frame !== undefined) object.setGlobal('head', frame.slice(0, HEAD));
  return object.load();
}

function program(object: BpfObject, name: string): Program {
  return object.programs.get(name) as Program;
}

function counts(): { whole: number; other: number } {
  const value = sink!.maps.get('seen')!.lookup(u32(0)) as Uint8Array;
  const words = new BigUint64Array(value.slice().buffer);
  let whole = 0n;
  let other = 0n;
  for (let i = 0; i < words.length; i += 2) {
    whole += words[i]!;
    other += words[i + 1]!;
  }
  return { whole: Number(whole), other: Number(other) };
}

async function send(ms: number): Promise<Sent> {
  const before = counts();
  const start = performance.now();
  let sent = 0;
  do {
    await program(generator!, 'generate').testRunAsync({ data, repeat: CHUNK, liveFrames: true, batchSize: BATCH });
    sent += CHUNK;
  } while (performance.now() - start < ms);
  const seconds = (performance.now() - start) / 1000;
  // What still is in a queue belongs to it: a few hundred frames.
  await new Promise((done) => setTimeout(done, 5));
  const after = counts();
  return { sent, seconds, whole: after.whole - before.whole, other: after.other - before.other };
}

await serveJson(async (command: EndCommand) => {
  switch (command.op) {
    case 'sink': {
      sink = await load(command.object, {});
      kept.push(sink);
      for (const ifindex of command.ifindexes) {
        kept.push(await program(sink, 'sink').attachXdp({ ifindex, mode: 'native' }));
        kept.push(await program(sink, 'late_sink').attachTc({ ifindex, direction: 'ingress' }));
      }
      return;
    }
    case 'forward': {
      const object = await load(command.object, {});
      kept.push(object);
      object.maps.get('to')!.update(u32(0), u32(command.to));
      kept.push(await program(object, 'forward').attachXdp({ ifindex: command.from, mode: 'native' }));
      return program(object, 'forward').id;
    }
    case 'load': {
      generator?.close();
      data = new Uint8Array(Buffer.from(command.frame, 'hex'));
      generator = await load(command.object, command.draw, data);
      generator.maps.get('to')!.update(u32(0), u32(command.ifindex));
      sink!.maps.get('expected')!.update(u32(0), u32(command.expected));
      return;
    }
    case 'send':
      return send(command.ms);
  }
});
generator?.close();
for (const one of kept.reverse()) one.close();
