import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLogger } from '../../src/base/log.ts';
import { SbiServer } from '../../src/sbi/server.ts';
import { MediaContext } from '../../src/services/nmf-mrm.ts';
import { parseMessage } from '../../src/sip/message/index.ts';
import type { SipMessage } from '../../src/sip/types.ts';
import { imsInvite } from '../lib/ims-invite.ts';

const FINGERPRINT = Array.from({ length: 32 }, (_, byte) =>
  (byte * 37).toString(16).padStart(2, '0').slice(-2).toUpperCase(),
).join(':');

/** An MF that grants everything: what a call keeps of it is the same. */
export async function grantingMf(): Promise<SbiServer> {
  const mf = new SbiServer({ host: '127.0.0.1', port: 0, log: silentLogger });
  let serial = 0;
  const id = () => (serial++).toString(36).padStart(20, 'm');
  mf.route<MediaContext>({
    method: 'POST',
    path: '/nmf-mrm/v1/contexts',
    body: MediaContext,
    handler: ({ body }) => {
      const contextId = `mf.0.${id()}`;
      const terminations = body.terminations.map((termination) => ({
        ...termination,
        medias: termination.medias.map((media) => ({
          ...media,
          localMbEndpoint: { ip: { ipv4Addr: '198.18.0.77' }, portNumber: 10_000 + (serial++ % 50_000) },
          dcMedia: {
            ...media.dcMedia!,
            localDcEndpoint: { sctpPort: 5000, fingerprints: [`SHA-256 ${FINGERPRINT}`], tlsId: id() },
          },
        })),
      }));
      return {
        status: 201,
        headers: { location: `/nmf-mrm/v1/contexts/${contextId}` },
        body: { contextId, terminations },
      };
    },
  });
  const done = () => ({ status: 204 });
  const path = '/nmf-mrm/v1/contexts/:contextId';
  mf.route({ method: 'PATCH', path, body: {}, contentType: 'application/json-patch+json', handler: done });
  mf.route({ method: 'DELETE', path, handler: done });
  await mf.listen();
  return mf;
}

/** A repository that takes every grant. */
export async function grantingRepository(): Promise<Server> {
  const answer = JSON.stringify({ bootId: 'bench', accepted: 0, refused: 0, applications: [] });
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.end(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

export const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

/** Caller and callee of all calls on one socket: calls are set up and held. */
export class HoldingPeers {
  readonly #socket: Socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  readonly #template = oneBootstrap(imsInvite());
  #asPort = 0;
  #answered = 0;
  #wake: () => void = () => undefined;

  /** Sets up `calls`, numbered from `first`, with never more than `open` unanswered. Rejects when one is refused. */
  async hold(
    asPort: number,
    { calls, first = 0, open = 50 }: { calls: number; first?: number; open?: number },
  ): Promise<void> {
    this.#asPort = asPort;
    this.#socket.bind(0, '127.0.0.1');
    await once(this.#socket, 'listening');
    const { promise: failed, reject } = Promise.withResolvers<never>();
    this.#socket.on('message', (bytes) => {
      try {
        this.#take(bytes);
      } catch (error) {
        reject(error as Error);
      }
    });
    for (let call = 0; call < calls; call++) {
      this.#send(this.#invite(first + call));
      while (call + 1 - this.#answered >= open) await Promise.race([failed, this.#change()]);
    }
    while (this.#answered < calls) await Promise.race([failed, this.#change()]);
  }

  close(): void {
    this.#socket.close();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #send(wire: string): void {
    this.#socket.send(Buffer.from(wire, 'latin1'), this.#asPort, '127.0.0.1');
  }

  #invite(call: number): string {
    const { port } = this.#socket.address();
    const me = `127.0.0.1:${port}`;
    return this.#template
      .replace(/Via: SIP\/2\.0\/UDP [^;]+;branch=[^;]+/, `Via: SIP/2.0/UDP ${me};branch=z9hG4bKheld${call}`)
      .replace(
        /Route: <[^>]+>\r\nRoute: <[^>]+>/,
        `Route: <sip:127.0.0.1:${this.#asPort};lr>\r\nRoute: <sip:odi-3f8a91c2d4@${me};lr;orig>`,
      )
      .replace(/Record-Route: <sip:mo@scscf1[^>]+>/, `Record-Route: <sip:mo@${me};lr=on;ftag=171828>`)
      .replace(/\+1312555(0101|0199)/g, (_, end: string) => `+1${312_555_0000 + call * 2}${end}`)
      .replace('tag=171828\r\n', `tag=17182${call}\r\n`)
      .replace(/Call-ID: [^@]+/, `Call-ID: cb03a0s09a2sdfglkj490333-${call}`)
      .replace('tls-id:abc3de65cddef001be82', `tls-id:${call.toString().padStart(20, 'a')}`);
  }

  #take(bytes: Buffer): void {
    const parsed = parseMessage(bytes);
    if (!('message' in parsed)) throw new Error(parsed.error.reason);
    const { message } = parsed;
    if (message.isRequest) {
      if (message.method === 'INVITE') this.#send(accepting(message, this.#socket.address().port));
    } else if (message.status >= 300) throw new Error(`${message.status} ${message.reason}`);
    else if (message.status >= 200) {
      this.#send(ackOf(message, this.#socket.address().port));
      this.#answered++;
      this.#wake();
    }
  }
}

/** Audio and one bootstrap line; the INVITE of the parser's bench has more. */
function oneBootstrap(invite: string): string {
  const [head = '', body = ''] = invite.split('\r\n\r\n');
  const sections = body.split(/(?=^m=)/m);
  const kept = [sections[0], sections[1], sections[3]].join('');
  return `${head.replace(/Content-Length: \d+/, `Content-Length: ${kept.length}`)}\r\n\r\n${kept}`;
}

let answers = 0;

/** 200 of a callee that takes every line. */
function accepting(invite: SipMessage, port: number): string {
  const body = invite.body
    .replace(/^o=.*$/m, `o=- ${9_000_000 + answers} 1 IN IP4 192.0.2.77`)
    .replace(/^(m=\w+) \d+/gm, '$1 40004')
    .replace('a=setup:actpass', 'a=setup:active')
    .replace(/a=fingerprint:.*/g, `a=fingerprint:SHA-256 ${FINGERPRINT}`)
    .replace(/a=tls-id:.*/g, `a=tls-id:${(answers++).toString().padStart(20, 'b')}`);
  const contact = `Contact: <sip:bob@127.0.0.1:${port}>;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel";+sip.app-subtype="webrtc-datachannel";audio\r\n`;
  const to = invite.span('to').trimEnd();
  return `SIP/2.0 200 OK\r\n${invite.span('via')}${invite.span('record-route')}${invite.span('from')}${to};tag=b${answers}\r\n${invite.span('call-id')}${invite.span('cseq')}${contact}Content-Type: application/sdp\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function ackOf(ok: SipMessage, port: number): string {
  const target = /<([^>]+)>/.exec(ok.first('contact') ?? '')![1]!;
  return `ACK ${target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bKack${ok.callId.replaceAll('@', '-')}\r\nMax-Forwards: 70\r\n${ok.span('from')}${ok.span('to')}${ok.span('call-id')}CSeq: ${ok.cseq} ACK\r\nContent-Length: 0\r\n\r\n`;
}
