/** pcapng files (draft-ietf-opsawg-pcapng) of test frames, for tshark and wireshark: one interface a device. */
import { writeFileSync } from 'node:fs';

export interface CapturedFrame {
  readonly device: string;
  readonly frame: Uint8Array;
  /** Shown by wireshark beside the packet. */
  readonly comment?: string;
}

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const LINKTYPE_ETHERNET = 1;
const OPTION_COMMENT = 1;
const OPTION_INTERFACE_NAME = 2;

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}

function block(type: number, body: Buffer): Buffer {
  const length = 12 + body.length;
  const head = Buffer.alloc(8);
  head.writeUInt32LE(type, 0);
  head.writeUInt32LE(length, 4);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(length, 0);
  return Buffer.concat([head, body, tail]);
}

function option(code: number, text: string): Buffer {
  const value = Buffer.from(text);
  const head = Buffer.alloc(4);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(value.length, 2);
  return Buffer.concat([head, padded(value)]);
}

/** The file's bytes. Frames keep their order; times are their numbers, in microseconds. */
export function pcapng(frames: readonly CapturedFrame[]): Buffer {
  const section = Buffer.alloc(16);
  section.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
  section.writeUInt16LE(1, 4);
  section.writeBigInt64LE(-1n, 8);
  const blocks = [block(SECTION_HEADER, section)];
  const devices = [...new Set(frames.map(({ device }) => device))];
  const end = Buffer.alloc(4);
  for (const device of devices) {
    const description = Buffer.alloc(8);
    description.writeUInt16LE(LINKTYPE_ETHERNET, 0);
    blocks.push(block(INTERFACE_DESCRIPTION, Buffer.concat([description, option(OPTION_INTERFACE_NAME, device), end])));
  }
  frames.forEach(({ device, frame, comment }, index) => {
    const head = Buffer.alloc(20);
    head.writeUInt32LE(devices.indexOf(device), 0);
    head.writeUInt32LE(index, 8);
    head.writeUInt32LE(frame.length, 12);
    head.writeUInt32LE(frame.length, 16);
    const options = comment === undefined ? Buffer.alloc(0) : Buffer.concat([option(OPTION_COMMENT, comment), end]);
    blocks.push(block(ENHANCED_PACKET, Buffer.concat([head, padded(frame), options])));
  });
  return Buffer.concat(blocks);
}

export function writePcapng(path: string, frames: readonly CapturedFrame[]): void {
  writeFileSync(path, pcapng(frames));
}
