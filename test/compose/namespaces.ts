import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Condition, PREFIX, ROOT, readCompose, type Service } from './compose-file.ts';
import type { Hosts } from './hosts.ts';

const run = promisify(execFile);
/** Holds the bridges, so that nothing of the lab is in the host's own namespace: as `internal` networks are. */
const SWITCH = `${PREFIX}switch`;
/** As the interval of compose's health checks. */
const HEALTH_MS = 500;
const START_LIMIT_MS = 180_000;
const STOP_LIMIT_MS = 5_000;

interface Running {
  readonly process: ChildProcess;
  readonly exited: Promise<number>;
}

/**
 * The topology of docker/compose.yaml in network namespaces: same addresses, configurations, order and health checks,
 * programs of the host instead of images. Needs root.
 */
export class NamespaceHosts implements Hosts {
  readonly #services: readonly Service[];
  readonly #directory = mkdtempSync(join(tmpdir(), 'imsdc-netns-'));
  readonly #running = new Map<string, Running>();
  readonly #ready = new Map<string, Promise<void>>();

  readonly #networks: readonly string[];
  #closed = false;

  constructor() {
    const { services, networks } = readCompose();
    this.#services = services;
    this.#networks = networks;
  }

  /** Rejects when namespaces cannot be made here, or a service does not come up; nothing is left then. */
  async up(): Promise<void> {
    try {
      await this.#connect();
      this.#writeConfigurations();
      await Promise.all(this.#services.map((service) => this.#upOnce(service)));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  enter(container: string): [string, ...string[]] {
    return ['ip', 'netns', 'exec', PREFIX + container, 'env', `PATH=${this.#path()}`];
  }

  async kill(container: string): Promise<void> {
    const running = this.#running.get(container);
    if (!running) throw new Error(`${container} does not run`);
    signal(running.process, 'SIGKILL');
    await running.exited;
    this.#running.delete(container);
  }

  async start(container: string): Promise<void> {
    if (this.#running.has(container)) return;
    const service = this.#services.find((one) => one.container === container);
    if (!service) throw new Error(`there is no ${container}`);
    await this.#launch(service);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#running.values()].map(stop));
    for (const { container } of [...this.#services, { container: 'switch' }]) {
      // Not made yet where `up` failed half way.
      await run('ip', ['netns', 'delete', PREFIX + container]).catch(() => undefined);
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #path(): string {
    return `${join(ROOT, 'node_modules/.bin')}:${join(ROOT, 'docker')}:${process.env.PATH}`;
  }

  async #connect(): Promise<void> {
    const inSwitch = (...words: readonly string[]) => run('ip', ['-n', SWITCH, ...words]);
    await run('ip', ['netns', 'add', SWITCH]);
    for (const network of this.#networks) {
      await inSwitch('link', 'add', network, 'type', 'bridge');
      await inSwitch('link', 'set', network, 'up');
    }
    for (const [index, { container, addresses }] of this.#services.entries()) {
      const namespace = PREFIX + container;
      const inside = (...words: readonly string[]) => run('ip', ['-n', namespace, ...words]);
      await run('ip', ['netns', 'add', namespace]);
      await inside('link', 'set', 'lo', 'up');
      for (const { network, address } of addresses) {
        const port = `${network}${index}`;
        await inSwitch('link', 'add', port, 'type', 'veth', 'peer', 'name', network, 'netns', namespace);
        await inSwitch('link', 'set', port, 'master', network, 'up');
        await inside('address', 'add', `${address}/24`, 'dev', network);
        await inside('link', 'set', network, 'up');
      }
    }
  }

  /** The functions' own files, with places of this host instead of those in the containers. */
  #writeConfigurations(): void {
    const lab = join(ROOT, 'docker/lab');
    for (const directory of ['lab', 'pki']) mkdirSync(join(this.#directory, directory));
    for (const file of readdirSync(lab)) {
      const text = readFileSync(join(lab, file), 'utf8');
      writeFileSync(
        join(this.#directory, 'lab', file),
        this.#placed(text).replaceAll('/home/imsdc', `${this.#directory}/${file}`),
      );
    }
  }

  #placed(text: string): string {
    return text.replaceAll(/(^|[\s"'=])\/(pki|lab)(?=\/|$)/g, `$1${this.#directory}/$2`);
  }

  #upOnce(service: Service): Promise<void> {
    const known = this.#ready.get(service.name);
    if (known) return known;
    const ready = this.#up(service);
    this.#ready.set(service.name, ready);
    return ready;
  }

  async #up(service: Service): Promise<void> {
    await Promise.all(
      service.dependsOn.map(({ name }) => this.#upOnce(this.#services.find((one) => one.name === name)!)),
    );
    if (service.idle) return;
    await this.#launch(service);
  }

  /** Resolves when what others may wait for is so. */
  async #launch(service: Service): Promise<void> {
    const { container } = service;
    if (this.#closed) throw new Error(`${container} is not started: the lab is being closed`);
    const core = service.image.startsWith('imsdc-lab-core');
    const program = core
      ? [join(ROOT, 'docker/core/start.sh'), '-Y', this.#directory, '-P', join(this.#directory, `${container}.pid`)]
      : ['node', 'src/cli/main.ts', ...service.command.map((word) => this.#placed(word))];
    const log = openSync(join(this.#directory, `${container}.log`), 'a');
    const [first, ...words] = [...this.enter(container), ...program];
    const child = spawn(first!, words, {
      cwd: ROOT,
      env: { ...process.env, ...service.environment },
      // A group of its own: the repository and the media workers belong to their function.
      detached: true,
      stdio: ['ignore', log, log],
    });
    const exited = new Promise<number>((done) => child.once('exit', (code) => done(code ?? -1)));
    const condition: Condition = service.healthcheck ? 'service_healthy' : 'service_completed_successfully';
    if (condition === 'service_completed_successfully') {
      const code = await exited;
      if (code !== 0) throw this.#failed(container, `ended with status ${code}`);
      return;
    }
    this.#running.set(container, { process: child, exited });
    await this.#healthy(service, child);
  }

  async #healthy({ container, healthcheck, environment }: Service, child: ChildProcess): Promise<void> {
    const deadline = Date.now() + START_LIMIT_MS;
    const [first, ...words] = [...this.enter(container), ...healthcheck!];
    const env = { ...process.env, ...environment };
    for (;;) {
      const well = await run(first!, words, { env }).then(
        () => true,
        () => false,
      );
      if (well) return;
      if (child.exitCode !== null) throw this.#failed(container, `ended with status ${child.exitCode}`);
      if (Date.now() > deadline) throw this.#failed(container, 'is not healthy');
      await pause(HEALTH_MS);
    }
  }

  #failed(container: string, how: string): Error {
    const tail = readFileSync(join(this.#directory, `${container}.log`), 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-12);
    return new Error(`${container} ${how}:\n${tail.join('\n')}`);
  }
}

function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, name);
  } catch (error) {
    // The whole group has ended already.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function stop({ process: child, exited }: Running): Promise<void> {
  signal(child, 'SIGTERM');
  const limit = setTimeout(() => signal(child, 'SIGKILL'), STOP_LIMIT_MS);
  await exited;
  clearTimeout(limit);
}
