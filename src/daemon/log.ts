/** The daemon's log: JSON lines for a journal, short lines for a terminal. Both go to stderr. */

import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger };

const WORDS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' };
const HIDDEN = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'hint', 'err']);

/** One line of JSON as a short line: time, level, message, the other fields. Exported for its test. */
export function shortLine(json: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return json;
  }
  const time = new Date(Number(entry.time)).toISOString().slice(11, 23);
  const rest = Object.entries(entry)
    .filter(([key, value]) => !HIDDEN.has(key) && value !== undefined && value !== null)
    .map(([key, value]) => ` ${key}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
  const hint = typeof entry.hint === 'string' ? `\n  hint: ${entry.hint}` : '';
  return `${time} ${(WORDS[Number(entry.level)] ?? 'log').padEnd(5)} ${String(entry.msg)}${rest.join('')}${hint}\n`;
}

/** Where lines go, as they are. */
export interface LineSink {
  write(text: string): unknown;
}

export function makeLogger(level: string, stream: LineSink, pretty: boolean): Logger {
  const destination: DestinationStream = {
    write: (line) => {
      stream.write(pretty ? shortLine(line) : line);
    },
  };
  return pino({ level, base: { pid: process.pid } }, destination);
}
