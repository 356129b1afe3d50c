import { createPrivateKey, X509Certificate } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { ImsdcError } from '../../../errors.ts';
import { LOCAL_SCTP_PORT, MAX_MESSAGE_BYTES, MAX_STREAM_ID, PlainAssociation } from '../../../ndc/association.ts';
import type { OuterPort } from '../../../ndc/outer-port.ts';
import { decodeBody, type FrameHeader, NO_HANDLE, type RawFrame } from '../codec.ts';
import type { FrameSocket } from '../frame-socket.ts';
import { FRAMES, PROTOCOL_VERSION, WORKER_ERRORS } from '../protocol.ts';
import { Association } from './association.ts';
import { Flow } from './flow.ts';
import { type Hello, Refusal } from './limits.ts';
import { flowStats } from './stats.ts';

/** TRACE_DATA is dropped while the engine has this much unread. */
const MAX_TRACE_BACKLOG_BYTES = 1 << 20;
const LOOP_LAG_RESOLUTION_MS = 10;

interface Handle {
  readonly generation: number;
  /** Null while its port is being bound or freed. */
  media: Association | Flow | null;
}

/** The embedded worker: answers each frame of the protocol with node-datachannel. */
export class EmbeddedWorker {
  readonly #control: FrameSocket;
  readonly #payload: FrameSocket;
  readonly #handles = new Map<number, Handle>();
  readonly #lag = monitorEventLoopDelay({ resolution: LOOP_LAG_RESOLUTION_MS });
  #hello: Hello | null = null;
  #fingerprint = '';
  #draining = false;
  #overloaded = false;
  #lateFrames = 0;

  constructor(sockets: { control: FrameSocket; payload: FrameSocket }) {
    this.#control = sockets.control;
    this.#payload = sockets.payload;
    this.#lag.enable();
  }

  onControl(frame: RawFrame): void {
    this.#serve(frame).catch((error: unknown) => this.#refuse(frame, error));
  }

  onPayload(frame: RawFrame): void {
    const media = this.#live(frame);
    if (!(media instanceof Association)) {
      this.#lateFrames++;
      return;
    }
    if (frame.name === 'CREDIT') {
      const { streamId, bytes } = decodeBody('CREDIT', frame.body);
      media.grant(streamId, bytes);
    } else if (frame.name === 'PAYLOAD') media.fromEngine(decodeBody('PAYLOAD', frame.body));
    else throw new ImsdcError('WORKER_PROTOCOL', { problem: `${frame.name} on the payload socket` });
  }

  #refuse(frame: RawFrame, error: unknown): void {
    const code = error instanceof Refusal ? error.code : codeOf(error);
    const detail = error instanceof Error ? error.message : String(error);
    this.#control.send('ERROR', frame, { code: WORKER_ERRORS[code].value, detail: detail.slice(0, 128) });
    if (!this.#hello) this.#control.finish(`HELLO refused: ${detail}`);
  }

  async #serve(frame: RawFrame): Promise<void> {
    if (FRAMES[frame.name].from !== 'engine' || FRAMES[frame.name].socket !== 'control') {
      throw new Refusal('BAD_FRAME', frame.name);
    }
    if (!this.#hello && frame.name !== 'HELLO') return this.#control.end('the first frame is not HELLO');
    switch (frame.name) {
      case 'HELLO':
        return this.#onHello(frame);
      case 'RESERVE':
        return this.#onReserve(frame);
      case 'START':
        await this.#association(frame).start(decodeBody('START', frame.body));
        return this.#control.reply('START', frame, {});
      case 'UPDATE':
        this.#association(frame).update(decodeBody('UPDATE', frame.body));
        return this.#control.reply('UPDATE', frame, {});
      case 'STREAMS':
        return this.#control.reply(
          'STREAMS',
          frame,
          this.#association(frame).setStreams(decodeBody('STREAMS', frame.body)),
        );
      case 'ROUTE':
        return this.#onRoute(frame);
      case 'FLOW':
        return this.#onFlow(frame);
      case 'RELEASE':
        return this.#onRelease(frame);
      case 'RESET_STREAM':
        this.#association(frame).resetByEngine(decodeBody('RESET_STREAM', frame.body).streamId);
        return this.#control.reply('RESET_STREAM', frame, {});
      case 'STATS':
        return this.#onStats(frame);
      case 'TRACE':
        return this.#onTrace(frame);
      case 'DRAIN':
        this.#draining = true;
        return this.#control.reply('DRAIN', frame, {});
      case 'PING':
        return this.#onPing(frame);
    }
  }

  #onHello(frame: RawFrame): void {
    const hello = decodeBody('HELLO', frame.body);
    if (hello.version !== PROTOCOL_VERSION) throw new Refusal('VERSION_UNSUPPORTED', `${hello.version}`);
    try {
      const certificate = new X509Certificate(hello.certificatePem);
      if (!certificate.checkPrivateKey(createPrivateKey(hello.keyPem)))
        throw new Error('the key is of another certificate');
      this.#fingerprint = `sha-256 ${certificate.fingerprint256}`;
    } catch (error) {
      throw new Refusal('BAD_CERTIFICATE', (error as Error).message);
    }
    this.#hello = hello;
    this.#control.send('WELCOME', frame, {
      version: PROTOCOL_VERSION,
      engine: 'embedded',
      pid: process.pid,
      software: `node-datachannel, Node ${process.version}`,
      maxStreamId: MAX_STREAM_ID,
      maxMessageSizeBytes: Math.min(hello.maxMessageSizeBytes, MAX_MESSAGE_BYTES),
      ice: true,
      receiveBackPressure: false,
      forking: true,
      kernelDatagrams: false,
      trace: true,
      keyLog: false,
    });
  }

  async #onReserve(frame: RawFrame): Promise<void> {
    const body = decodeBody('RESERVE', frame.body);
    const hello = this.#admit(frame);
    const shared = body.sharedHandle === 0 ? null : this.#shared(body.sharedHandle, body.sharedGeneration);
    const plain = await this.#bind(frame, () =>
      PlainAssociation.reserve({
        bindAddress: body.bindAddress,
        port: body.port,
        ice: body.ice,
        certificate: hello,
        highMarkBytes: hello.bufferedBytesPerStream,
        mtuBytes: hello.mtuBytes,
        ...(shared ? { sharedWith: shared.plain } : {}),
      }),
    );
    const sockets = { control: this.#control, payload: this.#payload };
    this.#handles.get(frame.handle)!.media = new Association(plain, hello, frame, sockets);
    this.#control.reply('RESERVE', frame, {
      address: plain.outer.address,
      port: plain.outer.port,
      sctpPort: LOCAL_SCTP_PORT,
      fingerprint: this.#fingerprint,
      iceUfrag: plain.iceUfrag,
      icePwd: plain.icePwd,
    });
  }

  #onRoute(frame: RawFrame): void {
    const body = decodeBody('ROUTE', frame.body);
    const to = this.#live({ handle: body.toHandle, generation: body.toGeneration });
    this.#association(frame).route(body, to instanceof Association ? to : undefined);
    this.#control.reply('ROUTE', frame, {});
  }

  async #onFlow(frame: RawFrame): Promise<void> {
    const body = decodeBody('FLOW', frame.body);
    const known = this.#live(frame);
    if (known instanceof Association) throw new Refusal('HANDLE_IN_USE');
    if (known) known.update(body);
    else {
      this.#admit(frame);
      const flow = await this.#bind(frame, () => Flow.open(body));
      this.#handles.get(frame.handle)!.media = flow;
      return this.#control.reply('FLOW', frame, flow.endpoints());
    }
    this.#control.reply('FLOW', frame, known.endpoints());
  }

  async #onRelease(frame: RawFrame): Promise<void> {
    decodeBody('RELEASE', frame.body);
    const media = this.#live(frame);
    if (!media) {
      return this.#control.reply('RELEASE', frame, {
        bytesReceived: 0,
        bytesSent: 0,
        messagesReceived: 0,
        messagesSent: 0,
        dropped: 0,
      });
    }
    this.#handles.get(frame.handle)!.media = null;
    let counters: ReturnType<Flow['counters']>;
    if (media instanceof Association) counters = await media.release();
    else {
      counters = media.counters();
      await media.close();
    }
    this.#handles.delete(frame.handle);
    this.#control.reply('RELEASE', frame, counters);
  }

  #onStats(frame: RawFrame): void {
    const { handles } = decodeBody('STATS', frame.body);
    const records = handles.flatMap((reference) => {
      const media = this.#live(reference);
      if (!media) return [];
      return [media instanceof Association ? media.stats() : flowStats(media, reference)];
    });
    this.#control.send('STATS_DATA', frame, {
      associations: this.#handles.size,
      memoryBytes: process.memoryUsage.rss(),
      lateFrames: this.#lateFrames,
      datagramsIgnored: this.#ports().reduce((sum, port) => sum + port.counters.datagramsIgnored, 0),
      records,
    });
  }

  #onTrace(frame: RawFrame): void {
    const { on } = decodeBody('TRACE', frame.body);
    const media = this.#live(frame);
    if (!media) throw new Refusal('UNKNOWN_HANDLE');
    const header = { ...frame, requestId: 0 };
    const trace: NonNullable<OuterPort['onTrace']> = (sent, datagram, remote) => {
      if (this.#payload.queuedBytes > MAX_TRACE_BACKLOG_BYTES || datagram.length > 2048) return;
      const atUs = Math.round((performance.timeOrigin + performance.now()) * 1000);
      const { address: remoteAddress, port: remotePort } = remote;
      this.#payload.send('TRACE_DATA', header, { sent, atUs, remoteAddress, remotePort, datagram });
    };
    for (const port of portsOf(media)) port.onTrace = on ? trace : null;
    this.#control.reply('TRACE', frame, {});
  }

  #onPing(frame: RawFrame): void {
    const loopLagUs = Math.max(0, Math.round(this.#lag.max / 1000) - LOOP_LAG_RESOLUTION_MS * 1000);
    this.#lag.reset();
    const associations = this.#handles.size;
    this.#control.send('PONG', frame, { loopLagUs: Math.min(loopLagUs, 0xffff_ffff), associations });
    const overloaded = this.#overBudget();
    if (overloaded === this.#overloaded) return;
    this.#overloaded = overloaded;
    this.#control.send('OVERLOAD', NO_HANDLE, { overloaded, memoryBytes: process.memoryUsage.rss(), associations });
  }

  #overBudget(): boolean {
    const hello = this.#hello;
    if (!hello) return false;
    return this.#handles.size >= hello.maxAssociations || process.memoryUsage.rss() > hello.memoryBudgetBytes;
  }

  /** Whether a new handle may be made. */
  #admit(frame: RawFrame): Hello {
    if (this.#draining) throw new Refusal('DRAINING');
    if (this.#handles.has(frame.handle)) throw new Refusal('HANDLE_IN_USE');
    if (frame.handle === 0) throw new Refusal('BAD_FRAME', 'handle 0');
    if (this.#overBudget()) throw new Refusal('BUDGET', `${this.#handles.size} handles`);
    return this.#hello!;
  }

  /** Holds the handle while `bind` runs, so that it cannot be taken twice; a failure frees it again. */
  async #bind<T>(frame: RawFrame, bind: () => Promise<T>): Promise<T> {
    this.#handles.set(frame.handle, { generation: frame.generation, media: null });
    try {
      return await bind();
    } catch (error) {
      this.#handles.delete(frame.handle);
      throw error;
    }
  }

  #live(frame: Pick<FrameHeader, 'handle' | 'generation'>): Association | Flow | null {
    const handle = this.#handles.get(frame.handle);
    return handle?.generation === frame.generation ? handle.media : null;
  }

  #association(frame: RawFrame): Association {
    const media = this.#live(frame);
    if (!(media instanceof Association)) throw new Refusal('UNKNOWN_HANDLE');
    return media;
  }

  #shared(handle: number, generation: number): Association {
    const media = this.#live({ handle, generation });
    if (!(media instanceof Association)) throw new Refusal('UNKNOWN_HANDLE', 'sharedHandle');
    return media;
  }

  #ports(): OuterPort[] {
    return [...this.#handles.values()].flatMap(({ media }) => (media ? portsOf(media) : []));
  }
}

function portsOf(media: Association | Flow): readonly OuterPort[] {
  return media instanceof Association ? [media.plain.outer] : media.ports;
}

function codeOf(error: unknown) {
  if (!(error instanceof ImsdcError)) return 'INTERNAL';
  switch (error.code) {
    case 'WORKER_PROTOCOL':
      return 'BAD_FRAME';
    case 'PORT_UNAVAILABLE':
      return 'PORT_UNAVAILABLE';
    case 'MEDIA_BAD_REMOTE':
      return 'BAD_REMOTE';
    case 'MEDIA_WRONG_STATE':
      return 'WRONG_STATE';
    default:
      return 'INTERNAL';
  }
}
