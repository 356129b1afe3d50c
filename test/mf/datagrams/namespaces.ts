import { execFileSync, spawnSync } from 'node:child_process';

/** Why the tests with network namespaces cannot run here, or false. */
export const namespacesMissing: string | false =
  process.getuid?.() !== 0
    ? 'only root may make network namespaces'
    : spawnSync('nft', ['--version']).error
      ? 'nft is not installed'
      : spawnSync('ip', ['netns', 'list']).status !== 0
        ? 'ip netns does not work here'
        : spawnSync('unshare', ['-n', 'nft', 'list', 'ruleset']).status !== 0
          ? 'this kernel has no nftables'
          : false;

let serial = 0;

/**
 * ```text
 * A 10.77.1.2 ---- 10.77.1.1 MF 10.77.2.1 ---- 10.77.2.2 B       and fd77:1::, fd77:2:: likewise
 * ```
 * Three namespaces without any other way out. The MF's forwards, as a host of an MF does.
 */
export class Namespaces implements Disposable {
  readonly a: string;
  readonly mf: string;
  readonly b: string;

  constructor() {
    const id = `${process.pid.toString(36)}${serial++}`;
    [this.a, this.mf, this.b] = [`imsdcA${id}`, `imsdcM${id}`, `imsdcB${id}`];
    try {
      for (const name of [this.a, this.mf, this.b]) {
        ip('netns', 'add', name);
        ip('-n', name, 'link', 'set', 'lo', 'up');
      }
      this.#connect(this.a, 1);
      this.#connect(this.b, 2);
      for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'])
        this.run(this.mf, 'sysctl', '-qw', `${key}=1`);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The words to put before a program, so that it runs there. */
  static in(name: string): readonly [string, string, string, string] {
    return ['ip', 'netns', 'exec', name];
  }

  run(name: string, ...command: string[]): string {
    const [file, ...first] = Namespaces.in(name);
    return execFileSync(file, [...first, ...command], { encoding: 'utf8' });
  }

  [Symbol.dispose](): void {
    for (const name of [this.a, this.mf, this.b]) spawnSync('ip', ['netns', 'del', name]);
  }

  #connect(far: string, network: number): void {
    const near = `eth${network}`;
    ip('-n', this.mf, 'link', 'add', near, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', far);
    for (const [name, device, host] of [
      [this.mf, near, 1],
      [far, 'eth0', 2],
    ] as const) {
      ip('-n', name, 'addr', 'add', `10.77.${network}.${host}/24`, 'dev', device);
      ip('-n', name, 'addr', 'add', `fd77:${network}::${host}/64`, 'dev', device, 'nodad');
      ip('-n', name, 'link', 'set', device, 'up');
    }
    ip('-n', far, 'route', 'add', 'default', 'via', `10.77.${network}.1`);
    ip('-n', far, '-6', 'route', 'add', 'default', 'via', `fd77:${network}::1`);
  }
}

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}
