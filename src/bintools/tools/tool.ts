import { $, ProcessOutput } from 'zx';
import { MapwireError } from '../../errors.ts';

/** An external tool found on this machine. Build and test only: nothing the daemon runs imports this folder. */
export interface Tool {
  /** What was run, e.g. `clang-19`. */
  readonly command: string;
  /** Major version; 0 when the tool does not say. */
  readonly version: number;
}

export interface ToolSearch {
  /** For messages: `clang`. */
  readonly name: string;
  /** Environment variable that, when set, names the command to use. */
  readonly variable: string;
  /** Commands to try, best first. */
  readonly candidates: readonly string[];
  /** Oldest major version that will do. */
  readonly minimum: number;
  /** Debian and Ubuntu packages that hold it. */
  readonly packages: string;
}

const found = new Map<string, Promise<Tool>>();

/**
 * The first candidate that runs and is new enough; looked for once a process. Throws ERR_MW_TOOL, with the package to
 * install, when there is none.
 */
export function findTool(search: ToolSearch): Promise<Tool> {
  const chosen = process.env[search.variable];
  const candidates = chosen ? [chosen] : search.candidates;
  const key = `${search.name} ${candidates.join(' ')}`;
  let tool = found.get(key);
  if (!tool) {
    tool = probe(search, candidates);
    found.set(key, tool);
  }
  return tool;
}

async function probe(search: ToolSearch, candidates: readonly string[]): Promise<Tool> {
  const seen: string[] = [];
  for (const command of candidates) {
    const output = await execute(command, ['--version']);
    if (output.exitCode !== 0) continue;
    const version = Number(/version v?(\d+)|\bv(\d+)\.\d+/i.exec(output.stdout)?.slice(1).find(Boolean) ?? 0);
    if (version >= search.minimum) return { command, version };
    seen.push(`${command} is version ${version}`);
  }
  const problem = seen.length > 0 ? `too old (${seen.join(', ')})` : `not found (tried ${candidates.join(', ')})`;
  throw new MapwireError('ERR_MW_TOOL', `${search.name} ${search.minimum} or newer is needed: ${problem}`, {
    hint: `apt install ${search.packages}, or set ${search.variable} to the command`,
    details: { tool: search.name, tried: candidates },
  });
}

/** Runs a tool without a shell seeing its arguments; never throws for its exit status. */
export async function execute(command: string, args: readonly string[], cwd?: string): Promise<ProcessOutput> {
  try {
    return await $({
      quiet: true,
      nothrow: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd ? { cwd } : {}),
    })`${command} ${args}`;
  } catch (error) {
    if (error instanceof ProcessOutput) return error;
    throw new MapwireError('ERR_MW_TOOL', `${command} cannot be run: ${String(error)}`, { cause: error });
  }
}

/** Runs a tool and gives its output. Throws ERR_MW_TOOL with what it said when it fails. */
export async function run(tool: Tool, args: readonly string[], cwd?: string): Promise<string> {
  const output = await execute(tool.command, args, cwd);
  if (output.exitCode !== 0) {
    const said = output.stderr.trim() || output.stdout.trim() || 'it said nothing';
    throw new MapwireError('ERR_MW_TOOL', `${tool.command} failed with status ${output.exitCode}:\n${said}`, {
      details: { tool: tool.command, args, exitCode: output.exitCode, output: said },
    });
  }
  return output.stdout;
}
