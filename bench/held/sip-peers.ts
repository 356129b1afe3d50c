import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { parseMessage } from '../../src/sip/message/index.ts';
import type { SipMessage } from '../../src/sip/types.ts';
import { imsInvite } from '../lib/ims-invite.ts';

export const FINGERPRINT = Array.from({ length: 32 }, (_, byte) =>
  (byte * 37).toString(16).padStart(2, '0').slice(-2).toUpperCase(),
).join(':');

/** What a caller remembers of a call that stands. */
interface Standing {
  readonly number: number;
  readonly callId: string;
  readonly fromTag: string;
  toTag: string;
  target: string;
  cseq: number;
  offer: string;
}

export interface HeldCalls {
  readonly calls: number;
  /** Number of the first: no two calls at one AS may be the same. */
  readonly first?: number;
}

/** Requests that wait for their answer at once: keeps the AS busy without a queue that its peers would repeat for. */
const OPEN = 50;

/** Caller and callee of many calls on one socket: every line is taken, and each step is done for all of them. */
export class HoldingPeers {
  readonly #socket: Socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  readonly #template = oneBootstrap(imsInvite());
  readonly #calls = new Map<string, Standing>();
  #asPort = 0;
  #answered = 0;
  #failure: Error | undefined;
  #wake: () => void = () => undefined;

  /** Sets calls up. Rejects when one is refused. */
  async hold(asPort: number, { calls, first = 0 }: HeldCalls): Promise<void> {
    this.#asPort = asPort;
    this.#socket.bind(0, '127.0.0.1');
    await once(this.#socket, 'listening');
    this.#socket.on('message', (bytes) => this.#take(bytes));
    const numbers = Array.from({ length: calls }, (_, index) => first + index);
    await this.#each(numbers, (number) => this.#send(this.#invite(number)));
  }

  /** A re-INVITE of each caller, with `change` made to its last offer. */
  async reinvite(change: (offer: string) => string): Promise<void> {
    await this.#each([...this.#calls.values()], (call) => {
      call.cseq++;
      call.offer = change(call.offer).replace(/^(o=\S+ \S+) \d+/m, `$1 ${call.cseq + 1}`);
      this.#send(this.#request('INVITE', call, call.offer));
    });
  }

  /** Each caller ends its call. */
  async bye(): Promise<void> {
    await this.#each([...this.#calls.values()], (call) => {
      call.cseq++;
      this.#send(this.#request('BYE', call));
    });
    this.#calls.clear();
  }

  close(): void {
    this.#socket.close();
  }

  async #each<T>(items: readonly T[], start: (item: T) => void): Promise<void> {
    this.#answered = 0;
    for (const [index, item] of items.entries()) {
      start(item);
      while (index + 1 - this.#answered >= OPEN) await this.#change();
    }
    while (this.#answered < items.length) await this.#change();
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.#failure !== undefined) throw this.#failure;
  }

  #send(wire: string): void {
    this.#socket.send(Buffer.from(wire, 'latin1'), this.#asPort, '127.0.0.1');
  }

  get #me(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  #invite(number: number): string {
    const wire = this.#template
      .replace(/Via: SIP\/2\.0\/UDP [^;]+;branch=[^;]+/, `Via: SIP/2.0/UDP ${this.#me};branch=z9hG4bKheld${number}`)
      .replace(
        /Route: <[^>]+>\r\nRoute: <[^>]+>/,
        `Route: <sip:127.0.0.1:${this.#asPort};lr>\r\nRoute: <sip:odi-3f8a91c2d4@${this.#me};lr;orig>`,
      )
      .replace(/Record-Route: <sip:mo@scscf1[^>]+>/, `Record-Route: <sip:mo@${this.#me};lr=on;ftag=171828>`)
      .replace(/\+1312555(0101|0199)/g, (_, end: string) => `+1${312_555_0000 + number * 2}${end}`)
      .replace('tag=171828\r\n', `tag=17182${number}\r\n`)
      .replace(/Call-ID: [^@]+/, `Call-ID: cb03a0s09a2sdfglkj490333-${number}`)
      .replace('tls-id:abc3de65cddef001be82', `tls-id:${number.toString().padStart(20, 'a')}`);
    const callId = /Call-ID: (.*)/.exec(wire)![1]!.trim();
    const offer = wire.slice(wire.indexOf('\r\n\r\n') + 4);
    const fromTag = `17182${number}`;
    this.#calls.set(callId, { number, callId, fromTag, toTag: '', target: '', cseq: 127, offer });
    return wire;
  }

  /** A request of the caller inside the dialog. */
  #request(method: string, call: Standing, sdp = '', cseq = call.cseq): string {
    const { number, callId, fromTag, toTag, target } = call;
    const body =
      sdp === ''
        ? 'Content-Length: 0\r\n\r\n'
        : `Contact: <sip:alice@${this.#me}>;+sip.app-subtype="webrtc-datachannel";audio\r\nContent-Type: application/sdp\r\nContent-Length: ${sdp.length}\r\n\r\n${sdp}`;
    return (
      `${method} ${target} SIP/2.0\r\nVia: SIP/2.0/UDP ${this.#me};branch=z9hG4bK${method}${number}-${cseq}\r\nMax-Forwards: 70\r\n` +
      `From: <sip:alice@ims>;tag=${fromTag}\r\nTo: <sip:bob@ims>;tag=${toTag}\r\nCall-ID: ${callId}\r\nCSeq: ${cseq} ${method}\r\n${body}`
    );
  }

  #take(bytes: Buffer): void {
    const parsed = parseMessage(bytes);
    if (!('message' in parsed)) this.#failure = new Error(parsed.error.reason);
    else if (parsed.message.isRequest) this.#asCallee(parsed.message);
    else this.#asCaller(parsed.message);
    this.#wake();
  }

  #asCallee(request: SipMessage): void {
    if (request.method !== 'ACK') this.#send(accepting(request, this.#me));
  }

  #asCaller(response: SipMessage): void {
    const { status, callId, method } = response;
    const call = this.#calls.get(callId);
    if (status < 200 || call === undefined) return;
    if (status >= 300) {
      this.#failure = new Error(`${status} ${response.reason} to ${method}`);
      return;
    }
    this.#answered++;
    if (method !== 'INVITE') return;
    if (/^m=\w+ 0 /m.test(response.body)) this.#failure = new Error(`a line was refused:\n${response.body}`);
    call.toTag = response.toTag;
    call.target = /<([^>]+)>/.exec(response.first('contact') ?? '')?.[1] ?? call.target;
    this.#send(this.#request('ACK', call, '', response.cseq));
  }
}

/** Audio and one bootstrap line; the INVITE of the parser's bench has more. */
function oneBootstrap(invite: string): string {
  const [head = '', body = ''] = invite.split('\r\n\r\n');
  const sections = body.split(/(?=^m=)/m);
  const kept = [sections[0], sections[1], sections[3]].join('');
  return `${head.replace(/Content-Length: \d+/, `Content-Length: ${kept.length}`)}\r\n\r\n${kept}`;
}

/** 200 of a callee that takes what it is offered; its own values stay the same through the call. */
function accepting(request: SipMessage, me: string): string {
  const { callId, toTag, cseq } = request;
  const own = callId.replace(/[^A-Za-z0-9]/g, '').slice(-18);
  let line = 0;
  const body = request.body
    .replace(/^o=.*$/m, `o=- 9000000 ${cseq} IN IP4 192.0.2.77`)
    .replace(/^(m=\w+) [1-9]\d*/gm, '$1 40004')
    .replace(/^a=sendonly/gm, 'a=recvonly')
    .replace(/a=setup:actpass/g, 'a=setup:active')
    .replace(/a=fingerprint:.*/g, `a=fingerprint:SHA-256 ${FINGERPRINT}`)
    .replace(/a=tls-id:.*/g, () => `a=tls-id:${own.padStart(18, 'b')}0${line++}`);
  const to = request.span('to').trimEnd() + (toTag === '' ? `;tag=b${own}` : '');
  const head = `SIP/2.0 200 OK\r\n${request.span('via')}${request.span('record-route')}${request.span('from')}${to}\r\n${request.span('call-id')}${request.span('cseq')}`;
  if (body === '') return `${head}Content-Length: 0\r\n\r\n`;
  const contact = `Contact: <sip:bob@${me}>;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel";+sip.app-subtype="webrtc-datachannel";audio\r\n`;
  return `${head}${contact}Content-Type: application/sdp\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
