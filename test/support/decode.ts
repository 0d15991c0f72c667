/** What tshark, which nobody here wrote, makes of a capture. */
import { run } from './process.ts';

export interface DecodeOptions {
  /** UDP ports other than the usual ones, by tshark's name of what they carry. */
  readonly ports?: Readonly<Partial<Record<'vxlan' | 'vxlan_gpe' | 'geneve' | 'lisp-data', number>>>;
  /** Display filter: which frames count. */
  readonly filter?: string;
}

export interface Decoded {
  /** Frames by their layers, e.g. `eth ip udp vxlan eth ip icmp data` (without tshark's `ethertype`). */
  readonly layers: ReadonlyMap<string, number>;
  /** Frames that tshark calls malformed or that carry a wrong checksum at any level, as text. */
  readonly faults: readonly string[];
}

const CHECKED = ['ip', 'tcp', 'udp', 'icmp', 'icmpv6', 'gre'] as const;

/** Reads a capture. Guests' own ports are not guessed at: what TCP and UDP carry there is data. */
export async function decode(file: string, { ports = {}, filter }: DecodeOptions = {}): Promise<Decoded> {
  const common = ['-r', file, '-d', 'tcp.port==1024-65535,data', '-d', 'udp.port==20000-48000,data'];
  for (const [layer, port] of Object.entries(ports)) common.push('-d', `udp.port==${port},${layer}`);
  for (const protocol of ['ip', 'tcp', 'udp']) common.push('-o', `${protocol}.check_checksum:TRUE`);
  // Where the sum comes to 0 the stack writes 0xffff for TCP too (CSUM_MANGLED_0), which means the same; tshark minds.
  const wrong = CHECKED.map((protocol) =>
    protocol === 'tcp'
      ? '(tcp.checksum.status == "Bad" && tcp.checksum != 0xffff)'
      : `${protocol}.checksum.status == "Bad"`,
  );
  const only = filter === undefined ? '' : ` && (${filter})`;
  const faults = await run(['tshark', ...common, '-Y', `(_ws.malformed || ${wrong.join(' || ')})${only}`], {
    timeout: 120_000,
  });
  const fields = ['-T', 'fields', '-e', 'frame.protocols', ...(filter === undefined ? [] : ['-Y', filter])];
  const { stdout } = await run(['tshark', ...common, ...fields], { timeout: 120_000 });
  const layers = new Map<string, number>();
  for (const line of stdout.split('\n')) {
    if (line === '') continue;
    const name = line
      .split(':')
      .filter((layer) => layer !== 'ethertype')
      .join(' ');
    layers.set(name, (layers.get(name) ?? 0) + 1);
  }
  return { layers, faults: faults.stdout.split('\n').filter((line) => line.trim() !== '') };
}

/** How many frames begin with these layers. */
export function framesOf({ layers }: Decoded, start: string): number {
  let frames = 0;
  for (const [name, count] of layers) if (`${name} `.startsWith(`${start} `)) frames += count;
  return frames;
}
