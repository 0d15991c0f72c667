/** Reads the configuration file, lays the flags over it, and reports every mistake where it stands. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { ZodType } from 'zod';
import { MapwireError } from '../errors.ts';
import { distrusts, readTrustedFile } from '../safe-file.ts';
import { excerptOf } from '../table/diagnostics.ts';
import { nearest } from '../table/suggest.ts';
import { CONFIG_KEYS, CONFIG_SHAPE, type Config, type ConfigKey, type Place, PORT_KEYS } from './config-schema.ts';

export const DEFAULT_CONFIG_FILE = '/etc/mapwire/mapwire.yaml';

/** A mistake of the configuration; line 0: a flag, or the file as a whole. */
export interface ConfigMistake {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint: string | undefined;
  /** The line it is about. */
  readonly text: string | undefined;
}

/** Values by key, not yet checked; from the file they come with their place. */
export type RawConfig = Readonly<Partial<Record<ConfigKey, unknown>>>;

const MAX_SIZE = 1 << 20;

/** `mapwire.yaml:3:7: error: …` with the line and a caret. */
export function formatConfigMistake(mistake: ConfigMistake): string {
  const place = mistake.line === 0 ? mistake.file : `${mistake.file}:${mistake.line}:${mistake.column}`;
  const lines = [`${place}: error: ${mistake.message}`];
  if (mistake.text !== undefined && mistake.line > 0) {
    const excerpt = excerptOf(mistake.text, mistake.column);
    const number = String(mistake.line);
    const indent = excerpt.text.slice(0, excerpt.column - 1).replace(/[^\t]/g, ' ');
    lines.push(` ${number} | ${excerpt.text}`, ` ${' '.repeat(number.length)} | ${indent}^`);
  }
  if (mistake.hint !== undefined) lines.push(`  hint: ${mistake.hint}`);
  return lines.join('\n');
}

class Reader {
  readonly mistakes: ConfigMistake[] = [];
  readonly #file: string;
  readonly #text: string;
  readonly #counter = new LineCounter();

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
  }

  mistake(message: string, at?: { offset?: number | undefined; hint?: string | undefined }): void {
    const position = at?.offset === undefined ? { line: 0, col: 0 } : this.#counter.linePos(at.offset);
    this.mistakes.push({
      file: this.#file,
      line: position.line,
      column: position.col,
      message,
      hint: at?.hint,
      text: position.line === 0 ? undefined : this.#text.split('\n')[position.line - 1],
    });
  }

  /** Values and the places of keys and values. */
  read(): Map<ConfigKey, { value: unknown; offset: number | undefined }> {
    const values = new Map<ConfigKey, { value: unknown; offset: number | undefined }>();
    const document = parseDocument(this.#text, { lineCounter: this.#counter, prettyErrors: false, uniqueKeys: true });
    for (const problem of [...document.errors, ...document.warnings])
      this.mistake(problem.message, { offset: problem.pos[0] });
    if (this.mistakes.length > 0) return values;
    const root = document.contents;
    if (root === null || (isScalar(root) && root.value === null)) return values;
    if (!isMap(root)) {
      this.mistake("the configuration must be a mapping of keys, such as 'node: host-a'", { offset: root.range?.[0] });
      return values;
    }
    for (const pair of root.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : undefined;
      const offset = (pair.key as Node).range?.[0];
      if (key === undefined || !(CONFIG_KEYS as readonly string[]).includes(key)) {
        const meant = key === undefined ? undefined : nearest(key, CONFIG_KEYS);
        const hint = meant === undefined ? `the keys are: ${CONFIG_KEYS.join(', ')}` : `did you mean '${meant}'?`;
        this.mistake(key === undefined ? 'a key must be a word' : `unknown key '${key}'`, { offset, hint });
        continue;
      }
      const node = pair.value as Node | null;
      const value = node === null ? null : node.toJS(document, { maxAliasCount: 0 });
      values.set(key as ConfigKey, { value, offset: node?.range?.[0] ?? offset });
    }
    return values;
  }
}

export interface LoadOptions {
  /** The file; undefined: the default file when it exists. */
  readonly file?: string | undefined;
  /** Values of flags, as text or as the flag's parser made them; they win over the file. */
  readonly flags?: RawConfig;
  /** Keys that must be there. */
  readonly required: readonly ConfigKey[];
}

function configError(mistakes: readonly ConfigMistake[]): MapwireError {
  return new MapwireError('ERR_MW_CONFIG', mistakes.map(formatConfigMistake).join('\n'), { details: { mistakes } });
}

function readText(file: string): string {
  let bytes: Buffer;
  try {
    bytes = distrusts() ? readTrustedFile(file) : readFileSync(file);
  } catch (cause) {
    if (cause instanceof MapwireError) throw cause;
    throw new MapwireError('ERR_MW_CONFIG', `${file}: error: cannot be read: ${(cause as Error).message}`, {
      hint: 'name the configuration with --config FILE, or give the settings as flags (see docs/configuration.md)',
      cause,
    });
  }
  if (bytes.length > MAX_SIZE) throw new MapwireError('ERR_MW_CONFIG', `${file}: error: larger than 1 MiB`);
  return bytes.toString('utf8');
}

/**
 * The settings in force: defaults, then the file, then flags. All mistakes are reported at once.
 *
 * @throws ERR_MW_CONFIG with `details.mistakes`; ERR_MW_UNSAFE_FILE when root runs and others can change the file.
 */
export function loadConfig(options: LoadOptions): Place {
  const file = options.file ?? (existsSync(DEFAULT_CONFIG_FILE) ? DEFAULT_CONFIG_FILE : undefined);
  const reader = new Reader(file ?? 'configuration', file === undefined ? '' : readText(file));
  const values = reader.read();
  const folder = file === undefined ? process.cwd() : dirname(resolve(file));
  const result: Partial<Record<ConfigKey, unknown>> = {};
  const isGiven = (key: ConfigKey): boolean => options.flags?.[key] !== undefined || values.has(key);
  const mistake = (key: ConfigKey, message: string): void => {
    if (options.flags?.[key] === undefined) reader.mistake(message, { offset: values.get(key)?.offset });
    else reader.mistakes.push({ file: `--${key}`, line: 0, column: 0, message, hint: undefined, text: undefined });
  };
  for (const key of CONFIG_KEYS) {
    const flag = options.flags?.[key];
    const written = values.get(key);
    let value = flag ?? written?.value;
    // A relative path is relative to where it is written.
    if (['table', 'pin-dir', 'state-dir', 'socket'].includes(key) && typeof value === 'string' && value !== '')
      value = resolve(flag === undefined ? folder : process.cwd(), value);
    if (value === undefined && options.required.includes(key)) {
      reader.mistake(`'${key}' is missing`, { hint: `add '${key}: …' to the file, or give --${key}` });
      continue;
    }
    const schema: ZodType = CONFIG_SHAPE[key];
    const parsed = schema.safeParse(value);
    if (parsed.success) {
      result[key] = parsed.data;
      continue;
    }
    if (value === undefined) continue;
    mistake(key, parsed.error.issues[0]?.message ?? `'${key}' is wrong`);
  }
  for (const [i, key] of PORT_KEYS.entries()) {
    const other = PORT_KEYS.slice(0, i).find((before) => result[before] === result[key] && result[key] !== undefined);
    // The mistake stands where it was made: a default makes none.
    if (other !== undefined) {
      const [here, there] = isGiven(key) ? [key, other] : [other, key];
      mistake(here, `'${here}' and '${there}' are the same UDP port: nothing tells the tunnels apart`);
    }
  }
  if (reader.mistakes.length > 0) throw configError(reader.mistakes);
  return {
    ...(result.node === undefined ? {} : { node: result.node as string }),
    ...(result.table === undefined ? {} : { table: result.table as string }),
    ...(result.underlay === undefined ? {} : { underlay: result.underlay as Config['underlay'] }),
    pinDir: result['pin-dir'] as string,
    stateDir: result['state-dir'] as string,
    socket: result.socket as string,
    hook: result.hook as Config['hook'],
    guard: result.guard as Config['guard'],
    layout: result.layout as Config['layout'],
    unknownSegment: result['unknown-segment'] as Config['unknownSegment'],
    guardGraceMs: result['guard-grace'] as number,
    returnPolicy: result.return as Config['returnPolicy'],
    probe: result.probe as Config['probe'],
    probeIntervalMs: result['probe-interval'] as number,
    probeMultiplier: result['probe-multiplier'] as number,
    probeHops: result['probe-hops'] as number,
    restartHoldMs: result['restart-hold'] as number,
    vxlanPort: result['vxlan-port'] as number,
    gpePort: result['gpe-port'] as number,
    genevePort: result['geneve-port'] as number,
    lispPort: result['lisp-port'] as number,
    ttl: result.ttl as number,
    dscp: result.dscp as Config['dscp'],
    floodRate: result['flood-rate'] as number,
    tooBigRate: result['too-big-rate'] as number,
    specialise: result.specialise as Config['specialise'],
    logLevel: result['log-level'] as Config['logLevel'],
  };
}

/** `loadConfig` for the daemon: everything must be there. */
export function loadDaemonConfig(options: Omit<LoadOptions, 'required'>): Config {
  return loadConfig({ ...options, required: ['node', 'table', 'underlay'] }) as Config;
}
