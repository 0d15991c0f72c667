/** A Mapwire instance on a host of the lab: its configuration, its daemon, its commands. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Namespace } from './hosts.ts';
import { support } from './hosts.ts';
import { type Background, eventually, type RunOptions, type RunResult, run } from './process.ts';

/** The launcher of a built checkout. */
export const launcher = join(support, '../../bin/mapwire');

/** `MAPWIRE_LAYOUT=compact`: of all instances whose test says nothing else. */
const LAYOUT = process.env.MAPWIRE_LAYOUT;

export interface MapwireOptions {
  readonly node: string;
  /** Path of the table. */
  readonly table: string;
  readonly hook?: 'auto' | 'xdp' | 'tc';
  readonly guard?: 'full' | 'mac' | 'off';
  readonly underlay?: readonly string[];
  /** More lines of the configuration file. */
  readonly extra?: string;
  /** Another launcher, e.g. of an older build. */
  readonly launcher?: string;
}

export class Mapwire {
  readonly host: Namespace;
  readonly pinDir: string;
  readonly stateDir: string;
  readonly socket: string;
  readonly config: string;
  /** The launcher in use; undefined is this checkout's. */
  launcher: string | undefined;
  daemon: Background | undefined;
  #wrapped = false;

  private constructor(host: Namespace, folder: string, from: string | undefined) {
    this.host = host;
    this.pinDir = `/sys/fs/bpf/${host.name}`;
    this.stateDir = join(folder, 'state');
    this.socket = join(folder, 'mapwire.sock');
    this.config = join(folder, 'mapwire.yaml');
    this.launcher = from;
  }

  /** Writes the configuration; starts nothing. */
  static async configure(host: Namespace, options: MapwireOptions): Promise<Mapwire> {
    const mapwire = new Mapwire(host, await host.lab.folder(), options.launcher);
    await mkdir(mapwire.stateDir, { mode: 0o700 });
    const lines = [
      `node: ${options.node}`,
      `table: ${options.table}`,
      `underlay: [${(options.underlay ?? ['eth0']).join(', ')}]`,
      `pin-dir: ${mapwire.pinDir}`,
      `state-dir: ${mapwire.stateDir}`,
      `socket: ${mapwire.socket}`,
      `hook: ${options.hook ?? 'auto'}`,
      `guard: ${options.guard ?? 'full'}`,
      options.extra ?? '',
      ...(LAYOUT === undefined || options.extra?.includes('layout:') ? [] : [`layout: ${LAYOUT}`]),
    ];
    await writeFile(mapwire.config, `${lines.join('\n')}\n`, { mode: 0o600 });
    return mapwire;
  }

  /** Starts the daemon and waits for `ready`. */
  static async start(host: Namespace, options: MapwireOptions): Promise<Mapwire> {
    const mapwire = await Mapwire.configure(host, options);
    host.lab.atClose(() => mapwire.down());
    await mapwire.run();
    return mapwire;
  }

  /** `mapwire run`, in the background; waits for `ready` unless told not to. */
  async run(ready = true, prefix: readonly string[] = []): Promise<Background> {
    this.#wrapped = prefix.length > 0;
    this.daemon = this.host.start([
      ...prefix,
      process.execPath,
      this.launcher ?? launcher,
      'run',
      '--config',
      this.config,
    ]);
    if (ready) await this.daemon.waitFor(/\bready\b/);
    return this.daemon;
  }

  /** Runs a command of this instance. */
  command(argv: readonly string[], options?: RunOptions & { prefix?: readonly string[] }): Promise<RunResult> {
    return this.host.run([...(options?.prefix ?? []), process.execPath, this.launcher ?? launcher, ...argv], options);
  }

  /** Runs a command with `--json` against the daemon and parses what it prints. */
  async json<T>(command: string, ...rest: string[]): Promise<T> {
    const { stdout } = await this.command([command, ...rest, '--json', '--config', this.config]);
    return JSON.parse(stdout) as T;
  }

  /** The revision that is in force in the kernel. */
  async applied(): Promise<number> {
    return (await this.json<{ revision: { applied: number } }>('status')).revision.applied;
  }

  /** Waits until a revision later than `before` is in force. */
  async appliedAfter(before: number, timeout = 15_000): Promise<number> {
    return eventually(
      `a revision after ${before} is in force on ${this.host.name}`,
      async () => {
        const now = await this.applied();
        return now > before && now;
      },
      timeout,
    );
  }

  /** Waits until what a daemon does after `ready` is done: programs that are made for the plan. */
  async settled(timeout = 60_000): Promise<void> {
    await eventually(
      'programs are made for the plan',
      async () => {
        const status = await this.json<{ dataplane: { programs?: { made: string } } }>('status');
        return status.dataplane.programs?.made !== 'meanwhile';
      },
      timeout,
    );
    await new Promise((done) => setTimeout(done, 500));
  }

  /** One request to the daemon's API. */
  api(method: string, path: string, body?: string): Promise<{ readonly status: number; readonly text: string }> {
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.socket, method, path }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      });
      call.on('error', reject);
      call.end(body);
    });
  }

  /** Ends the daemon with a signal; the data plane goes on. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | undefined> {
    if (this.#wrapped && this.daemon?.running) {
      // strace holds signals back from itself: the daemon is told by its own process id.
      const { pid } = await this.json<{ pid: number }>('status');
      process.kill(pid, signal);
      return this.daemon.exit();
    }
    return this.daemon?.stop(signal, 10_000);
  }

  /** `mapwire down`: whatever state this instance is in, nothing of it is left. */
  async down(): Promise<void> {
    if (existsSync(`/run/netns/${this.host.name}`)) {
      const { code } = await this.command(['down', '--config', this.config], { check: false });
      // The daemon is gone then; what it ran under may take a little longer.
      if (this.#wrapped && code === 0) await this.daemon?.exit();
    }
    await this.stop();
  }

  /** Programs that run on devices, by attachment (`tc-7`, `xdp-7`): their ids, as bpftool sees them. */
  async attachedPrograms(): Promise<Map<string, number>> {
    const ids = new Map<string, number>();
    for (const path of await this.pinned()) {
      const [, name] = /\/links\/((?:tc|xdp)-\d+)$/.exec(path) ?? [];
      if (name === undefined) continue;
      const { stdout } = await run(['bpftool', '-j', 'link', 'show', 'pinned', path]);
      const [link] = [JSON.parse(stdout)].flat() as [{ prog_id: number }];
      ids.set(name, link.prog_id);
    }
    return ids;
  }

  /** Paths pinned by this instance. */
  async pinned(): Promise<string[]> {
    if (!existsSync(this.pinDir)) return [];
    const { stdout } = await run(['find', this.pinDir, '-mindepth', '1']);
    return stdout.split('\n').filter((line) => line !== '');
  }
}
