import { type ChildProcess, spawn } from 'node:child_process';
import type { EngineClient } from '../../src/mf/engine/client.ts';
import type { LocalEndpoint } from '../../src/mf/engine/types.ts';
import type { AddReply } from './ndc-mf.ts';
import { connected, local, MF_CPU, stream } from './ue.ts';

/** node-datachannel as an MF in a process of its own, beside which ours is measured. */
export class NdcPeer {
  readonly #child: ChildProcess;
  readonly #added = new Map<string, (sdp: string) => void>();
  readonly #opened = new Map<string, () => void>();

  constructor(cpu = MF_CPU) {
    const script = new URL('./ndc-mf.ts', import.meta.url).pathname;
    this.#child = spawn('taskset', ['-c', String(cpu), process.execPath, script], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message: AddReply | { kind: 'open'; key: string }) => {
      if (message.kind === 'added') this.#added.get(message.key)?.(message.sdp);
      else this.#opened.get(message.key)?.();
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Connects a UE (ICE-lite, DTLS server) to the peer. */
  async connect(ue: EngineClient, key: string, relayTo?: string): Promise<LocalEndpoint> {
    const ueLocal = await ue.reserve(key, key, { ...local, ice: true });
    await ue.setStreams(key, [stream(0)]);
    const both = Promise.all([connected(ue, key), new Promise<void>((open) => this.#opened.set(key, open))]);
    const answer = new Promise<string>((added) => this.#added.set(key, added));
    this.#child.send({ kind: 'add', key, remoteSdp: offerOf(ueLocal), relayTo });
    const sdp = await answer;
    await ue.start(key, {
      address: '127.0.0.1',
      port: 9,
      sctpPort: 5000,
      fingerprints: [/a=fingerprint:(.*)/.exec(sdp)![1]!.trim()],
      role: 'passive',
      maxMessageSizeBytes: 262_144,
      streams: 112,
      ice: true,
    });
    await both;
    return ueLocal;
  }

  close(): Promise<void> {
    return new Promise((done) => {
      this.#child.once('exit', () => done());
      this.#child.kill('SIGKILL');
    });
  }
}

function offerOf(ue: LocalEndpoint): string {
  return [
    'v=0',
    'o=- 1 0 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'a=ice-lite',
    `m=application ${ue.port} UDP/DTLS/SCTP webrtc-datachannel`,
    'c=IN IP4 127.0.0.1',
    'a=mid:0',
    `a=ice-ufrag:${ue.iceUfrag}`,
    `a=ice-pwd:${ue.icePwd}`,
    `a=fingerprint:${ue.fingerprint}`,
    'a=setup:passive',
    `a=sctp-port:${ue.sctpPort}`,
    'a=max-message-size:262144',
    `a=candidate:1 1 UDP 2130706431 127.0.0.1 ${ue.port} typ host`,
    'a=end-of-candidates',
    '',
  ].join('\r\n');
}
