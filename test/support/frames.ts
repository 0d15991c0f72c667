/** Frames as they are: sent by a packet socket, captured and read back. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { compiled } from './compiled.ts';
import type { Namespace } from './hosts.ts';
import type { Background } from './process.ts';
import { capture } from './traffic.ts';

const SLOW = Number(process.env.MAPWIRE_SLOW ?? 1);

/** Bytes of a frame that a capture keeps: all of any frame on a wire of 1500. */
const LENGTH = 2048;

export interface SendOptions {
  /** Frames in all; the given ones are sent in turn. Default: each once. */
  readonly count?: number;
  /** Frames a second; 0: as fast as it goes. */
  readonly rate?: number;
  /** Where the frame's number is written, 32 bits in network order; 0: nowhere. */
  readonly numberAt?: number;
}

/** Starts to send frames from a device. */
export async function startFrames(
  from: Namespace,
  device: string,
  frames: readonly Uint8Array[],
  { count = frames.length, rate = 0, numberAt = 0 }: SendOptions = {},
): Promise<Background> {
  const input = frames.map((frame) => Buffer.from(frame).toString('hex')).join('\n');
  return from.start([await compiled('frame-send'), device, String(count), String(rate), String(numberAt)], {
    input: `${input}\n`,
  });
}

/** Sends frames from a device and waits for the last. */
export async function sendFrames(
  from: Namespace,
  device: string,
  frames: readonly Uint8Array[],
  options?: SendOptions,
): Promise<string> {
  const sending = await startFrames(from, device, frames, options);
  if ((await sending.exit()) !== 0) throw new Error(`frame-send: ${sending.stderr}`);
  return sending.stdout;
}

export interface Captured {
  /** Seconds since 1970. */
  readonly time: number;
  readonly frame: Buffer;
}

/** Frames of a capture file of tcpdump (pcap, little-endian, microseconds; a tag beside the frame is in it again). */
export function readCapture(file: Buffer): Captured[] {
  if (file.length < 24) return [];
  if (file.readUInt32LE(0) !== 0xa1b2c3d4) throw new Error('not a capture file of tcpdump');
  const frames: Captured[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const length = file.readUInt32LE(at + 8);
    if (at + 16 + length > file.length) break;
    frames.push({
      time: file.readUInt32LE(at) + file.readUInt32LE(at + 4) / 1e6,
      frame: file.subarray(at + 16, at + 16 + length),
    });
    at += 16 + length;
  }
  return frames;
}

/** A capture that is read back as frames. */
export class FrameCapture {
  readonly file: string;
  readonly #process: Background;

  private constructor(file: string, process: Background) {
    this.file = file;
    this.#process = process;
  }

  /** @param direction not by the filter's word `inbound`, with which the first frame goes missing */
  static async start(
    namespace: Namespace,
    device: string,
    filter = '',
    direction: 'in' | 'out' | 'inout' = 'inout',
  ): Promise<FrameCapture> {
    const file = join(await namespace.lab.folder(), `${device}.pcap`);
    return new FrameCapture(file, await capture(namespace, device, file, filter, LENGTH, direction));
  }

  /** Waits until nothing more comes for `quiet` milliseconds (but not forever), ends the capture and gives its frames. */
  async stop(quiet = 250): Promise<Captured[]> {
    let size = -1;
    for (let round = 0; round < 20; round++) {
      await new Promise((resolve) => setTimeout(resolve, quiet * SLOW));
      const now = (await stat(this.file)).size;
      if (now === size) break;
      size = now;
    }
    await this.#process.stop('SIGINT');
    const lost = /(\d+) packets? dropped by kernel/.exec(this.#process.stderr)?.[1];
    if (lost !== undefined && lost !== '0') throw new Error(`the capture itself lost ${lost} packets`);
    return readCapture(await readFile(this.file));
  }
}
