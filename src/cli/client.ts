/** Requests to the daemon's API on its unix socket. */
import { request } from 'node:http';
import { ERRORS, type ErrorCode, MapwireError } from '../errors.ts';

interface ErrorBody {
  readonly error?: {
    readonly code?: string;
    readonly message?: string;
    readonly hint?: string;
    readonly details?: Readonly<Record<string, unknown>>;
  };
}

const TIMEOUT_MS = 30_000;

function noDaemon(socket: string, cause: NodeJS.ErrnoException): MapwireError {
  if (cause.code === 'EACCES' || cause.code === 'EPERM') {
    return new MapwireError('ERR_MW_PRIVILEGE', `no permission to use the socket '${socket}'`, {
      cause,
      hint: 'run as root',
    });
  }
  return new MapwireError('ERR_MW_NO_DAEMON', `no daemon answers on '${socket}' (${cause.code ?? cause.message})`, {
    cause,
    hint: 'start one with `mapwire run`, or name its socket with --socket or its configuration with --config',
    details: { socket },
  });
}

/**
 * One request; the answer's JSON.
 *
 * @throws ERR_MW_NO_DAEMON, ERR_MW_PRIVILEGE, or what the daemon answered, by its code
 */
export function call<T>(socket: string, method: string, path: string, body?: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const outgoing = request(
      {
        socketPath: socket,
        method,
        path,
        headers: text === undefined ? {} : { 'content-type': 'application/json' },
        timeout: TIMEOUT_MS,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString('utf8');
          try {
            const json = JSON.parse(answer === '' ? '{}' : answer) as T & ErrorBody;
            if ((response.statusCode ?? 500) < 400) resolve(json);
            else reject(answered(json, response.statusCode));
          } catch (cause) {
            reject(new MapwireError('ERR_MW_API', `the daemon's answer to ${method} ${path} is not JSON`, { cause }));
          }
        });
      },
    );
    outgoing.on('timeout', () => {
      outgoing.destroy(Object.assign(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`), { code: 'ETIMEDOUT' }));
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) => reject(noDaemon(socket, error)));
    outgoing.end(text);
  });
}

function answered({ error }: ErrorBody, status: number | undefined): MapwireError {
  const code = error?.code !== undefined && error.code in ERRORS ? (error.code as ErrorCode) : 'ERR_MW_API';
  return new MapwireError(code, error?.message ?? `the daemon answered with status ${status}`, {
    ...(error?.hint === undefined ? {} : { hint: error.hint }),
    ...(error?.details === undefined ? {} : { details: error.details }),
  });
}
