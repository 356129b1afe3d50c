import { type DataChannel, PeerConnection } from 'node-datachannel';
import type { LocalEndpoint, RemoteEndpoint } from '../../../src/mf/engine/types.ts';

/** A UE that does ICE: node-datachannel by itself, without our shim. */
export class IceUe {
  readonly open: Promise<void>;
  readonly #pc: PeerConnection;
  /** Kept: collected as garbage, it would be closed. */
  readonly #channel: DataChannel;
  readonly #closed: Promise<void>;
  #sdp = '';

  private constructor(streamId: number) {
    this.#pc = new PeerConnection('ue', { iceServers: [], bindAddress: '127.0.0.1', disableAutoNegotiation: true });
    this.#closed = new Promise((resolve) => this.#pc.onStateChange((state) => state === 'closed' && resolve()));
    this.#channel = this.#pc.createDataChannel('', { negotiated: true, id: streamId });
    this.#channel.onMessage(() => undefined);
    this.#channel.onClosed(() => undefined);
    this.open = new Promise((resolve) => this.#channel.onOpen(resolve));
  }

  /** Gathers its candidates and has an offer. */
  static async offer(streamId: number): Promise<IceUe> {
    const ue = new IceUe(streamId);
    const gathered = new Promise<void>((resolve) =>
      ue.#pc.onGatheringStateChange((state) => state === 'complete' && resolve()),
    );
    ue.#pc.setLocalDescription('offer');
    await gathered;
    ue.#sdp = ue.#pc.localDescription()!.sdp;
    return ue;
  }

  /** What an answerer reads from the offer. The address is a stale one: the checks must correct it. */
  remote(role: 'active' | 'passive'): RemoteEndpoint {
    return {
      address: '127.0.0.1',
      port: 9,
      sctpPort: 5000,
      fingerprints: [/^a=fingerprint:(.*)$/m.exec(this.#sdp)![1]!.trim()],
      role,
      maxMessageSizeBytes: 262_144,
      streams: 1024,
      ice: true,
    };
  }

  /** `role` is the engine's. */
  answer(local: LocalEndpoint, role: 'active' | 'passive'): void {
    const sdp = [
      'v=0',
      'o=- 1 1 IN IP4 127.0.0.1',
      's=-',
      't=0 0',
      'a=ice-lite',
      `m=application ${local.port} UDP/DTLS/SCTP webrtc-datachannel`,
      `c=IN IP4 ${local.address}`,
      'a=mid:0',
      `a=ice-ufrag:${local.iceUfrag}`,
      `a=ice-pwd:${local.icePwd}`,
      `a=fingerprint:${local.fingerprint}`,
      `a=setup:${role}`,
      `a=sctp-port:${local.sctpPort}`,
      'a=max-message-size:262144',
      `a=candidate:1 1 UDP 2130706431 ${local.address} ${local.port} typ host`,
      'a=end-of-candidates',
      '',
    ].join('\r\n');
    this.#pc.setRemoteDescription(sdp, 'answer');
  }

  /** Not its channel as well: that races with the end of the connection, and what is left keeps the process alive. */
  async close(): Promise<void> {
    this.#pc.close();
    await this.#closed;
  }
}
