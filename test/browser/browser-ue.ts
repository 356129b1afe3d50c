import type { Page } from 'playwright-core';
import type { LocalEndpoint, RemoteEndpoint } from '../../src/mf/engine/types.ts';

export interface Message {
  readonly kind: 'text' | 'binary';
  readonly length: number;
  /** SHA-256, hex. */
  readonly hash: string;
}

/** One RTCPeerConnection of the page (page.js): an IMS UE that does ICE, with negotiated channels. */
export class BrowserUe {
  readonly name: string;
  readonly #page: Page;

  constructor(page: Page, name: string) {
    this.#page = page;
    this.name = name;
  }

  offer(ids: readonly number[]): Promise<string> {
    return this.#call('makeOffer', ids);
  }

  answer(ids: readonly number[], offer: string): Promise<string> {
    return this.#call('makeAnswer', ids, offer);
  }

  takeAnswer(sdp: string): Promise<void> {
    return this.#call('takeAnswer', sdp);
  }

  open(): Promise<{ maxChannels: number; maxMessageSize: number }> {
    return this.#call('allOpen');
  }

  send(streamId: number, kind: Message['kind'], length: number): Promise<Message | { error: string }> {
    return this.#call('sendMessage', streamId, kind, length);
  }

  next(streamId: number): Promise<Message> {
    return this.#call('nextMessage', streamId);
  }

  closeChannel(streamId: number): Promise<void> {
    return this.#call('closeChannel', streamId);
  }

  closed(streamId: number): Promise<void> {
    return this.#call('channelClosed', streamId);
  }

  failed(): Promise<void> {
    return this.#call('connectionFailed');
  }

  close(): Promise<void> {
    return this.#call('closeConnection');
  }

  #call<T>(name: string, ...values: readonly unknown[]): Promise<T> {
    return this.#page.evaluate(
      ([called, parameters]) => {
        const functions = globalThis as unknown as Record<string, (...values: unknown[]) => unknown>;
        return functions[called]!(...parameters);
      },
      [name, [this.name, ...values]] as const,
    ) as Promise<T>;
  }
}

/** What the network reads from the browser's SDP. A browser's c= and m= lines say nothing while mDNS hides it. */
export function remoteOf(sdp: string, role: 'active' | 'passive', streams: number): RemoteEndpoint {
  const value = (pattern: RegExp) => pattern.exec(sdp)![1]!.trim();
  return {
    address: value(/^c=IN IP4 (\S+)/m),
    port: Number(value(/^m=application (\d+)/m)),
    sctpPort: Number(value(/^a=sctp-port:(\d+)/m)),
    fingerprints: [value(/^a=fingerprint:(.*)$/m)],
    role,
    maxMessageSizeBytes: Number(value(/^a=max-message-size:(\d+)/m)),
    streams,
    ice: true,
  };
}

export interface LocalLines {
  readonly setup: 'active' | 'passive' | 'actpass';
  readonly maxMessageSizeBytes?: number;
  readonly ids?: readonly number[];
}

/** The MF's ICE-lite description: our credentials, one host candidate, the IMS lines, no BUNDLE. */
export function describeLocal(local: LocalEndpoint, lines: LocalLines): string {
  return [
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
    'a=tls-id:mf0123456789abcdefgh',
    `a=setup:${lines.setup}`,
    `a=sctp-port:${local.sctpPort}`,
    ...(lines.ids ?? []).map((id) => `a=dcmap:${id} subprotocol="app"`),
    `a=max-message-size:${lines.maxMessageSizeBytes ?? 262_144}`,
    `a=candidate:1 1 UDP 2130706431 ${local.address} ${local.port} typ host`,
    '',
  ].join('\r\n');
}
