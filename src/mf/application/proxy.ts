import type { WebSocket } from 'ws';
import type { Logger } from '../../base/log.ts';
import type { Counter, Metrics } from '../../base/metrics.ts';
import { ImsdcError } from '../../errors.ts';
import type { MediaEngine, StreamRef } from '../engine/types.ts';
import type { ApplicationPort, ApplicationTarget } from '../mrm/service-port.ts';
import { ApplicationChannel, CREDIT_BYTES } from './channel.ts';
import { type Mdc2SocketOptions, type OpenSocket, socketOpener } from './mdc2-socket.ts';

export interface ApplicationProxyOptions extends Mdc2SocketOptions {
  readonly engine: MediaEngine;
  readonly maxChannels: number;
  readonly slowReaderLimitMs: number;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** A DC AS has closed this channel because it is done with it. */
  closedByServer(stream: StreamRef): void;
}

/**
 * DC_APPLICATION_PROXY towards DC ASs: all application channels that end at this MF, each with a WebSocket of its own
 * (docs/mdc2.md). The engine says when a stream is open; only then does its DC AS hear of it.
 */
export class ApplicationProxy implements ApplicationPort {
  readonly #options: ApplicationProxyOptions;
  readonly #openSocket: OpenSocket;
  readonly #channels = new Map<string, Map<number, ApplicationChannel>>();
  /** Streams that the engine has opened; it may do so before we are told to serve them. */
  readonly #openStreams = new Map<string, Set<number>>();
  readonly #sockets = new Set<WebSocket>();
  readonly #off: () => void;
  readonly #opened: Counter;
  readonly #resets: Counter;
  #size = 0;

  constructor(options: ApplicationProxyOptions) {
    this.#options = options;
    this.#openSocket = socketOpener(options);
    const { engine, metrics } = options;
    this.#opened = metrics.counter('imsdc_mf_mdc2_sockets_opened_total', 'sockets to DC ASs that were opened');
    this.#resets = metrics.counter('imsdc_mf_mdc2_resets_total', 'channels reset because their DC AS or UE failed');
    metrics.gauge('imsdc_mf_mdc2_channels', 'channels that end at DC ASs', () => this.size);
    metrics.gauge('imsdc_mf_mdc2_sockets', 'sockets to DC ASs', () => this.sockets);
    this.#off = engine.on('stream', ({ key, streamId, state }) => this.#onStream({ key, streamId }, state));
  }

  get size(): number {
    return this.#size;
  }

  /** Includes those that are still closing. */
  get sockets(): number {
    return this.#sockets.size;
  }

  serve(ref: StreamRef, target: ApplicationTarget): void {
    const { key, streamId } = ref;
    const known = this.#channels.get(key)?.get(streamId);
    if (known) {
      known.retarget(target);
      return;
    }
    const { engine, maxChannels, slowReaderLimitMs } = this.#options;
    if (this.#size >= maxChannels) {
      throw new ImsdcError('MF_NO_RESOURCES', { problem: `all ${maxChannels} channels to DC ASs are in use` });
    }
    const log = this.#options.log.child({ key, streamId, mediaId: target.mediaId });
    const channel = new ApplicationChannel(target, {
      port: engine.payload(ref, CREDIT_BYTES),
      connect: (to) => this.#connect(to, streamId),
      slowReaderLimitMs,
      log,
      reset: (reason) => {
        this.#resets.value++;
        engine.resetStream(ref, reason).catch((error: Error) => log.debug({ reason: error.message }, 'no reset'));
      },
      closedByServer: () => this.#options.closedByServer(ref),
      ended: () => this.#forget(ref, channel),
    });
    entry(this.#channels, key, () => new Map()).set(streamId, channel);
    this.#size++;
    if (this.#openStreams.get(key)?.has(streamId)) channel.streamOpen();
  }

  end({ key, streamId }: StreamRef): void {
    this.#channels.get(key)?.get(streamId)?.close();
  }

  endAll(key: string): void {
    for (const channel of [...(this.#channels.get(key)?.values() ?? [])]) channel.close();
    this.#openStreams.delete(key);
  }

  /** Nothing is waited for: the process ends. */
  close(): void {
    this.#off();
    for (const socket of this.#sockets) socket.terminate();
  }

  #connect(target: ApplicationTarget, streamId: number): WebSocket {
    const { maxMessageSizeBytes } = this.#options.engine.capabilities;
    const limit = Math.min(target.peerMaxMessageSizeBytes || maxMessageSizeBytes, maxMessageSizeBytes);
    const socket = this.#openSocket(target, streamId, limit);
    this.#opened.value++;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    return socket;
  }

  #onStream({ key, streamId }: StreamRef, state: 'open' | 'closed'): void {
    if (state === 'closed') {
      this.#openStreams.get(key)?.delete(streamId);
      return;
    }
    entry(this.#openStreams, key, () => new Set()).add(streamId);
    this.#channels.get(key)?.get(streamId)?.streamOpen();
  }

  #forget({ key, streamId }: StreamRef, channel: ApplicationChannel): void {
    const channels = this.#channels.get(key);
    if (channels?.get(streamId) !== channel) return;
    channels.delete(streamId);
    this.#size--;
    if (channels.size === 0) this.#channels.delete(key);
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
