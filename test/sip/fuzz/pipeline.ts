import assert from 'node:assert/strict';
import { VirtualTimers } from '../../../src/base/timers.ts';
import { Dispatcher } from '../../../src/ims-as/dispatcher.ts';
import { MessageWriter, parseMessage } from '../../../src/sip/message/index.ts';
import { OverloadControl } from '../../../src/sip/overload/index.ts';
import { Transactions } from '../../../src/sip/transaction/index.ts';
import type { Destination, Flow, TransactionLayerEffect, TransactionUserEvent } from '../../../src/sip/types.ts';
import { SIMULATED_CONFIG } from '../../simulator/as-node.ts';
import type { AnswerShape } from './grammar.ts';

const HOST = '192.0.2.100';
const PEER: Destination = { transport: 'udp', address: '192.0.2.1', port: 5060 };
const FLOW: Flow = {
  transport: 'udp',
  remoteAddress: PEER.address,
  remotePort: PEER.port,
  localAddress: HOST,
  localPort: 5060,
};

/**
 * From the bytes of a datagram to the call and back, in virtual time: parser, overload control, transactions, and the AS
 * with a DCSF that agrees to everything and an MF that is never there. Whatever throws in it, fails the test.
 */
export class Pipeline {
  readonly timers = new VirtualTimers();
  readonly layer: Transactions;
  readonly dispatcher: Dispatcher;
  /** Requests that the AS has sent and nobody has answered. */
  readonly asked: string[] = [];
  answers = 0;
  readonly #overload = new OverloadControl({
    peerRequestsPerSecond: 1000,
    peerBurst: 1000,
    userRequestsPerSecond: 1000,
    userBurst: 1000,
    loopLagMs: 100,
    retryAfterSeconds: 1,
  });
  readonly #events: TransactionUserEvent[] = [];
  readonly #replies: (() => void)[] = [];
  #serial = 0;

  constructor() {
    this.layer = new Transactions(
      { emit: (effect) => this.#perform(effect) },
      { admit: (...request) => this.#overload.admit(...request) },
    );
    this.dispatcher = new Dispatcher({
      timers: this.timers,
      config: SIMULATED_CONFIG,
      sessionCase: 'originating',
      maxCalls: 100,
      mintId: () => `as.0.1.${this.#serial++}x`,
      random: (bytes) => '0123456789abcdef'.repeat(bytes).slice(0, bytes * 2),
      onEnded: () => undefined,
      onError: (error) => {
        throw error;
      },
      sip: {
        respond: (key, status, wire) => this.layer.respond(key, status, readable(wire), this.#now),
        request: ({ wire, method, branch }) =>
          this.layer.request({ wire: readable(wire), method, branch, to: PEER }, this.#now),
        transmit: (wire) => readable(wire),
        cancel: (branch, headers) => this.layer.cancel(`${branch} INVITE` as never, this.#now, headers),
        local: () => ({ via: `SIP/2.0/UDP ${HOST}:5060`, contact: `${HOST}:5060` }),
        isOurs: (uri) => uri.includes(HOST),
      },
      services: {
        notify: (call, id) =>
          void this.#replies.push(() => this.dispatcher.notified(call, id, { ok: true, value: undefined })),
        mrm: (call, id) =>
          void this.#replies.push(() =>
            this.dispatcher.mrmReplied(call, id, { ok: false, status: 503, detail: 'none' }),
          ),
      },
    });
  }

  get #now(): number {
    return this.timers.nowMs();
  }

  /** One datagram; false when the parser refused it. */
  receive(text: string): boolean {
    const result = parseMessage(Buffer.from(text, 'latin1'));
    if ('error' in result) {
      const { error } = result;
      assert.ok([400, 413, 414, 505, 513].includes(error.status), `${error.status} ${error.reason}`);
      return false;
    }
    const { message } = result;
    if (message.isRequest) {
      message.stampReceived(FLOW.remoteAddress, FLOW.remotePort, this.#overload.feedback(message, this.#now));
    }
    this.layer.receive(message, FLOW, this.#now);
    this.#settle();
    return true;
  }

  /** The peer answers the oldest request that the AS has sent. */
  answer(shape: AnswerShape): void {
    const request = shape.status < 200 ? this.asked[0] : this.asked.shift();
    const result = request === undefined ? undefined : parseMessage(request, true);
    if (result === undefined || 'error' in result) return;
    const { message } = result;
    this.receive(
      MessageWriter.response(shape.status)
        .copy(message, 'via')
        .copy(message, 'from')
        .header('To', `${message.first('to')};tag=${shape.tag}`)
        .copy(message, 'call-id')
        .copy(message, 'cseq')
        .lines(shape.extras)
        .finish(shape.body[1], shape.body[0]),
    );
  }

  pass(ms: number): void {
    this.timers.advance(ms);
    this.#settle();
  }

  #perform(effect: TransactionLayerEffect): void {
    if (effect.kind === 'toUser') this.#events.push(effect.event);
    else if (effect.kind === 'arm') {
      this.timers.after(effect.atMs - this.#now, () => this.layer.timerDue(effect.timer, this.#now));
    } else if (effect.kind === 'transmit') {
      readable(effect.wire);
      if (effect.wire.startsWith('SIP/2.0')) this.answers++;
      else if (!effect.wire.startsWith('ACK ') && !this.asked.includes(effect.wire)) this.asked.push(effect.wire);
    }
  }

  #settle(): void {
    for (let turns = 0; this.#events.length + this.#replies.length > 0; turns++) {
      assert.ok(turns < 1000, 'one message keeps the AS busy for ever');
      const event = this.#events.shift();
      if (event !== undefined) this.dispatcher.transactionEvent(event);
      else this.#replies.shift()!();
    }
  }
}

/** What we write ourselves, whatever it was made from, must be readable to our own parser. */
function readable(wire: string): string {
  const result = parseMessage(wire, true);
  if ('error' in result) assert.fail(`we wrote what we would refuse (${result.error.reason}):\n${wire}`);
  return wire;
}
