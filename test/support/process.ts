/**
 * Child processes for tests: no shell, always awaited, output kept. Everything started in the background is
 * registered with an owner that ends it by its process id.
 */
import { type ChildProcess, spawn } from 'node:child_process';

/** A machine this many times slower (software emulation: test/support/qemu) gets as much more time. */
const SLOW = Number(process.env.MAPWIRE_SLOW ?? 1);

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Written to standard input, which is empty otherwise. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Milliseconds after which the process is killed and the promise rejects. Default 60,000. */
  readonly timeout?: number;
  /** Reject when the exit code is not 0 (default true). */
  readonly check?: boolean;
}

/** Runs a command to its end. Rejects with all it printed when it fails (unless `check: false`) or takes too long. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [command, ...args] = argv;
  if (command === undefined) throw new TypeError('empty command');
  return new Promise((resolve, reject) => collect(command, args, options, resolve, reject));
}

function collect(
  command: string,
  args: readonly string[],
  options: RunOptions,
  resolve: (result: RunResult) => void,
  reject: (error: Error) => void,
): void {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let stdout = '';
  let stderr = '';
  let late = false;
  const timer = setTimeout(
    () => {
      late = true;
      child.kill('SIGKILL');
    },
    (options.timeout ?? 60_000) * SLOW,
  );
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  child.on('error', (error) => {
    clearTimeout(timer);
    reject(error);
  });
  child.on('close', (code, signal) => {
    clearTimeout(timer);
    const status = code ?? 128;
    if (late || (status !== 0 && options.check !== false)) {
      const why = late ? 'took too long' : signal ? `was ended by ${signal}` : `exited with ${status}`;
      reject(new Error(`${[command, ...args].join(' ')} ${why}\n${stdout}${stderr}`));
    } else {
      resolve({ code: status, stdout, stderr });
    }
  });
}

/** A process in the background whose output can be waited for. */
export class Background {
  readonly child: ChildProcess;
  readonly argv: readonly string[];
  stdout = '';
  stderr = '';
  readonly #exit: Promise<number>;
  #exited: number | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(argv: readonly string[], options: RunOptions = {}) {
    const [command, ...args] = argv;
    if (command === undefined) throw new TypeError('empty command');
    this.argv = argv;
    this.child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.child.stdin?.on('error', () => {});
    if (options.input !== undefined) this.child.stdin?.end(options.input);
    const wake = () => {
      for (const waiter of this.#waiters) waiter();
    };
    this.child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stdout += chunk;
      wake();
    });
    this.child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stderr += chunk;
      wake();
    });
    this.#exit = new Promise((resolve) => {
      const end = (code: number) => {
        this.#exited = code;
        wake();
        resolve(code);
      };
      this.child.on('error', (error) => {
        this.stderr += `${error.message}\n`;
        end(127);
      });
      this.child.on('close', (code) => end(code ?? 128));
    });
  }

  get pid(): number {
    const pid = this.child.pid;
    if (pid === undefined) throw new Error(`${this.argv.join(' ')} did not start: ${this.stderr}`);
    return pid;
  }

  get running(): boolean {
    return this.#exited === undefined;
  }

  /** Resolves with the exit code. */
  exit(): Promise<number> {
    return this.#exit;
  }

  /** Waits until the output matches, or rejects with everything printed so far. */
  async waitFor(pattern: RegExp, timeout = 20_000): Promise<RegExpMatchArray> {
    const until = Date.now() + timeout * SLOW;
    for (;;) {
      const match = (this.stdout + this.stderr).match(pattern);
      if (match) return match;
      const left = until - Date.now();
      if (!this.running || left <= 0) {
        const why = this.running ? 'did not print' : 'ended without printing';
        throw new Error(`${this.argv.join(' ')} ${why} ${pattern}\n${this.stdout}${this.stderr}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, left);
        const waiters = this.#waiters;
        function wake() {
          clearTimeout(timer);
          waiters.delete(wake);
          resolve();
        }
        waiters.add(wake);
      });
    }
  }

  /** Ends it: the signal, then SIGKILL after `grace` milliseconds. Resolves with the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', grace = 5_000): Promise<number> {
    if (this.running) {
      this.child.kill(signal);
      const timer = setTimeout(() => this.child.kill('SIGKILL'), grace * SLOW);
      await this.#exit;
      clearTimeout(timer);
    }
    return this.#exit;
  }
}

/** Polls until `probe` gives something other than undefined or false. Rejects with `what` after `timeout` milliseconds. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  timeout = 30_000,
): Promise<T> {
  const until = Date.now() + timeout * SLOW;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > until) {
      throw new Error(`not within ${timeout} ms: ${what}`, last === undefined ? undefined : { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
