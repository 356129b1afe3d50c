import type { IncomingMessage } from 'node:http';
import type { Logger } from '../../base/log.ts';
import { RequestReader } from '../../channel-http/request-reader.ts';
import { responseMessages, streamedResponseMessages } from '../../channel-http/response-writer.ts';
import type { HttpRequest } from '../../channel-http/types.ts';
import { ImsdcError } from '../../errors.ts';
import type { PayloadPort } from '../engine/types.ts';
import type { BootstrapTarget } from '../mrm/service-port.ts';
import type { Mdc1Client } from './mdc1-client.ts';
import { ownResponse, type ResponseLimits, toUe } from './response.ts';
import { ALLOWED_METHODS, isAllowedMethod, toMdc1 } from './target.ts';

export interface StreamOptions {
  readonly port: PayloadPort;
  readonly mdc1: Mdc1Client;
  readonly limits: ResponseLimits;
  readonly log: Logger;
  /** Resets the stream: the UE must not wait for what will not come. */
  reset(reason: string): void;
  /** One response is out: its status. */
  answered(status: number): void;
  ended(): void;
}

/** Bytes a UE may send ahead of our work; requests are small. */
export const CREDIT_BYTES = 64 * 1_024;
/** What a message costs besides its bytes (docs/media-worker.md). */
const MESSAGE_OVERHEAD_BYTES = 16;
/** Pipelined requests that wait; handsets send one at a time. */
const MAX_WAITING = 32;
/** One for all: an abort without a reason makes a DOMException with a stack, twice for every call. */
const CHANNEL_CLOSED = new Error('the data channel is closed');

/**
 * The network's end of one bootstrap stream (TS 26.114 6.2.10.1): HTTP requests out of data channel messages, one at
 * a time to MDC1, answers back in order. New credit is given when everything that came has been answered, and a piece
 * of a response is fetched when the one before it was taken: neither side can pile up anything here.
 */
export class BootstrapStream {
  target: BootstrapTarget;
  readonly #options: StreamOptions;
  readonly #reader = new RequestReader();
  readonly #abort = new AbortController();
  #waiting: HttpRequest[] = [];
  #owedBytes = 0;
  #working = false;
  #writable: () => void = () => undefined;

  constructor(target: BootstrapTarget, options: StreamOptions) {
    this.target = target;
    this.#options = options;
    const { port } = options;
    port.onMessage = (message) => this.#receive(message);
    port.onWritable = () => this.#writable();
    port.onClosed = () => this.#end();
  }

  /** Closes the channel from our side. */
  close(): void {
    if (this.#abort.signal.aborted) return;
    this.#options.port.close();
    this.#end();
  }

  #end(): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(CHANNEL_CLOSED);
    this.#waiting = [];
    this.#writable();
    this.#options.ended();
  }

  #receive(message: Uint8Array): void {
    if (this.#abort.signal.aborted) return;
    this.#owedBytes += message.length + MESSAGE_OVERHEAD_BYTES;
    try {
      this.#waiting.push(...this.#reader.push(message));
      if (this.#waiting.length > MAX_WAITING) {
        throw new ImsdcError('CHANNEL_HTTP_TOO_MANY_REQUESTS', { limit: MAX_WAITING });
      }
    } catch (error) {
      this.#fail((error as Error).message);
      return;
    }
    if (!this.#working) this.#work();
  }

  /** Never rejects: whatever goes wrong ends this stream and nothing else. */
  async #work(): Promise<void> {
    this.#working = true;
    try {
      for (let request = this.#waiting.shift(); request; request = this.#waiting.shift()) await this.#answer(request);
      this.#options.port.grant(this.#owedBytes);
      this.#owedBytes = 0;
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#fail((error as Error).message);
    } finally {
      this.#working = false;
    }
  }

  #fail(reason: string): void {
    this.#options.log.info({ reason }, 'bootstrap stream reset');
    this.#options.reset(reason);
    this.#end();
  }

  async #answer(request: HttpRequest): Promise<void> {
    const { target } = this;
    const head = request.method.toUpperCase() === 'HEAD';
    const limits = { peerMaxMessageSizeBytes: target.peerMaxMessageSizeBytes, head };
    const source: Source = { message: undefined };
    try {
      const { status, messages } = await this.#respond(request, target, source).then(
        (response) => ({
          status: response.head.status,
          messages: streamedResponseMessages(response.head, response.lengthBytes, response.body, limits),
        }),
        (error: unknown) => {
          if (this.#abort.signal.aborted) throw error;
          const own = ownError(error);
          this.#options.log.info({ status: own.status, reason: (error as Error).message }, 'bootstrap request failed');
          return { status: own.status, messages: responseMessages(own, limits) };
        },
      );
      for await (const message of messages) {
        while (!this.#options.port.send(message, 'binary')) {
          await new Promise<void>((resolve) => (this.#writable = resolve));
          if (this.#abort.signal.aborted) return;
        }
      }
      this.#options.answered(status);
    } finally {
      // Not everything is read to its end (HEAD, 304, what is too long), and until then its connection is not free.
      if (source.message?.complete) source.message.resume();
      else source.message?.destroy();
    }
  }

  async #respond(request: HttpRequest, target: BootstrapTarget, source: Source) {
    const { mdc1, limits } = this.#options;
    if (!isAllowedMethod(request.method.toUpperCase())) throw new MethodNotAllowed();
    const asked = toMdc1(request, target.replaceHttpUrl);
    const message = await mdc1.request(asked, target, this.#abort.signal);
    source.message = message;
    return toUe(message, `${target.address}:${target.port}`, target.replaceHttpUrl, {
      ...limits,
      // The length of an answer to HEAD speaks of a body that does not come.
      maxResponseBytes: asked.method === 'HEAD' ? Number.POSITIVE_INFINITY : limits.maxResponseBytes,
    });
  }
}

/** Where an answer comes from, once it does. */
interface Source {
  message: IncomingMessage | undefined;
}

class MethodNotAllowed extends Error {}

function ownError(error: unknown) {
  if (error instanceof MethodNotAllowed)
    return ownResponse(405, `only ${ALLOWED_METHODS}`, [['Allow', ALLOWED_METHODS]]);
  const status = error instanceof ImsdcError ? (error.entry.http ?? 502) : 502;
  const text =
    { 400: 'bad request', 504: 'the repository does not answer' }[status] ?? 'the repository is not available';
  return ownResponse(status, text);
}
