import { ownJoined } from '../../base/owned.ts';
import { parseMaxForwards, parseRAck, reasonPhrase } from '../../sip/message/index.ts';
import type { SipMessage } from '../../sip/types.ts';
import type { Call, CallEnvironment, Dialog, Exchange, Leg, LegName } from '../call/types.ts';
import { shownParams, supportsMultiplexing } from './party.ts';
import { DIALOG_HEADERS, translateDialogHeaders } from './translate.ts';

/** Headers that each leg has of its own; all others are copied as spans, in order. */
const LEG_REQUEST_HEADERS: ReadonlySet<string> = new Set([
  'via',
  'max-forwards',
  'route',
  'record-route',
  'from',
  'to',
  'call-id',
  'cseq',
  'contact',
  'content-length',
  'rack',
  ...DIALOG_HEADERS,
]);
const LEG_RESPONSE_HEADERS: ReadonlySet<string> = new Set([
  'via',
  'record-route',
  'from',
  'to',
  'call-id',
  'cseq',
  'contact',
  'content-length',
]);
/** 3xx and 485 name other places to try: theirs, not ours (RFC 3261 21.3). */
const REDIRECT_HEADERS: ReadonlySet<string> = new Set([...LEG_RESPONSE_HEADERS].filter((name) => name !== 'contact'));

/** The two header sets without the names that the configuration strips. Computed once. */
const stripped = new WeakMap<
  ReadonlySet<string>,
  { request: ReadonlySet<string>; response: ReadonlySet<string>; redirect: ReadonlySet<string> }
>();

function headerSets(strip: ReadonlySet<string>) {
  let sets = stripped.get(strip);
  if (sets === undefined) {
    sets = {
      request: new Set([...LEG_REQUEST_HEADERS, ...strip]),
      response: new Set([...LEG_RESPONSE_HEADERS, ...strip]),
      redirect: new Set([...REDIRECT_HEADERS, ...strip]),
    };
    stripped.set(strip, sets);
  }
  return sets;
}

export function contactLine(leg: Leg, call: Call, env: CallEnvironment, nextHop: string): string {
  const isServed = leg === call.legs.served;
  const peer = isServed ? call.legs.remote : call.legs.served;
  const isAsked = supportsMultiplexing(peer.contactParams) || (isServed && call.media !== null);
  const params = shownParams(leg.contactParams, env.config.multiplexing && isAsked);
  return `Contact: <sip:${call.id}@${env.local(nextHop).contact}>${params}\r\n`;
}

export interface OnwardOptions {
  readonly leg: LegName;
  readonly dialog: Dialog;
  readonly branch: string;
  readonly cseq: number;
  /** ACK and CANCEL name the INVITE's CSeq; RAck maps to this INVITE. */
  readonly rackCseq?: number;
  readonly body: string;
}

/** A received request as the other leg shall see it. */
export function onwardRequest(call: Call, message: SipMessage, options: OnwardOptions, env: CallEnvironment): string {
  const { dialog } = options;
  const leg = call.legs[options.leg];
  const { target, nextHop, route } = dialog;
  const to = dialog.remoteTag === '' ? leg.remoteParty : `${leg.remoteParty};tag=${dialog.remoteTag}`;
  const hops = parseMaxForwards(message.first('max-forwards') ?? '71') ?? 71;
  const contact = message.first('contact') === undefined ? '' : contactLine(leg, call, env, nextHop);
  return (
    `${message.method} ${target} SIP/2.0\r\n` +
    `Via: ${env.local(nextHop).via};branch=${options.branch};rport\r\n` +
    `Max-Forwards: ${Math.max(0, hops - 1)}\r\n` +
    route +
    `From: ${leg.localParty};tag=${dialog.localTag}\r\n` +
    `To: ${to}\r\n` +
    `Call-ID: ${leg.callId}\r\n` +
    `CSeq: ${options.cseq} ${message.method}\r\n` +
    contact +
    (message.method === 'PRACK' ? rackLine(message, options.rackCseq) : '') +
    translateDialogHeaders(message, env) +
    message.spanExcept(headerSets(env.config.stripHeaders).request) +
    `Content-Length: ${options.body.length}\r\n\r\n${options.body}`
  );
}

/** RSeq values pass unchanged, one reliable 1xx for one; the CSeq in RAck is the other leg's (RFC 3262 7.2). */
function rackLine(message: SipMessage, cseq: number | undefined): string {
  const rack = parseRAck(message.first('rack') ?? '');
  return rack === undefined || cseq === undefined
    ? message.span('rack')
    : `RAck: ${rack.rseq} ${cseq} ${rack.method}\r\n`;
}

/** A received response as the other leg shall see it. */
export function onwardResponse(
  call: Call,
  exchange: Exchange,
  message: SipMessage,
  localTag: string,
  body: string,
  env: CallEnvironment,
): string {
  const { status } = message;
  const sets = headerSets(env.config.stripHeaders);
  const redirect = (status >= 300 && status < 400) || status === 485;
  let contact = '';
  if (!redirect && message.first('contact') !== undefined) {
    const dialog = call.forks[0]!.dialogs[exchange.from];
    contact = contactLine(call.legs[exchange.from], call, env, dialog.nextHop);
  }
  return (
    responseHead(exchange, status, message.reason, localTag) +
    contact +
    message.spanExcept(redirect ? sets.redirect : sets.response) +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}

/** Status line and the headers that answer `exchange`. Record-Route goes into responses that make a dialog. */
function responseHead(exchange: Exchange, status: number, reason: string, localTag: string): string {
  const tag = localTag === '' || /;\s*tag\s*=/i.test(exchange.to) ? '' : `;tag=${localTag}`;
  return (
    `SIP/2.0 ${status} ${reason}\r\n${exchange.reply}To: ${exchange.to}${tag}\r\n` +
    (status > 100 && status < 300 ? exchange.recordRoute : '')
  );
}

/** A response of our own. `headers` are whole lines. */
export function ownResponse(exchange: Exchange, status: number, localTag: string, headers = '', body = ''): string {
  return `${responseHead(exchange, status, reasonPhrase(status), localTag)}${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** What every response to `message` starts with; owned, because it outlives the message. */
export function replyLines(message: SipMessage): string {
  return ownJoined([message.span('via'), message.span('from'), message.span('call-id'), message.span('cseq')], '');
}

export interface OwnRequestOptions {
  readonly leg: LegName;
  readonly dialog: Dialog;
  readonly branch: string;
  readonly cseq: number;
  /** Whole lines. */
  readonly headers?: string;
  readonly body?: string;
}

/** A request of our own inside a dialog: BYE, re-INVITE, ACK; or the CANCEL of an INVITE, before there is one. */
export function ownRequest(call: Call, method: string, options: OwnRequestOptions, env: CallEnvironment): string {
  const { dialog } = options;
  const leg = call.legs[options.leg];
  const body = options.body ?? '';
  return (
    `${method} ${dialog.target} SIP/2.0\r\n` +
    `Via: ${env.local(dialog.nextHop).via};branch=${options.branch};rport\r\n` +
    `Max-Forwards: 70\r\n${dialog.route}` +
    `From: ${leg.localParty};tag=${dialog.localTag}\r\n` +
    `To: ${leg.remoteParty}${dialog.remoteTag === '' ? '' : `;tag=${dialog.remoteTag}`}\r\n` +
    `Call-ID: ${leg.callId}\r\n` +
    `CSeq: ${options.cseq} ${method}\r\n` +
    (method === 'INVITE' ? contactLine(leg, call, env, dialog.nextHop) : '') +
    (options.headers ?? '') +
    (body === '' ? '' : 'Content-Type: application/sdp\r\n') +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}
