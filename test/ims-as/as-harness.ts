import assert from 'node:assert/strict';
import { VirtualTimers } from '../../src/base/timers.ts';
import type {
  Call,
  CallConfig,
  InstructionResult,
  MrmOperation,
  MrmReply,
  Outcome,
} from '../../src/ims-as/call/types.ts';
import type { DialogsElsewhere } from '../../src/ims-as/dialogs-elsewhere.ts';
import { Dispatcher } from '../../src/ims-as/dispatcher.ts';
import type { ChannelRecord } from '../../src/ims-as/records/channel-record.ts';
import { ChannelLedger } from '../../src/ims-as/records/ledger.ts';
import type { MediaInstruction, SessionEventNotification } from '../../src/services/nimsas.ts';
import type { MediaContext, MediaInfo } from '../../src/services/nmf-mrm.ts';
import { parseMessage, parseUri } from '../../src/sip/message/index.ts';
import { clientKey, serverKey } from '../../src/sip/transaction/index.ts';
import type { Flow, ServerKey, SipMessage } from '../../src/sip/types.ts';
import { SIMULATED_CONFIG } from '../simulator/as-node.ts';
import { MF_FINGERPRINT } from './sdp-examples.ts';

export const AS = '127.0.0.1:5080';
const FLOW: Flow = {
  transport: 'udp',
  remoteAddress: '127.0.0.9',
  remotePort: 5060,
  localAddress: '127.0.0.1',
  localPort: 5080,
};

export interface Sent {
  readonly kind: 'request' | 'response' | 'ack';
  readonly wire: string;
  readonly message: SipMessage;
  readonly nextHop: string;
  readonly key?: ServerKey;
}

export interface MfPlace {
  readonly mf: string;
  readonly contextId: string;
  readonly address: string;
}
export const MF_1: MfPlace = { mf: 'mf1', contextId: 'ctx-1', address: '198.51.100.5' };
/** Where lost lines go. */
export const MF_2: MfPlace = { mf: 'mf2', contextId: 'ctx-2', address: '198.51.100.6' };

export interface InviteOptions {
  readonly sdp?: string;
  readonly headers?: string;
  readonly contentType?: string;
  readonly route?: string;
  readonly uri?: string;
  readonly maxForwards?: number;
  readonly callId?: string;
  /** Further parameters of Contact, each with its semicolon. */
  readonly contact?: string;
  /** Contact says nothing of data channels. */
  readonly incapable?: boolean;
}

/** The AS without sockets: the test is the transaction layer, the DCSF and the MF, message by message. */
export class AsHarness {
  readonly timers = new VirtualTimers();
  readonly dispatcher: Dispatcher;
  readonly sent: Sent[] = [];
  readonly cancelled: { branch: string; headers: string }[] = [];
  readonly notifications: { call: string; id: string; notification: SessionEventNotification; deadlineMs: number }[] =
    [];
  readonly mrm: { call: string; id: string; operation: MrmOperation; deadlineMs: number }[] = [];
  readonly ended: Call[] = [];
  readonly records: ChannelRecord[] = [];
  readonly ledger = new ChannelLedger({
    timers: this.timers,
    figuresWaitMs: 5_000,
    write: (record) => void this.records.push(record),
  });
  #serial = 0;
  #port = 50_000;

  constructor(
    options: {
      config?: Partial<CallConfig>;
      maxCalls?: number;
      worker?: number;
      elsewhere?: DialogsElsewhere;
      onError?: (error: unknown) => void;
    } = {},
  ) {
    const { worker = 0 } = options;
    this.dispatcher = new Dispatcher({
      sip: {
        respond: (key, _status, wire) => this.#record('response', wire, '', key),
        request: ({ wire, nextHop }) => this.#record('request', wire, nextHop),
        transmit: (wire, nextHop) => this.#record('ack', wire, nextHop),
        cancel: (branch, headers) => void this.cancelled.push({ branch, headers }),
        local: () => ({ via: `SIP/2.0/UDP ${AS}`, contact: AS }),
        isOurs: (uri) => {
          const parsed = parseUri(uri);
          return parsed?.kind === 'sip' && `${parsed.host}:${parsed.port}` === AS;
        },
      },
      services: {
        notify: (call, id, notification, deadlineMs) =>
          void this.notifications.push({ call, id, notification, deadlineMs }),
        mrm: (call, id, operation, deadlineMs) => void this.mrm.push({ call, id, operation, deadlineMs }),
      },
      timers: this.timers,
      config: { ...SIMULATED_CONFIG, ...options.config },
      repairs: { perSecond: 1, burst: 1 },
      sessionCase: 'originating',
      maxCalls: options.maxCalls ?? 10,
      mintId: () => `as.${worker}.1.${this.#serial++}x`,
      worker,
      elsewhere: options.elsewhere,
      random: (bytes) =>
        (this.#serial++)
          .toString(16)
          .padStart(bytes * 2, '0')
          .slice(-bytes * 2),
      onEvent: (call) => this.ledger.look(call),
      onEnded: (call) => {
        this.ledger.over(call);
        this.ended.push(call);
      },
      onError:
        options.onError ??
        ((error) => {
          throw error;
        }),
    });
  }

  #record(kind: Sent['kind'], wire: string, nextHop: string, key?: ServerKey): void {
    const parsed = parseMessage(wire);
    assert.ok('message' in parsed, `we sent a malformed message:\n${wire}`);
    this.sent.push({ kind, wire, message: parsed.message, nextHop, ...(key === undefined ? {} : { key }) });
  }

  /** Takes what was sent since the last call. */
  take(): Sent[] {
    return this.sent.splice(0);
  }

  /** The only thing sent since the last call. */
  only(): Sent {
    const sent = this.take();
    assert.equal(sent.length, 1, `sent ${sent.map((one) => one.wire.split('\r\n', 1)[0]).join(' | ')}`);
    return sent[0]!;
  }

  /** `stray`: the transaction layer knows no request that it answers. */
  receive(wire: string, stray = false): SipMessage {
    const parsed = parseMessage(wire);
    assert.ok('message' in parsed, wire.slice(0, 400));
    const { message } = parsed;
    const { dispatcher } = this;
    if (stray) dispatcher.transactionEvent({ kind: 'strayResponse', message });
    else if (!message.isRequest)
      dispatcher.transactionEvent({ kind: 'response', key: clientKey(message.via.branch, message.method), message });
    else if (message.method === 'ACK') dispatcher.transactionEvent({ kind: 'ack', message, flow: FLOW });
    else if (message.method === 'CANCEL')
      dispatcher.transactionEvent({ kind: 'cancel', key: serverKey(message, 'INVITE'), message });
    else dispatcher.transactionEvent({ kind: 'request', key: serverKey(message), message, flow: FLOW });
    return message;
  }

  invite(options: InviteOptions = {}): SipMessage {
    const { sdp = '', headers = '', contentType = 'application/sdp', uri = 'sip:bob@ims.example' } = options;
    const route = options.route ?? `<sip:${AS};lr;orig>, <sip:odi-1@127.0.0.9:6060;lr>`;
    return this.receive(
      `INVITE ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:6060;branch=z9hG4bKa${this.#serial++}\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKue\r\n` +
        `Max-Forwards: ${options.maxForwards ?? 68}\r\n${route === '' ? '' : `Route: ${route}\r\n`}Record-Route: <sip:rr1@127.0.0.9:6060;lr>\r\nRecord-Route: <sip:rr2@127.0.0.9:6061;lr>\r\n` +
        `From: "Alice, A" <sip:alice@ims.example>;tag=alice1\r\nTo: <sip:bob@ims.example>\r\nCall-ID: ${options.callId ?? 'call-a'}\r\nCSeq: 7 INVITE\r\n` +
        `Contact: <sip:alice@192.0.2.10:5060>${options.incapable === true ? '' : ';+sip.app-subtype="webrtc-datachannel"'}${options.contact ?? ''};audio;expires=60\r\n${headers}` +
        `${sdp === '' ? '' : `Content-Type: ${contentType}\r\n`}Content-Length: ${sdp.length}\r\n\r\n${sdp}`,
    );
  }

  /** A response of the callee to a request that we sent. */
  respond(
    request: SipMessage,
    status: number,
    options: { tag?: string; sdp?: string; headers?: string; contact?: string; stray?: boolean } = {},
  ): SipMessage {
    const { tag = 'bob1', sdp = '', headers = '' } = options;
    const contact =
      options.contact ?? 'Contact: <sip:bob@198.51.100.20:5060>;+sip.app-subtype="webrtc-datachannel";video\r\n';
    const to = request.toTag === '' && status > 100 ? `${request.first('to')};tag=${tag}` : (request.first('to') ?? '');
    return this.receive(
      `SIP/2.0 ${status} Reason\r\n${request.span('via')}Record-Route: <sip:rr3@127.0.0.9:6060;lr>\r\nRecord-Route: <sip:rr4@127.0.0.9:6062;lr>\r\n` +
        `${request.span('from')}To: ${to}\r\n${request.span('call-id')}${request.span('cseq')}${contact}${headers}` +
        `${sdp === '' ? '' : 'Content-Type: application/sdp\r\n'}Content-Length: ${sdp.length}\r\n\r\n${sdp}`,
      options.stray,
    );
  }

  /** A request of the peer inside the dialog that `sent` (a response to it, or a request) belongs to. */
  inDialog(
    method: string,
    from: 'caller' | 'callee',
    of: SipMessage,
    cseq: number,
    options: { sdp?: string; headers?: string; type?: string; maxForwards?: number } = {},
  ): SipMessage {
    const { sdp = '', headers = '', type = 'application/sdp', maxForwards = 70 } = options;
    const caller = from === 'caller';
    const ours = caller ? of.toTag : of.fromTag;
    const theirs = caller ? 'alice1' : 'bob1';
    const parties = caller
      ? ['<sip:alice@ims.example>', '<sip:bob@ims.example>']
      : ['<sip:bob@ims.example>', '"Alice, A" <sip:alice@ims.example>'];
    const contact =
      method === 'INVITE' || method === 'UPDATE' ? `Contact: <sip:${from}@192.0.2.${caller ? 10 : 20}>;moved\r\n` : '';
    return this.receive(
      `${method} sip:as@${AS} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:6060;branch=z9hG4bKd${this.#serial++}\r\nMax-Forwards: ${maxForwards}\r\n` +
        `From: ${parties[0]};tag=${theirs}\r\nTo: ${parties[1]};tag=${ours}\r\nCall-ID: ${of.callId}\r\nCSeq: ${cseq} ${method}\r\n${contact}${headers}` +
        `${sdp === '' ? '' : `Content-Type: ${type}\r\n`}Content-Length: ${sdp.length}\r\n\r\n${sdp}`,
    );
  }

  cancel(invite: SipMessage): void {
    this.receive(
      `CANCEL ${invite.requestUri} SIP/2.0\r\n${/^Via:.*\r\n/m.exec(invite.span('via'))?.[0] ?? ''}${invite.span('from')}${invite.span('to')}${invite.span('call-id')}CSeq: ${invite.cseq} CANCEL\r\nReason: SIP;cause=200\r\nContent-Length: 0\r\n\r\n`,
    );
  }

  // DC1, DC2

  get lastNotification() {
    const last = this.notifications.at(-1);
    assert.ok(last, 'nothing was notified');
    return last;
  }

  events(): string[] {
    return this.notifications.map(({ notification }) => notification.notificationEvent.eventType);
  }

  notified(outcome: Outcome = { ok: true, value: undefined }): void {
    this.dispatcher.notified(this.lastNotification.call, this.lastNotification.id, outcome);
  }

  instruct(set: Record<string, MediaInstruction>, key = `k${this.#serial++}`): Promise<InstructionResult> {
    return this.dispatcher.instruct(
      { sessionId: this.lastNotification.notification.sessionId, mediaInstructionSet: set },
      key,
    );
  }

  /** Answers the last MRM request as our MF would, or another one, `at` its own address. */
  mfAnswers(outcome?: Outcome<MrmReply>, at: MfPlace = MF_1): void {
    const last = this.mrm.at(-1);
    assert.ok(last, 'nothing was asked of the MF');
    const { operation } = last;
    const reply = {
      mf: at.mf,
      ...(operation.method === 'POST' ? { context: this.#filled(operation.context, at) } : {}),
    };
    this.dispatcher.mrmReplied(last.call, last.id, outcome ?? { ok: true, value: reply });
  }

  #filled(context: MediaContext, at: MfPlace): MediaContext {
    const fill = (media: MediaInfo): MediaInfo => ({
      ...media,
      localMbEndpoint: media.localMbEndpoint ?? {
        ip: { ipv4Addr: at.address },
        transport: 'UDP',
        portNumber: this.#port++,
      },
      dcMedia: {
        ...media.dcMedia!,
        imsdc: { maxMessageSizeBytes: 65_536 },
        localMdc1Endpoint: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 7000 },
        localDcEndpoint: {
          sctpPort: 5000,
          fingerprints: [MF_FINGERPRINT],
          tlsId: `mf0tlsid${this.#port}${'0'.repeat(7)}`,
          securitySetup: 'ACTIVE',
        },
      },
    });
    return {
      contextId: at.contextId,
      terminations: context.terminations.map((t) => ({ ...t, medias: t.medias.map(fill) })),
    };
  }

  lastPatch(): { path: string; op: string; value?: unknown }[] {
    const last = this.mrm.at(-1)?.operation;
    assert.equal(last?.method, 'PATCH');
    return last?.method === 'PATCH' ? [...last.patch] : [];
  }

  context(): MediaContext {
    const post = this.mrm.findLast(({ operation }) => operation.method === 'POST')?.operation;
    assert.ok(post?.method === 'POST', 'no POST');
    return post.context;
  }
}

const stream = (id: number) => ({ [id]: { streamId: id, subprotocol: 'http' } });
const bootstrapSpec = (id: number): NonNullable<MediaInstruction['dcMediaSpecification']> => ({
  mediaProxyConfig: 'HTTP_PROXY',
  replaceHttpUrls: { [id]: { streamId: id, replaceHttpUrl: `http://127.0.0.1:8090/bdc/v1/${id}/` } },
  mdc1EndpointDcsf: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 8090 },
  streams: stream(id),
});

export const terminate = (mediaId: string, id: number): Record<string, MediaInstruction> => ({
  [mediaId]: {
    mediaId,
    mediaResourceType: 'DC',
    mediaInstruction: 'TERMINATE_MEDIA',
    dcMediaSpecification: bootstrapSpec(id),
  },
});
export const relay = (mediaId: string, ...ids: number[]): Record<string, MediaInstruction> => ({
  [mediaId]: {
    mediaId,
    mediaResourceType: 'DC',
    mediaInstruction: 'TERMINATE_AND_ORIGINATE_MEDIA',
    dcMediaSpecification: { mediaProxyConfig: 'DC_APPLICATION_PROXY', streams: Object.assign({}, ...ids.map(stream)) },
  },
});
export const flow = (mediaId: string, ...ids: number[]): Record<string, MediaInstruction> => ({
  [mediaId]: {
    ...relay(mediaId, ...ids)[mediaId]!,
    dcMediaSpecification: { mediaProxyConfig: 'UDP_PROXY', streams: Object.assign({}, ...ids.map(stream)) },
  },
});
export const originate = (
  mediaId: string,
  id: number,
  towards: 'served' | 'remote',
): Record<string, MediaInstruction> => ({
  [mediaId]: {
    mediaId,
    mediaResourceType: 'DC',
    mediaInstruction: 'ORIGINATE_MEDIA',
    dcMediaSpecification: { ...bootstrapSpec(id), imsdcTowards: towards },
  },
});
export const reject = (mediaId: string): Record<string, MediaInstruction> => ({
  [mediaId]: { mediaId, mediaResourceType: 'DC', mediaInstruction: 'REJECT_MEDIA' },
});
export const pass = (mediaId: string): Record<string, MediaInstruction> => ({
  [mediaId]: { mediaId, mediaResourceType: 'DC' },
});
export const remove = (mediaId: string): Record<string, MediaInstruction> => ({
  [mediaId]: { mediaId, mediaResourceType: 'DC', mediaInstruction: 'DELETE_MEDIA' },
});
