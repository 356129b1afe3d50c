import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import {
  decodeBody,
  encodeFrame,
  type FrameBody,
  type FrameHeader,
  type FrameName,
  FrameReader,
  NO_HANDLE,
  type RawFrame,
  workerErrorName,
} from '../../../src/mf/worker/codec.ts';
import {
  CONTROL_DESCRIPTOR,
  MAX_CONTROL_FRAME_BYTES,
  MAX_PAYLOAD_FRAME_BYTES,
  PAYLOAD_DESCRIPTOR,
  PROTOCOL_VERSION,
} from '../../../src/mf/worker/protocol.ts';
import { certificateA } from '../../ndc/support.ts';

/** The worker program by itself, to be told what the engine client would never say. */
export class RawWorker {
  readonly exited: Promise<unknown[]>;
  readonly #child: ChildProcess;
  readonly #control: Socket;
  readonly #payload: Socket;
  readonly #waiting = new Set<{
    match(frame: RawFrame): boolean;
    resolve(frame: RawFrame): void;
    reject(error: Error): void;
  }>();
  #requests = 0;

  constructor(command: WorkerCommand) {
    this.#child = spawn(command.file, command.args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    this.exited = once(this.#child, 'exit');
    void this.exited.then(([code, signal]) => {
      for (const waiting of this.#waiting) waiting.reject(new Error(`the worker left: ${signal ?? code}`));
    });
    const adopt = (descriptor: number, reader: FrameReader) => {
      const socket = this.#child.stdio[descriptor] as Socket;
      socket.on('data', (chunk: Buffer) => {
        for (const frame of reader.push(chunk)) this.#onFrame(frame);
      });
      // The worker may leave while we still write to it; `exited` is what the cases look at.
      socket.on('error', () => undefined);
      return socket;
    };
    this.#control = adopt(CONTROL_DESCRIPTOR, new FrameReader(MAX_CONTROL_FRAME_BYTES));
    this.#payload = adopt(PAYLOAD_DESCRIPTOR, new FrameReader(MAX_PAYLOAD_FRAME_BYTES));
  }

  next(match: (frame: RawFrame) => boolean): Promise<RawFrame> {
    return new Promise((resolve, reject) => this.#waiting.add({ match, resolve, reject }));
  }

  /** The answer to a request: its frame's name, or the name of the error. */
  async ask<N extends FrameName>(name: N, ref: Partial<FrameHeader>, body: FrameBody<N>): Promise<string> {
    return answerName(await this.request(name, ref, body));
  }

  request<N extends FrameName>(name: N, ref: Partial<FrameHeader>, body: FrameBody<N>): Promise<RawFrame> {
    const requestId = ++this.#requests;
    const answer = this.next((frame) => frame.requestId === requestId);
    this.#control.write(encodeFrame(name, { ...NO_HANDLE, ...ref, requestId }, body));
    return answer;
  }

  /** A frame of `name` with any octets as its body. */
  async askRaw(name: FrameName, octets: Buffer): Promise<string> {
    const requestId = ++this.#requests;
    const answer = this.next((frame) => frame.requestId === requestId);
    const header = encodeFrame('PING', { ...NO_HANDLE, requestId }, {});
    const typed = encodeFrame(name, NO_HANDLE, EMPTY_BODIES[name] as never);
    header.writeUInt32LE(typed.readUInt32LE(4), 4);
    header.writeUInt32LE(16 + octets.length, 0);
    this.#control.write(Buffer.concat([header, octets]));
    return answerName(await answer);
  }

  hello(change: Partial<FrameBody<'HELLO'>> = {}): Promise<string> {
    return this.ask('HELLO', NO_HANDLE, { ...HELLO, ...change });
  }

  writeControl(octets: Buffer): void {
    this.#control.write(octets);
  }

  writePayload(octets: Buffer): void {
    this.#payload.write(octets);
  }

  /** The engine is gone. */
  async hangUp(): Promise<unknown[]> {
    this.#control.destroy();
    this.#payload.destroy();
    return this.exited;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  #onFrame(frame: RawFrame): void {
    for (const waiting of this.#waiting) {
      if (!waiting.match(frame)) continue;
      this.#waiting.delete(waiting);
      waiting.resolve(frame);
    }
  }
}

function answerName(frame: RawFrame): string {
  return frame.name === 'ERROR' ? workerErrorName(decodeBody('ERROR', frame.body).code) : frame.name;
}

/** Only their type octet is used. */
const EMPTY_BODIES: Partial<Record<FrameName, object>> = {
  STREAMS: { streams: [] },
  STATS: { handles: [] },
  RELEASE: {},
};

export const HELLO: FrameBody<'HELLO'> = {
  version: PROTOCOL_VERSION,
  workerIndex: 0,
  certificatePem: certificateA.certificatePem,
  keyPem: certificateA.keyPem,
  memoryBudgetBytes: 2 ** 31,
  maxAssociations: 10,
  maxMessageSizeBytes: 65_536,
  bufferedBytesPerStream: 65_536,
  slowReaderLimitMs: 1_000,
  heartbeatIntervalMs: 25_000,
  dtlsRetransmissionMs: [{ afterMs: 250 }],
  dtlsRepeatMs: 4_000,
  associationTimeoutMs: 60_000,
  mtuBytes: 1_200,
  datagramPath: 'user',
  keyLog: false,
};
