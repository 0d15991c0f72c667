/** The API on the unix socket: fetch-style handlers, testable without a socket. */
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import type { Dataplane } from '../dataplane/index.ts';
import { type ErrorCode, MapwireError } from '../errors.ts';
import { questionFrame } from '../simulator/index.ts';
import type { ApiSource } from '../sources/api.ts';
import type { Applier } from './applier.ts';
import type { Liveness, NodeCommand } from './liveness.ts';
import { METRICS_TYPE, metricsText } from './metrics.ts';
import type { ProbesLook } from './probes.ts';
import { networkViews, nodeViews, portViews, probesView, type StatusView, standingView } from './views.ts';

/** What the handlers need of the daemon. */
export interface ApiScene {
  readonly plane: Dataplane;
  readonly applier: Applier;
  readonly source: ApiSource;
  /** Resolves when the table can be edited: no large file is being read. */
  idle(): Promise<void>;
  readonly liveness: Liveness;
  /** Keeps an operator's word about a node and brings it into force; map elements written. */
  nodeState(node: string, command: NodeCommand): Promise<number>;
  probes(): Promise<ProbesLook>;
  status(): StatusView;
  /** Asks the daemon to end; returns at once. */
  stop(): void;
}

/** Larger edits belong into a file. */
const MAX_EDIT_BYTES = 64 << 20;

const STATUS_OF: Partial<Record<ErrorCode, 400 | 404 | 409 | 412 | 422 | 503 | 507>> = {
  ERR_MW_INVALID_ARGUMENT: 400,
  ERR_MW_NOT_FOUND: 404,
  ERR_MW_API: 503,
  ERR_MW_CLOSED: 503,
  ERR_MW_REVISION: 412,
  ERR_MW_SEQUENCE: 409,
  ERR_MW_TABLE: 422,
  ERR_MW_STATE: 507,
};

const question = z.object({
  from: z.string(),
  to: z.string(),
  kind: z.enum(['echo', 'resolve']).optional(),
  size: z.int().min(28).max(65_535).optional(),
});

const nodeState = z.object({ node: z.string(), state: z.enum(['up', 'down', 'drain', 'clear']) });

/** JSON of plain data; 64-bit numbers as numbers where that is exact, bytes as hex. */
function json(
  context: Context,
  value: unknown,
  status: 200 | 400 | 404 | 409 | 412 | 413 | 422 | 500 | 503 | 507 = 200,
) {
  const text = JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === 'bigint') return item <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(item) : String(item);
    return item instanceof Uint8Array ? Buffer.from(item).toString('hex') : item;
  });
  return context.body(text, status, { 'content-type': 'application/json' });
}

function errorBody(error: unknown) {
  if (!(error instanceof MapwireError)) {
    return { error: { code: 'ERR_INTERNAL', message: error instanceof Error ? error.message : String(error) } };
  }
  const { code, message, hint, details } = error;
  return { error: { code, message, ...(hint === undefined ? {} : { hint }), details } };
}

/** `?revision=N`, or `If-Match: "N"` (RFC 9110 section 13.1.1). */
function expectedRevision(context: Context): number | undefined {
  const text = context.req.query('revision') ?? context.req.header('if-match')?.replaceAll('"', '');
  if (text === undefined || text === '*') return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `'${text}' is not a revision`, {
      hint: 'give the number that GET /v1/status shows',
    });
  }
  return Number(text);
}

export function makeApi(scene: ApiScene): Hono {
  const api = new Hono();
  const planned = () => {
    const { plan } = scene.applier;
    if (plan === undefined) {
      throw new MapwireError('ERR_MW_API', 'no table is in force yet', { hint: 'see GET /v1/status' });
    }
    return plan;
  };
  /** Looks when there is a plan to be seen, and not one that is becoming the next. */
  const look = async <T>(view: () => T): Promise<T> => {
    while (scene.applier.replanning !== undefined) await scene.applier.replanning;
    return view();
  };

  api.onError((error, context) => {
    const status = error instanceof MapwireError ? (STATUS_OF[error.code] ?? 500) : 500;
    return json(context, errorBody(error), status);
  });
  api.notFound((context) =>
    json(
      context,
      errorBody(
        new MapwireError('ERR_MW_NOT_FOUND', `no such resource: ${context.req.method} ${context.req.path}`, {
          hint: 'docs/api.md lists them',
        }),
      ),
      404,
    ),
  );

  api.get('/v1/status', async (context) => {
    const probes = probesView(await scene.probes());
    return json(context, { ...(await look(scene.status)), probes });
  });
  api.get('/v1/nodes', async (context) => {
    const probes = await scene.probes();
    return json(context, await look(() => [...nodeViews(planned(), scene.plane, scene.liveness, probes)]));
  });
  api.get('/v1/networks', async (context) => json(context, await look(() => [...networkViews(planned())])));
  api.get('/v1/ports', async (context) => {
    const heard = await look(() => scene.plane.heard());
    return json(context, await look(() => [...portViews(planned(), scene.plane, heard)]));
  });
  api.get('/v1/drops', (context) => json(context, scene.plane.drops()));
  api.get('/v1/traffic', (context) => json(context, scene.plane.traffic()));
  api.get('/v1/dump', async (context) => json(context, await look(() => scene.plane.dump(context.req.query('map')))));
  api.get('/metrics', async (context) => {
    const probes = await scene.probes();
    const status = await look(scene.status);
    return context.body(metricsText(status, scene.plane.drops(), scene.plane.traffic(), probes), 200, {
      'content-type': METRICS_TYPE,
    });
  });
  api.post('/v1/trace', async (context) => {
    const asked = question.safeParse(await context.req.json().catch(() => undefined));
    if (!asked.success) {
      throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `not a question: ${asked.error.issues[0]?.message}`, {
        hint: 'send {"from": port, "to": address}',
      });
    }
    const { from, to, kind, size } = asked.data;
    const { table } = await look(planned);
    const frame = questionFrame(table, {
      from,
      to,
      ...(kind === undefined ? {} : { kind }),
      ...(size === undefined ? {} : { size }),
    });
    return json(context, await scene.plane.trace({ port: from, frame }));
  });
  api.post('/v1/node-state', async (context) => {
    const asked = nodeState.safeParse(await context.req.json().catch(() => undefined));
    if (!asked.success) {
      throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `no state of a node: ${asked.error.issues[0]?.message}`, {
        hint: 'send {"node": id, "state": "up", "down", "drain" or "clear"}',
      });
    }
    const { node, state } = asked.data;
    const writes = await scene.nodeState(node, state);
    return json(context, { node, ...standingView(scene.liveness.standing(node)), writes });
  });
  api.post('/v1/stop', (context) => {
    scene.stop();
    return json(context, { stopping: true });
  });
  api.patch('/v1/table', async (context) => {
    const expected = expectedRevision(context);
    const bytes = new Uint8Array(await context.req.arrayBuffer());
    if (bytes.byteLength > MAX_EDIT_BYTES) {
      const error = new MapwireError('ERR_MW_INVALID_ARGUMENT', `an edit of ${bytes.byteLength} bytes`, {
        hint: `at most ${MAX_EDIT_BYTES} at a time; larger tables belong into a file`,
      });
      return json(context, errorBody(error), 413);
    }
    await scene.idle();
    const accepted = scene.source.edit(bytes, expected);
    const [applied] = await Promise.all([scene.applier.waitFor(accepted.table.revision), accepted.durable]);
    return json(context, {
      revision: accepted.table.revision,
      records: accepted.records,
      writes: applied.report.total,
      diagnostics: accepted.diagnostics,
    });
  });
  return api;
}
