import type { Timer } from '../../src/base/timers.ts';
import { parseAddress, parseRSeq, parseUri } from '../../src/sip/message/index.ts';
import { buildResponse } from '../../src/sip/message/writer.ts';
import { clientKey } from '../../src/sip/transaction/index.ts';
import type { ServerKey, SipMessage, TransactionUserEvent } from '../../src/sip/types.ts';
import type { SipNode } from './network.ts';
import type { Random } from './random.ts';
import type { UeMedia } from './ue-media.ts';
import { Violation } from './violation.ts';

export type Change =
  | 'hold'
  | 'resume'
  | 'addBootstrap'
  | 'addApplication'
  | 'removeApplication'
  | 'renew'
  | 'refresh'
  | 'update'
  | 'info'
  | 'noSdp';

export interface UeBehaviour {
  /** Callee: final answer; 488 only while data channel lines are offered. */
  readonly answer: 200 | 486 | 488 | 'never';
  readonly ringMs: number;
  readonly provisional: 'none' | '180' | '183' | 'reliable183';
  /** Callee: several handsets behind one address; the last one answers. */
  readonly forks: number;
  readonly byeAfterMs: number | undefined;
  readonly changes: readonly { readonly afterMs: number; readonly what: Change }[];
}

interface Dialog {
  callId: string;
  localTag: string;
  remoteTag: string;
  local: string;
  remote: string;
  target: string;
  routes: string[];
  cseq: number;
}

const HEADERS = 'Supported: 100rel, timer\r\nX-Unknown: "a, b" ;c=<d>\r\n';

/** A handset (or a network of them, when it forks): an honest SIP user agent over the real transaction layer. */
export class Ue {
  readonly node: SipNode;
  readonly media: UeMedia;
  readonly behaviour: UeBehaviour;
  readonly #random: Random;
  dialog: Dialog | undefined;
  state: 'idle' | 'calling' | 'established' | 'ended' = 'idle';
  /** Who ended it: 'bye', 'cancel', '486', ... */
  cause = '';
  established = false;
  #acks = new Map<number, string>();
  #twoHundred: { key: ServerKey; wire: string; timer: Timer; cseq: number; tag: string } | undefined;
  #pending = new Map<string, (response: SipMessage) => void>();
  #finals = new Map<string, number>();
  #inviteBranch = '';
  #openInvite = false;
  #serial = 0;
  endedMs = Number.POSITIVE_INFINITY;
  /** When this handset last said or heard an SDP, or was refused one. */
  lastChangeMs = 0;
  #pracked = new Set<string>();
  /** The last moment to look at a call that is up. */
  onBye: () => void = () => undefined;

  constructor(node: SipNode, media: UeMedia, behaviour: UeBehaviour, random: Random) {
    this.node = node;
    this.media = media;
    this.behaviour = behaviour;
    this.#random = random;
    node.onEvent = (event) => this.#event(event);
  }

  /** Nothing is open: what it knows is what was agreed. */
  get isQuiet(): boolean {
    return !this.#openInvite && this.#twoHundred === undefined && this.media.openOffer === 'none';
  }

  // Calling

  invite(callee: string, routes: readonly string[], withSdp: boolean, extra: string) {
    this.dialog = {
      callId: `${this.node.name}-${this.#random.hex(6)}`,
      localTag: this.#random.hex(4),
      remoteTag: '',
      local: `<sip:${this.node.name}@home.net>`,
      remote: `<${callee}>`,
      target: callee,
      routes: [...routes],
      cseq: 0,
    };
    this.state = 'calling';
    this.#sendInvite(withSdp ? this.media.offer() : '', extra, (response) => this.#callAnswered(response));
  }

  #sendInvite(sdp: string, extra: string, done: (response: SipMessage) => void) {
    const sections = this.media.slots.length;
    this.#openInvite = true;
    this.lastChangeMs = this.node.nowMs;
    this.#inviteBranch = this.#request('INVITE', extra, sdp, (response) => {
      if (response.status < 200) return this.#provisional(response, sdp !== '', sections);
      this.#openInvite = false;
      this.lastChangeMs = this.node.nowMs;
      if (response.status < 300) {
        if (this.dialog!.remoteTag === '' || this.state === 'calling') this.#enter(response);
        const late = sdp === '' && response.body !== '';
        if (sdp !== '' && response.body !== '') this.media.takeAnswer(response.body, sections);
        const answer = late ? this.media.answer(response.body) : '';
        this.#ack(response.cseq, answer);
        if (late) this.media.answered();
      }
      done(response);
    });
  }

  #provisional(response: SipMessage, offered: boolean, sections: number) {
    if (response.status === 100 || response.toTag === '') return;
    const rseq = parseRSeq(response.first('rseq') ?? '');
    if (rseq === undefined) return;
    const id = `${response.toTag} ${rseq}`;
    if (this.#pracked.has(id)) return;
    this.#pracked.add(id);
    if (offered && response.body !== '') {
      this.media.takeAnswer(response.body, sections);
      this.media.openOffer = 'ours';
    }
    const before = structuredClone(this.dialog!);
    if (this.state === 'calling') this.#enter(response);
    this.#request('PRACK', `RAck: ${rseq} ${response.cseq} INVITE\r\n`, '', () => undefined);
    this.dialog = { ...before, cseq: this.dialog!.cseq, remoteTag: before.remoteTag };
  }

  #enter(response: SipMessage) {
    const dialog = this.dialog!;
    dialog.remoteTag = response.toTag;
    dialog.target = parseAddress(response.first('contact') ?? '')?.uri ?? dialog.target;
    dialog.routes = response.list('record-route').reverse();
  }

  #callAnswered(response: SipMessage) {
    if (response.status >= 300) {
      this.#end(this.cause === 'cancel' ? 'cancel' : String(response.status));
      return;
    }
    if (this.state === 'ended') return;
    this.#establish();
    if (this.cause === 'cancel') this.bye();
  }

  #establish() {
    this.state = 'established';
    this.established = true;
    const { byeAfterMs, changes } = this.behaviour;
    for (const { afterMs, what } of changes) this.node.network.timers.after(afterMs, () => this.change(what, 3));
    if (byeAfterMs !== undefined) this.node.network.timers.after(byeAfterMs, () => this.bye());
  }

  cancel() {
    if (this.state !== 'calling') return;
    this.cause = 'cancel';
    this.node.call(() => this.node.layer.cancel(clientKey(this.#inviteBranch, 'INVITE'), this.node.nowMs));
  }

  bye() {
    if (this.state !== 'established') return;
    // RFC 3261 15: the callee may not before it has the ACK.
    if (this.#twoHundred !== undefined) {
      this.node.network.timers.after(500, () => this.bye());
      return;
    }
    this.onBye();
    this.#end('bye');
    this.#request('BYE', '', '', () => undefined);
  }

  /** Nothing has come of it: RFC 3261 13.3.1.4 without an ACK, or nobody is at home. */
  giveUp() {
    this.#twoHundred?.timer.cancel();
    this.#twoHundred = undefined;
    if (this.state === 'calling') this.#end('no answer');
    this.bye();
  }

  /** A change in mid-call; glare and busy are tried again. */
  change(what: Change, attempts: number) {
    if (this.state !== 'established' || attempts === 0) return;
    const again = (ms: number): void => void this.node.network.timers.after(ms, () => this.change(what, attempts - 1));
    if (what === 'info')
      return void this.#request('INFO', 'Info-Package: x\r\n', 'hello', () => undefined, 'text/plain');
    if (this.#openInvite || this.#twoHundred !== undefined || this.media.openOffer !== 'none') return again(500);
    const before = this.media.snapshot();
    if (what === 'addBootstrap') this.media.addBootstrap();
    else if (what === 'addApplication') this.media.addApplication();
    else if (what === 'removeApplication') {
      if (!this.media.removeApplication()) return;
    } else if (what === 'renew') {
      if (!this.media.renew()) return;
    } else if (what === 'hold' || what === 'resume') this.media.hold(what === 'hold');
    const finished = (response: SipMessage): void => {
      if (response.status < 300) return;
      this.media.openOffer = 'none';
      this.media.restore(before);
      if (response.status === 491 || response.status === 500) again(this.#random.between(0, 200) * 10);
    };
    if (what === 'update') {
      const sections = this.media.slots.length;
      this.#request('UPDATE', '', this.media.offer(), (response) => {
        if (response.status >= 200 && response.status < 300) this.media.takeAnswer(response.body, sections);
        if (response.status >= 200) finished(response);
      });
    } else this.#sendInvite(what === 'noSdp' ? '' : this.media.offer(), '', finished);
  }

  #request(
    method: string,
    headers: string,
    body: string,
    done: (response: SipMessage) => void,
    type = 'application/sdp',
  ): string {
    const dialog = this.dialog!;
    const branch = `z9hG4bK${this.node.name}${this.#serial++}`;
    const cseq = ++dialog.cseq;
    const wire = this.#write(method, cseq, branch, headers, body, type);
    this.#pending.set(branch, done);
    const host = this.#nextHost(dialog);
    this.node.call(() =>
      this.node.layer.request({ wire, method, branch, to: this.node.destination(host) }, this.node.nowMs),
    );
    return branch;
  }

  #nextHost(dialog: Dialog): string {
    const uri = parseUri(dialog.routes[0] === undefined ? dialog.target : (parseAddress(dialog.routes[0])?.uri ?? ''));
    return uri?.kind === 'sip' ? uri.host : '0.0.0.0';
  }

  #write(method: string, cseq: number, branch: string, headers: string, body: string, type: string): string {
    const dialog = this.dialog!;
    const route = dialog.routes.length === 0 ? '' : `Route: ${dialog.routes.join(', ')}\r\n`;
    const to = dialog.remoteTag === '' ? dialog.remote : `${dialog.remote};tag=${dialog.remoteTag}`;
    return (
      `${method} ${dialog.target} SIP/2.0\r\nVia: SIP/2.0/UDP ${this.node.host}:5060;branch=${branch}\r\nMax-Forwards: 70\r\n${route}` +
      `From: ${dialog.local};tag=${dialog.localTag}\r\nTo: ${to}\r\nCall-ID: ${dialog.callId}\r\nCSeq: ${cseq} ${method}\r\n` +
      `${this.#contact()}${HEADERS}${headers}${body === '' ? '' : `Content-Type: ${type}\r\n`}Content-Length: ${body.length}\r\n\r\n${body}`
    );
  }

  #contact(): string {
    return `Contact: <sip:${this.node.name}@${this.node.host}>;+sip.app-subtype="webrtc-datachannel"\r\n`;
  }

  #ack(cseq: number, body: string) {
    const wire = this.#write('ACK', cseq, `z9hG4bK${this.node.name}${this.#serial++}`, '', body, 'application/sdp');
    this.#acks.set(cseq, wire);
    this.node.network.send(this.node, this.#nextHost(this.dialog!), wire);
  }

  #end(cause: string) {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.endedMs = this.node.nowMs;
    if (this.cause === '') this.cause = cause;
    this.#twoHundred?.timer.cancel();
    this.#twoHundred = undefined;
  }

  // Being called

  #event(event: TransactionUserEvent) {
    switch (event.kind) {
      case 'response': {
        const { branch } = event.message.via;
        const { status } = event.message;
        if (status >= 200) {
          const before = this.#finals.get(branch);
          if (before !== undefined && before !== status)
            throw new Violation('one final response', `${this.node.name}: ${before}, then ${status}`);
          if (before !== undefined) {
            const ack = this.#acks.get(event.message.cseq);
            if (event.message.method === 'INVITE' && ack !== undefined)
              this.node.network.send(this.node, this.#nextHost(this.dialog!), ack);
            return;
          }
          this.#finals.set(branch, status);
        }
        this.#pending.get(branch)?.(event.message);
        return;
      }
      case 'strayResponse': {
        const ack = this.#acks.get(event.message.cseq);
        if (event.message.method === 'INVITE' && event.message.status < 300 && ack !== undefined)
          this.node.network.send(this.node, this.#nextHost(this.dialog!), ack);
        return;
      }
      case 'clientFailed':
        return this.#clientFailed(event.key);
      case 'request':
        return this.#request_(event.key, event.message);
      case 'cancel':
        if (this.state === 'calling') {
          this.#respond(event.key, this.#incoming!, 487);
          this.#end('cancelled');
        }
        return;
      case 'ack':
        if (this.#twoHundred?.cseq === event.message.cseq && this.#twoHundred.tag === event.message.toTag) {
          this.#twoHundred.timer.cancel();
          this.#twoHundred = undefined;
          if (this.media.openOffer === 'ours' && event.message.body !== '')
            this.media.takeAnswer(event.message.body, this.media.slots.length);
        }
        return;
      case 'serverFailed':
        return;
    }
  }

  #clientFailed(key: string) {
    const method = key.slice(key.indexOf(' ') + 1);
    if (method === 'BYE') return;
    if (method === 'INVITE' && this.state === 'calling') {
      if (this.cause !== 'cancel') throw new Violation('voice', `${this.node.name}: the INVITE timed out`);
      this.#end('cancel');
    }
    if (this.state === 'established' && method !== 'INFO')
      throw new Violation('voice', `${this.node.name}: ${method} timed out`);
  }

  #incoming: SipMessage | undefined;

  #request_(key: ServerKey, message: SipMessage) {
    const inDialog = message.toTag !== '';
    if (!inDialog) return message.method === 'INVITE' ? this.#called(key, message) : this.#respond(key, message, 405);
    switch (message.method) {
      case 'BYE':
        this.#respond(key, message, 200);
        return this.#end('peer bye');
      case 'INVITE':
      case 'UPDATE':
        return this.#offered(key, message);
      case 'PRACK':
        this.#reliable?.cancel();
        return this.#respond(key, message, 200);
      default:
        if (this.state === 'ended') return this.#respond(key, message, 481);
        return this.#respond(key, message, 200, message.body);
    }
  }

  #respond(
    key: ServerKey,
    message: SipMessage,
    status: number,
    body = '',
    headers = '',
    tag = this.dialog?.localTag ?? 'x',
  ): string {
    const contact = status > 100 && status < 300 ? this.#contact() : '';
    const wire = buildResponse(message, status, {
      toTag: tag,
      headers: contact + HEADERS + headers,
      recordRoute: true,
      body,
      ...(body === '' ? {} : { contentType: 'application/sdp' }),
    });
    this.node.call(() => this.node.layer.respond(key, status, wire, this.node.nowMs));
    return wire;
  }

  #reliable: Timer | undefined;

  #called(key: ServerKey, message: SipMessage) {
    if (message.first('x-unknown') !== '"a, b" ;c=<d>') throw new Violation('headers', 'X-Unknown did not pass');
    const { behaviour } = this;
    if (this.state !== 'idle') return void this.#respond(key, message, 486);
    if (behaviour.answer === 488 && message.body.includes('DTLS/SCTP')) return void this.#respond(key, message, 488);
    this.#incoming = message;
    this.state = 'calling';
    const tags = Array.from({ length: behaviour.forks }, () => this.#random.hex(4));
    this.dialog = {
      callId: message.callId,
      localTag: tags.at(-1)!,
      remoteTag: message.fromTag,
      local: message.first('to') ?? '',
      remote: (message.first('from') ?? '').replace(/;tag=.*$/, ''),
      target: parseAddress(message.first('contact') ?? '')?.uri ?? '',
      routes: message.list('record-route'),
      cseq: 0,
    };
    const offered = message.body !== '';
    const answer = offered ? this.media.answer(message.body) : '';
    const early = behaviour.provisional === '183' || behaviour.provisional === 'reliable183';
    if (early || behaviour.provisional === '180') {
      for (const tag of tags) {
        const reliable = behaviour.provisional === 'reliable183' && offered && tags.length === 1;
        const send = (): void =>
          void this.#respond(
            key,
            message,
            early ? 183 : 180,
            early ? answer : '',
            reliable ? `Require: 100rel\r\nRSeq: ${7 + tags.indexOf(tag)}\r\n` : '',
            tag,
          );
        send();
        if (reliable) this.#repeat(send, 500);
      }
    }
    this.node.network.timers.after(behaviour.ringMs, () => {
      this.#reliable?.cancel();
      if (this.state !== 'calling') return;
      if (behaviour.answer === 'never') return;
      if (behaviour.answer === 486) {
        this.#respond(key, message, 486);
        return this.#end('486');
      }
      if (offered) this.media.answered();
      this.#send2xx(key, message, offered ? answer : this.media.offer());
      this.#establish();
    });
  }

  #repeat(send: () => void, ms: number) {
    this.#reliable = this.node.network.timers.after(ms, () => {
      if (this.state !== 'calling') return;
      send();
      this.#repeat(send, ms * 2);
    });
  }

  #send2xx(key: ServerKey, message: SipMessage, body: string) {
    const wire = this.#respond(key, message, 200, body);
    const giveUp = this.node.nowMs + 32_000;
    const tag = this.dialog!.localTag;
    const repeat = (ms: number): void => {
      const timer = this.node.network.timers.after(ms, () => {
        if (this.node.nowMs >= giveUp) this.#twoHundred = undefined;
        if (this.node.nowMs >= giveUp)
          throw new Violation('voice', `${this.node.name}: its 2xx was never acknowledged`);
        this.node.call(() => this.node.layer.respond(key, 200, wire, this.node.nowMs));
        repeat(Math.min(ms * 2, 4000));
      });
      this.#twoHundred = { key, wire, timer, cseq: message.cseq, tag };
    };
    repeat(500);
  }

  #offered(key: ServerKey, message: SipMessage) {
    this.lastChangeMs = this.node.nowMs;
    if (this.state !== 'established') return void this.#respond(key, message, 481);
    if (this.#openInvite || this.media.openOffer === 'ours') return void this.#respond(key, message, 491);
    if (this.#twoHundred !== undefined || this.media.openOffer === 'theirs')
      return void this.#respond(key, message, 500, '', 'Retry-After: 1\r\n');
    if (message.body === '') {
      this.#send2xx(key, message, this.media.offer());
      return;
    }
    const answer = this.media.answer(message.body);
    this.node.network.timers.after(this.#random.between(1, 200), () => {
      this.media.answered();
      if (this.state !== 'established') return void this.#respond(key, message, 481);
      if (message.method === 'INVITE') this.#send2xx(key, message, answer);
      else this.#respond(key, message, 200, answer);
    });
  }
}
