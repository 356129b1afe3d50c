import { TypedEmitter } from '../../base/emitter.ts';
import type { DtlsCertificate } from '../../dtls/certificate.ts';
import { type Fingerprint, formatFingerprint } from '../../dtls/fingerprint.ts';
import { type NewAssociationReason, needsNewAssociation } from '../../dtls/needs-new-association.ts';
import type { DtlsRole } from '../../dtls/role.ts';
import { LOCAL_SCTP_PORT, MAX_STREAM_ID, PlainAssociation, type PlainState } from '../../ndc/association.ts';
import type { DataChannelMedia, DataChannelStream, MediaSection, SetupValue } from '../../sdp/types.ts';
import type { DataChannelContent } from '../../sdp/write-data-channel.ts';
import { dataChannelSection } from '../../sdp/write-data-channel.ts';
import { UeChannel } from './channel.ts';

/** What both ends of a line must be told about the UE. */
export interface LocalEnd {
  readonly address: string;
  readonly certificate: DtlsCertificate;
  /** What SDP says our fingerprint is: another one than the certificate's makes every honest peer refuse us. */
  readonly fingerprint: Fingerprint;
  readonly maxMessageSizeBytes: number;
  /** Never start an association: the UE that answers and then says nothing on the media plane. */
  readonly silent: boolean;
  mintTlsId(): string;
}

export interface DataLineEvents {
  state: {
    readonly state: PlainState;
    readonly reason?: string;
    readonly role: DtlsRole;
    readonly farFingerprint: string;
  };
  /** A channel exists: it may still be connecting. */
  channel: UeChannel;
}

/** Our role and the peer's end as they were negotiated last. */
interface Negotiated {
  readonly remote: DataChannelMedia;
  readonly role: DtlsRole;
  readonly localTlsId: string | undefined;
}

/**
 * One data channel m-line of the UE over its life: its port, tls-id, association and channels. A re-offer that
 * changes nothing keeps the association; R12 says what needs a new one, which takes a fresh port, so that late
 * datagrams of the old one cannot meet it.
 */
export class DataLine extends TypedEmitter<DataLineEvents> {
  readonly #local: LocalEnd;
  readonly channels = new Map<number, UeChannel>();
  content: DataChannelContent;
  tlsId: string;
  #association: PlainAssociation;
  /** What the open offer or answer prepares: takes over when both ends have agreed. */
  #next: { readonly association: PlainAssociation; readonly oldTlsId: string } | null = null;
  #negotiated: Negotiated | null = null;
  /** Before `propose`. */
  #former: DataChannelContent | null = null;
  /** DTLS associations started here: an unchanged re-INVITE must not raise it. */
  associations = 0;

  private constructor(local: LocalEnd, association: PlainAssociation, content: DataChannelContent) {
    super();
    this.#local = local;
    this.#association = association;
    this.content = content;
    this.tlsId = local.mintTlsId();
  }

  static async reserve(local: LocalEnd, content: DataChannelContent): Promise<DataLine> {
    return new DataLine(local, await reservePort(local, 0), content);
  }

  get role(): DtlsRole | undefined {
    return this.#negotiated?.role;
  }

  get port(): number {
    return (this.#next?.association ?? this.#association).localPort;
  }

  get remote(): DataChannelMedia | undefined {
    return this.#negotiated?.remote;
  }

  get state(): PlainState {
    return this.#association.state;
  }

  /** The m-section as our next description shall say it. `withTlsId` false: the offer had none (RFC 8842 5.3). */
  section(setup: SetupValue, withTlsId = true): MediaSection {
    const section = dataChannelSection(
      {
        address: this.#local.address,
        port: this.port,
        sctpPort: LOCAL_SCTP_PORT,
        maxMessageSizeBytes: this.#local.maxMessageSizeBytes,
        setup,
        fingerprint: this.#local.fingerprint,
        ...(withTlsId ? { tlsId: this.tlsId } : {}),
      },
      this.content,
    );
    // The address is the session's: handsets write it once (E1).
    return { ...section, lines: section.lines.filter((line) => !line.startsWith('c=')) };
  }

  /** What the next offer shall say runs here; a refusal of it brings back what was. */
  propose(content: DataChannelContent): void {
    this.#former ??= this.content;
    this.content = content;
  }

  /** Asks for a new association in the next description: a new port and a new tls-id. */
  async renew(): Promise<void> {
    if (this.#next) return;
    const association = await reservePort(this.#local, 0);
    this.#next = { association, oldTlsId: this.tlsId };
    this.tlsId = this.#local.mintTlsId();
  }

  /** Whether the peer's description asks for a new association while ours stays as it is (R12). */
  asksForNew(remote: DataChannelMedia, role: DtlsRole): NewAssociationReason | undefined {
    const before = this.#negotiated;
    if (!before) return undefined;
    const side = (media: DataChannelMedia) => ({
      fingerprints: media.fingerprints,
      address: media.address,
      port: media.port,
      ...(media.tlsId === undefined ? {} : { tlsId: media.tlsId }),
    });
    const ours = (tlsId: string | undefined) => ({
      fingerprints: [this.#local.fingerprint],
      address: this.#local.address,
      port: this.#association.localPort,
      ...(tlsId === undefined ? {} : { tlsId }),
    });
    return needsNewAssociation(
      { local: ours(before.localTlsId), remote: side(before.remote), localRole: before.role, ice: false },
      { local: ours(this.tlsId), remote: side(remote), localRole: role, ice: false },
    );
  }

  /** Both ends have agreed. Starts, keeps or replaces the association and opens or closes channels. */
  async agree(remote: DataChannelMedia, role: DtlsRole): Promise<void> {
    this.#former = null;
    const replace = this.#next !== null || this.asksForNew(remote, role) !== undefined;
    const localTlsId = remote.tlsId === undefined ? undefined : this.tlsId;
    this.#negotiated = { remote, role, localTlsId };
    if (replace) await this.#replace();
    if (this.#association.state === 'reserved') return this.#start(remote, role);
    this.#follow(remote);
    this.#matchStreams(remote.streams);
  }

  /** The offer failed: what `renew` and `propose` prepared is taken back. */
  async rollback(): Promise<void> {
    this.content = this.#former ?? this.content;
    this.#former = null;
    const prepared = this.#next;
    if (!prepared) return;
    this.#next = null;
    this.tlsId = prepared.oldTlsId;
    await prepared.association.close();
  }

  async close(): Promise<void> {
    this.#closeChannels('the line has ended');
    await Promise.all([this.#association.close(), this.#next?.association.close()]);
  }

  async #replace(): Promise<void> {
    const old = this.#association;
    this.#closeChannels('replaced by a new association');
    if (this.#next) {
      this.#association = this.#next.association;
      this.#next = null;
      await old.close();
    } else {
      // Only the peer's end is new (the answer of another fork, say): it was told our port, so the port stays.
      await old.close();
      this.#association = await reservePort(this.#local, old.localPort);
    }
  }

  async #start(remote: DataChannelMedia, role: DtlsRole): Promise<void> {
    for (const stream of remote.streams) this.#addChannel(stream, remote.maxMessageSizeBytes);
    if (this.#local.silent) return;
    const association = this.#association;
    this.associations++;
    const farFingerprint = remote.fingerprints.map(formatFingerprint).join(', ');
    association.on('state', ({ state, reason }) => {
      if (association !== this.#association) return;
      if (state === 'failed' || state === 'closed') this.#closeChannels(reason ?? state);
      this.emit('state', { state, role, farFingerprint, ...(reason ? { reason } : {}) });
    });
    association.on('stream', ({ streamId, state }) => {
      if (association !== this.#association) return;
      if (state === 'open') this.channels.get(streamId)?.onOpen();
      else this.channels.get(streamId)?.onClosed('the peer closed it');
    });
    association.on('message', ({ streamId, data, kind }) => this.channels.get(streamId)?.onMessage({ data, kind }));
    association.on('writable', ({ streamId }) => this.channels.get(streamId)?.onWritable());
    await association.start(
      {
        address: remote.address,
        port: remote.port,
        sctpPort: remote.sctpPort,
        fingerprints: remote.fingerprints.map(formatFingerprint),
        role,
        maxMessageSizeBytes: remote.maxMessageSizeBytes,
      },
      remote.streams,
    );
  }

  /** The peer's end has moved and the association goes on (RFC 8842 4): its datagrams take another way (R10). */
  #follow({ address, port }: DataChannelMedia): void {
    const { remote, state } = this.#association;
    if (remote === null || (state !== 'connecting' && state !== 'connected')) return;
    if (remote.address !== address || remote.port !== port) this.#association.moveTo(address, port);
  }

  /** A re-offer may open or close single streams of a running association (TS 26.114 6.2.10.2). */
  #matchStreams(streams: readonly DataChannelStream[]): void {
    const wanted = new Set(streams.map((stream) => stream.streamId));
    for (const [streamId, channel] of this.channels) {
      if (wanted.has(streamId)) continue;
      channel.close();
      this.channels.delete(streamId);
    }
    for (const stream of streams) {
      if (this.channels.get(stream.streamId)?.state !== undefined) continue;
      this.#addChannel(stream, this.#negotiated!.remote.maxMessageSizeBytes);
      this.#association.addStream(stream);
    }
  }

  #addChannel(stream: DataChannelStream, maxMessageSizeBytes: number): void {
    const channel = new UeChannel(
      {
        send: (streamId, data, kind) => this.#association.send(streamId, data, kind),
        closeStream: (streamId) => this.#association.closeStream(streamId),
      },
      stream,
      maxMessageSizeBytes,
    );
    this.channels.set(stream.streamId, channel);
    this.emit('channel', channel);
  }

  #closeChannels(reason: string): void {
    for (const channel of this.channels.values()) channel.onClosed(reason);
    this.channels.clear();
  }
}

/** Whether our stack can open this stream at all: libdatachannel ends at 1,023. */
export function canOpen(stream: DataChannelStream): boolean {
  return stream.streamId <= MAX_STREAM_ID;
}

function reservePort(local: LocalEnd, port: number): Promise<PlainAssociation> {
  const { certificatePem, privateKeyPem } = local.certificate;
  return PlainAssociation.reserve({
    bindAddress: local.address,
    port,
    certificate: { certificatePem, keyPem: privateKeyPem },
  });
}
