/** The daemon: sources to table, table to plan, plan to kernel; and the API beside it. */
import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { PORT_MAPS } from '../compiler/index.ts';
import { Dataplane, type DataplaneEvent } from '../dataplane/index.ts';
import { MapwireError } from '../errors.ts';
import { DirectoryLock, sdNotify } from '../libbpf/index.ts';
import { assertTrustedFile } from '../safe-file.ts';
import { ApiSource } from '../sources/api.ts';
import { FileSource, fileSourceName, SourceSet, type SourceSetEvent } from '../sources/index.ts';
import { SequenceBook } from '../sources/sequences.ts';
import { type CompactTable, type NodeState, renderDiagnostic } from '../table/index.ts';
import { makeApi } from './api.ts';
import { Applier } from './applier.ts';
import type { Config } from './config-schema.ts';
import { Liveness, type NodeCommand } from './liveness.ts';
import { livenessFile } from './liveness-file.ts';
import type { Logger } from './log.ts';
import { Probes } from './probes.ts';
import { LEAST_PORTS, type ResumePoint, readResumePoint, resumePath, writeResumePoint } from './resume.ts';
import { type ApiServer, serve } from './server.ts';
import { giveBackMemory } from './spare-memory.ts';
import { version } from './version.ts';
import { type DaemonState, type StatusView, statusView, wayText } from './views.ts';

/** How long `ready` waits for underlay next hops. */
const NEXT_HOP_WAIT_MS = 2_000;
/** Milliseconds without a change after which a snapshot is written. */
const SNAPSHOT_AFTER_MS = 10_000;
/** Milliseconds after `ready` that the maps of ports are compared, when they were not before. */
const VERIFY_AFTER_MS = 200;
/** Diagnostics of one reading that the log shows; all are in `status`. */
const LOGGED_DIAGNOSTICS = 10;

export class Daemon {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #plane: Dataplane;
  readonly #file: FileSource;
  readonly #api: ApiSource;
  readonly #set: SourceSet;
  readonly #applier: Applier;
  readonly #liveness: Liveness;
  readonly #probes: Probes;
  readonly #sequences: SequenceBook;
  /** As they were last told in the log. */
  #states: ReadonlyMap<string, NodeState> = new Map();
  #returnTimer: NodeJS.Timeout | undefined;
  #server: ApiServer | undefined;
  #stateLock: DirectoryLock | undefined;
  #ready = false;
  #snapshotTimer: NodeJS.Timeout | undefined;
  #saving: Promise<unknown> | undefined;
  /** The maps of ports were not read at the start. */
  #unverified = false;
  #stopping: Promise<void> | undefined;
  #ended!: () => void;
  /** Resolves when the daemon was asked to end and has ended. */
  readonly ended: Promise<void>;

  private constructor(
    config: Config,
    log: Logger,
    plane: Dataplane,
    opened: { source: ApiSource; revision: number },
    sequences: SequenceBook,
    resume: ResumePoint | undefined,
  ) {
    this.#config = config;
    this.#log = log;
    this.#plane = plane;
    this.#api = opened.source;
    this.#sequences = sequences;
    this.#file = new FileSource(config.table);
    this.ended = new Promise((resolve) => {
      this.#ended = resolve;
    });
    // Revisions rise over restarts: from what is pinned and what the log of edits knows.
    let last = Math.max(plane.adoptedRevision, opened.revision, resume?.table.revision ?? 0);
    this.#set = new SourceSet({ revision: () => ++last, newest: () => sequences.lookup });
    this.#set.add(this.#file);
    this.#set.add(this.#api);
    this.#set.onEvent((event) => this.#onSource(event));
    this.#api.onCompactError = (error) => this.#complain('the log of edits could not be compacted', error);
    this.#liveness = new Liveness({ file: livenessFile(config.stateDir), policy: config.returnPolicy });
    this.#probes = new Probes({ config, log, say: (states) => void this.#probed(states) });
    this.#applier = new Applier(plane, config.node, {
      states: (table) => this.#statesWith(table),
      applied: (report, table) => {
        const { revision, total, milliseconds, switched, writes } = report;
        log.info(
          { revision, writes: total, ms: Math.round(milliseconds), ports: table.portCount, switched },
          'applied',
        );
        this.#saveSoon();
        const plan = this.#applier.plan;
        if (plan !== undefined) this.#probes.follow(plan, (writes.node ?? 0) > 0 || switched !== undefined);
        if (!this.#ready) void this.#becomeReady();
      },
      failed: (error, retryMs) =>
        this.#complain(retryMs > 0 ? `not applied; again in ${retryMs} ms` : 'not applied', error),
    });
    plane.onEvent((event) => this.#onPlane(event));
    if (resume !== undefined) this.#resume(resume);
  }

  /** Takes over what an earlier daemon left, as far as it is still so. */
  #resume({ table, files, rowIds, nextPort }: ResumePoint): void {
    if (this.#plane.isKnown) {
      this.#plane.ids.ports.restore(table, rowIds, nextPort);
      this.#applier.trust(table);
      this.#unverified = true;
    }
    // A newer move than this table's may be of a source that tells of an older one by now: only all of them together say.
    if (!this.#sequences.isHeldBy(table) || !this.#api.resume(table.revision)) return;
    const { revision, portCount } = table;
    this.#log.info({ revision, ports: portCount, maps: this.#unverified ? 'trusted' : 'read' }, 'resumed');
    this.#file.resume(files);
    this.#set.restore(table);
  }

  /**
   * Takes the instance over and begins to follow its sources.
   *
   * @throws ERR_MW_BUSY when a daemon is at work on the pin directory or the socket; what `Dataplane.open` throws
   */
  static async start(config: Config, log: Logger): Promise<Daemon> {
    mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
    assertTrustedFile(config.stateDir);
    const resume = readResumePoint(resumePath(config.stateDir), config.node, fileSourceName(config.table));
    const plane = await Dataplane.open({
      ...(resume !== undefined && { known: resume.kernel }),
      pinDir: config.pinDir,
      stateDir: config.stateDir,
      underlay: config.underlay,
      hook: config.hook,
      guard: config.guard,
      layout: config.layout,
      guardGraceMs: config.guardGraceMs,
      ports: {
        vxlan: config.vxlanPort,
        'vxlan-gpe': config.gpePort,
        geneve: config.genevePort,
        lisp: config.lispPort,
      },
      ttl: config.ttl,
      dscp: config.dscp,
      floodRate: config.floodRate,
      unknownSegment: config.unknownSegment,
      tooBigRate: config.tooBigRate,
      specialise: config.specialise,
      probeHops: config.probeHops,
    });
    let daemon: Daemon | undefined;
    let stateLock: DirectoryLock | undefined;
    let sequences: SequenceBook | undefined;
    try {
      // Two instances with pin directories of their own could still share this one by mistake.
      stateLock = DirectoryLock.acquire(realpathSync(config.stateDir));
      let set: SourceSet | undefined;
      const unkept = (error: unknown) =>
        log.error({ err: error }, 'the sequences of ports are not kept over a restart');
      sequences = await SequenceBook.open(join(config.stateDir, 'sequences'), unkept);
      const opened = await ApiSource.open(join(config.stateDir, 'edits'), {
        table: () => set?.table,
        idle: async () => set?.idle(),
        buried: (port, sequence) => sequences?.bury(port, sequence),
        onFailure: (error) => log.error({ code: error.code, hint: error.hint }, error.message),
      });
      const { tornBytes, setAside } = opened.content;
      if (tornBytes > 0) log.warn({ bytes: tornBytes }, 'an edit that was never acknowledged was cut off the log');
      for (const path of setAside)
        log.error({ path }, 'the log of edits was damaged; what could not be applied is here');
      daemon = new Daemon(config, log, plane, opened, sequences, resume);
      daemon.#stateLock = stateLock;
      set = daemon.#set;
      daemon.#server = await serve(
        makeApi({
          plane,
          applier: daemon.#applier,
          source: daemon.#api,
          idle: () => (set as SourceSet).idle(),
          liveness: daemon.#liveness,
          nodeState: (node, command) => (daemon as Daemon).#nodeState(node, command),
          probes: () => (daemon as Daemon).#probes.look(),
          status: () => (daemon as Daemon).status(),
          stop: () => void daemon?.stop('the API'),
        }),
        config.socket,
      );
      await daemon.#set.start();
      if (daemon.#set.table === undefined) {
        log.warn(
          { sources: daemon.#set.status().map(({ name, state }) => `${name}: ${state}`) },
          'waiting for a good table',
        );
      }
      return daemon;
    } catch (error) {
      if (daemon !== undefined) {
        await daemon.#probes.close();
        await daemon.#server?.close();
        await daemon.#set.close();
      }
      await sequences?.close();
      stateLock?.close();
      await plane.close();
      throw error;
    }
  }

  status(): StatusView {
    return statusView({
      version: version(),
      node: this.#config.node,
      state: this.#state(),
      tableRevision: this.#set.table?.revision,
      sources: this.#set.status(),
      applier: this.#applier,
      liveness: this.#liveness,
      plane: this.#plane,
    });
  }

  /** Reads the table again, as on SIGHUP. */
  reload(): void {
    this.#log.info('reading the table again');
    this.#file.rescan();
  }

  /** Ends the daemon; the data plane goes on. Idempotent. */
  stop(why: string): Promise<void> {
    this.#stopping ??= this.#stop(why);
    return this.#stopping;
  }

  async #stop(why: string): Promise<void> {
    clearTimeout(this.#returnTimer);
    clearTimeout(this.#snapshotTimer);
    this.#log.info({ why }, 'stopping; the data plane goes on forwarding');
    this.#notify('STOPPING=1');
    await this.#probes.close();
    await this.#server?.close();
    await this.#set.close();
    await this.#sequences.close();
    await this.#applier.close();
    await this.#saving;
    await this.#save(() => false);
    this.#stateLock?.close();
    await this.#plane.close();
    this.#ended();
  }

  /** Writes a snapshot when nothing has changed for a while. */
  #saveSoon(): void {
    clearTimeout(this.#snapshotTimer);
    if (this.#stopping !== undefined) return;
    this.#snapshotTimer = setTimeout(() => {
      const version = this.#set.table?.parts.store.version;
      this.#saving ??= this.#save(
        () => this.#stopping !== undefined || this.#applier.busy || this.#set.table?.parts.store.version !== version,
      ).finally(() => {
        this.#saving = undefined;
      });
    }, SNAPSHOT_AFTER_MS);
    this.#snapshotTimer.unref();
  }

  /** Without one, the next start reads everything: no reason to fail. */
  async #save(isStale: () => boolean): Promise<void> {
    const table = this.#set.table;
    const kernel = this.#plane.kernelState();
    const isWhole = this.#applier.failure === undefined && !this.#applier.busy && this.#applier.plan?.table === table;
    if (table === undefined || kernel === undefined || !isWhole || this.#unverified) return;
    if (table.portCount < LEAST_PORTS || !table.isNewest || !this.#api.isDurable || this.#set.busy) return;
    const { ports } = this.#plane.ids;
    const point = {
      node: this.#config.node,
      source: this.#file.name,
      table,
      files: this.#file.filesInForce(),
      kernel,
      rowIds: ports.byRow,
      nextPort: ports.next,
    };
    try {
      await writeResumePoint(resumePath(this.#config.stateDir), point, isStale);
    } catch (error) {
      this.#complain('no snapshot of the table could be written', error);
    }
  }

  /** Compares what the start took on trust, map by map, while nothing is applied. */
  async #verify(): Promise<void> {
    if (!this.#unverified) return;
    await new Promise((resolve) => setTimeout(resolve, VERIFY_AFTER_MS));
    try {
      let writes = 0;
      for (const map of PORT_MAPS) {
        if (this.#stopping !== undefined) return;
        writes += await this.#applier.exclusively(() => this.#plane.verify(map));
      }
      this.#unverified = false;
      giveBackMemory();
      this.#log.info({ writes }, 'the maps of ports were compared with the plan');
      this.#saveSoon();
    } catch (error) {
      if (this.#stopping === undefined) this.#complain('the maps of ports could not be compared', error);
    }
  }

  /** The states of a table's nodes, for the plan that is made of it. */
  #statesWith(table: CompactTable): ReadonlyMap<string, NodeState> {
    this.#guarded(() => this.#liveness.setTable(table.nodes, this.#probes.expected(table)));
    return this.#tellStates();
  }

  /** An operator's word about a node: kept, and in force when the promise resolves. The number of map elements written. */
  async #nodeState(node: string, command: NodeCommand): Promise<number> {
    const known = this.#set.table?.nodes;
    if (known === undefined) {
      throw new MapwireError('ERR_MW_API', 'no table is in force yet', { hint: 'see GET /v1/status' });
    }
    if (!known.has(node) && !this.#liveness.named().includes(node)) {
      throw new MapwireError('ERR_MW_NOT_FOUND', `the table has no node '${node}'`, {
        hint: `the nodes are: ${[...known.keys()].slice(0, 8).join(', ')}`,
      });
    }
    this.#liveness.command(node, command);
    return this.#plane.setStates(this.#tellStates());
  }

  /** What probes found out: in force first, then kept. */
  async #probed(states: ReadonlyMap<string, 'up' | 'down'>): Promise<void> {
    this.#liveness.setProbes(states);
    try {
      await this.#plane.setStates(this.#tellStates());
    } catch (error) {
      if (this.#stopping === undefined) this.#complain('what a probe found is not in force', error);
    }
    this.#guarded(() => this.#liveness.keep());
  }

  /** Nodes whose time to return has come. */
  async #return(): Promise<void> {
    this.#guarded(() => this.#liveness.tick());
    try {
      await this.#plane.setStates(this.#tellStates());
    } catch (error) {
      if (this.#stopping === undefined) this.#complain('a node could not be taken back into use', error);
    }
  }

  /** The states in force from now on; the log tells of changes, and the next return is waited for. */
  #tellStates(): ReadonlyMap<string, NodeState> {
    const states = this.#liveness.states();
    for (const [node, state] of states === this.#states ? [] : states) {
      if ((this.#states.get(node) ?? 'up') === state) continue;
      this.#log.info({ node, ...this.#liveness.standing(node) }, `node is ${state}`);
    }
    this.#states = states;
    clearTimeout(this.#returnTimer);
    const next = this.#liveness.nextReturn;
    if (next !== undefined && this.#stopping === undefined) {
      this.#returnTimer = setTimeout(() => void this.#return(), Math.max(0, next - Date.now()));
    }
    return states;
  }

  /** What cannot be kept over a restart still counts until then. */
  #guarded(task: () => void): void {
    try {
      task();
    } catch (error) {
      this.#complain('the states of nodes are not kept', error);
    }
  }

  #state(): DaemonState {
    const table = this.#set.table?.revision;
    if (table === undefined) return 'waiting';
    if (this.#applier.failure !== undefined) return 'failing';
    return this.#applier.last?.revision === table && this.#ready ? 'ready' : 'applying';
  }

  async #becomeReady(): Promise<void> {
    this.#ready = true;
    const missing = await this.#plane.waitForNextHops(NEXT_HOP_WAIT_MS).catch((error: unknown) => {
      this.#complain('next hops could not be looked up', error);
      return [];
    });
    if (this.#stopping !== undefined) return;
    if ((this.#set.table?.portCount ?? 0) >= LEAST_PORTS) giveBackMemory();
    const names = missing.map(({ node, why }) => `${node} (${why ?? 'unresolved'})`);
    const unresolved = names.length === 0 ? '' : `; next hops missing: ${names.join(', ')}`;
    const revision = this.#applier.last?.revision ?? 0;
    process.stdout.write(`mapwire ${version()} ready: node ${this.#config.node}, revision ${revision}${unresolved}\n`);
    this.#notify(`READY=1\nSTATUS=node ${this.#config.node}, revision ${revision}${unresolved}`);
    void this.#verify();
  }

  /** Nothing ends because systemd does not listen. */
  #notify(state: string): void {
    try {
      sdNotify(state);
    } catch (error) {
      this.#complain('systemd could not be told', error);
    }
  }

  #onSource(event: SourceSetEvent): void {
    if (event.type === 'held') {
      this.#log.info({ source: event.source }, 'on hold');
      return;
    }
    // Whoever made an edit through the API gets its mistakes in the answer.
    if (event.type === 'refused' && event.source === this.#api.name && this.#set.table !== undefined) return;
    for (const diagnostic of event.diagnostics.slice(0, LOGGED_DIAGNOSTICS)) {
      const level = diagnostic.severity === 'error' ? 'error' : 'warn';
      this.#log[level]({ code: diagnostic.code }, renderDiagnostic(diagnostic));
    }
    if (event.type === 'refused') {
      const kept =
        this.#set.table === undefined ? 'what is pinned stays in force' : 'the last good table stays in force';
      this.#log.error({ source: event.source, mistakes: event.diagnostics.length }, `refused; ${kept}`);
      return;
    }
    this.#sequences.note(event.table, event.previous, event.changes);
    this.#applier.want(event.table);
  }

  #onPlane(event: DataplaneEvent): void {
    switch (event.type) {
      case 'device': {
        const { name, role, port, hook, why } = event.device;
        this.#log.info({ device: name, role, port, hook, why }, 'device');
        break;
      }
      case 'nexthop': {
        const { node, resolved, ways, pathMtu, why } = event.nextHop;
        this.#log.info({ node, resolved, ways: ways.map(wayText), pathMtu, why }, 'next hop');
        break;
      }
      case 'heard': {
        const { port, sequence } = event;
        const to = this.#set.table?.port(port)?.at.find(({ pending }) => pending)?.node;
        this.#log.info({ port, sequence, to }, 'the guest announced itself where its port moves to');
        break;
      }
      case 'problem':
        this.#log.warn({ code: event.problem.code, hint: event.problem.hint }, event.problem.message);
        break;
      case 'error':
        this.#complain('could not follow a change of the host; again soon', event.error);
    }
  }

  #complain(what: string, error: unknown): void {
    if (error instanceof MapwireError) {
      this.#log.error({ code: error.code, hint: error.hint }, `${what}: ${error.message}`);
    } else {
      this.#log.error({ err: error }, `${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
