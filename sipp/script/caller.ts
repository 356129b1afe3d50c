import { keptLines } from './check.ts';
import type { Check, Receive, Send } from './steps.ts';

/**
 * What the UAC says: the S-CSCF's side of ISC, with the handset (or the far network) behind it. Users come from
 * users.csv: field0 calls field1 in the domain field2.
 */

const CALLER = '[field0]@[field2]';
const CALLEE = '[field1]@[field2]';

export interface Call {
  /** Which of the two the AS serves (P-Served-User and Route). Default: the caller. */
  readonly serves?: 'caller' | 'callee';
  /** No P-Served-User: the AS must take the session case from its Route. */
  readonly byRoute?: boolean;
  /** user@host, where users.csv is not enough: users with a profile of their own, URNs, ... */
  readonly caller?: string;
  readonly callee?: string;
}

export interface Invite extends Call {
  /** SDP; '' = none. */
  readonly body: string;
  readonly contentType?: string;
  readonly headers?: readonly string[];
  /** Further parameters of Contact, each with its semicolon. */
  readonly contact?: string;
  readonly maxForwards?: number;
  readonly cseq?: number;
  /** `uac`: the handset refreshes the session (RFC 4028). */
  readonly refresher?: 'uac' | 'uas';
  /** Seconds of Session-Expires and of Min-SE; default 1800 and 90. */
  readonly expires?: number;
  readonly minSe?: number;
  /** More routes between the AS and the next hop. */
  readonly routes?: readonly string[];
  readonly callId?: string;
  readonly fromTag?: string;
}

/** The initial INVITE as an S-CSCF sends it to its AS. */
export function invite(options: Invite): Send {
  const { body, caller = CALLER, callee = CALLEE, serves = 'caller' } = options;
  const served = serves === 'caller' ? [caller, 'orig'] : [callee, 'term'];
  const {
    cseq = 1,
    maxForwards = 68,
    refresher = 'uac',
    expires = 1800,
    minSe = 90,
    headers = [],
    routes = [],
  } = options;
  return send(
    [
      `INVITE sip:${callee} SIP/2.0`,
      'Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport',
      'Via: SIP/2.0/UDP 198.18.0.4:5060;branch=z9hG4bKpcscf[call_number];received=198.18.0.4',
      'Via: SIP/2.0/UDP 198.18.0.2:5060;branch=z9hG4bKue[call_number]',
      `Route: <sip:[remote_ip]:[remote_port];lr;${served[1]}>`,
      ...routes.map((route) => `Route: ${route}`),
      'Route: <sip:scscf@[uas];transport=[transport];lr;odi=od[call_number]>',
      `History-Info: <sip:${callee}>;index=1`,
      `Max-Forwards: ${maxForwards}`,
      `From: "Alice" <sip:${caller}>;tag=${options.fromTag ?? 'a'}[call_number]`,
      `To: <sip:${callee}>`,
      `Call-ID: ${options.callId ?? '[call_id]'}`,
      `CSeq: ${cseq} INVITE`,
      `Contact: <sip:[field0]@[local_ip]:[local_port];transport=[transport]>;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel";audio;+sip.app-subtype="webrtc-datachannel";+sip.instance="<urn:gsma:imei:35625206-092640-0>"${options.contact ?? ''}`,
      ...(options.byRoute ? [] : [`P-Served-User: <sip:${served[0]}>;sescase=${served[1]};regstate=reg`]),
      `P-Asserted-Identity: "Alice" <sip:${caller}>`,
      'P-Asserted-Identity: <tel:[field0]>',
      'P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel',
      'P-Access-Network-Info: 3GPP-NR-FDD;utran-cell-id-3gpp=460000000001234567;network-provided',
      'P-Charging-Vector: icid-value="icid-[call_number]-imsdc";icid-generated-at=198.18.0.4;orig-ioi=example.com',
      'P-Charging-Function-Addresses: ccf="aaa://198.18.0.9:3868;transport=tcp"',
      'P-Visited-Network-ID: "ims.mnc000.mcc460.3gppnetwork.org"',
      'Accept-Contact: *;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"',
      'Allow: INVITE, ACK, CANCEL, BYE, UPDATE, INFO, PRACK, NOTIFY, MESSAGE, REFER, OPTIONS',
      'Supported: 100rel, timer, precondition, gruu, sec-agree, histinfo, norefersub, replaces',
      'Accept: application/sdp, application/3gpp-ims+xml',
      `Session-Expires: ${expires};refresher=${refresher}`,
      `Min-SE: ${minSe}`,
      'Privacy: none',
      'User-Agent: imsdc-sipp/1.0 (IMS UE)',
      'X-Untouched:  two  spaces ; and a "quoted, comma"',
      ...headers,
    ],
    { body, contentType: options.contentType, repeated: true, name: `INVITE ${cseq}`, startsTimer: cseq === 1 },
  );
}

export interface Request extends Call, Pick<Invite, 'callId' | 'fromTag'> {
  readonly headers?: readonly string[];
  readonly body?: string;
  readonly contentType?: string;
  /** Of a dialog that is not the one SIPp heard from last: `tag=...`, and the URI of its Contact. */
  readonly toTag?: string;
  readonly target?: string;
  /** Not repeated by SIPp: the script looks at what follows itself. */
  readonly once?: boolean;
}

/** A request inside the dialog. */
export function request(method: string, cseq: number, options: Request = {}): Send {
  const { caller = CALLER, callee = CALLEE, callId = '[call_id]', fromTag = 'a', headers = [], body = '' } = options;
  const to = options.toTag === undefined ? '[peer_tag_param]' : `;${options.toTag}`;
  const lines = [
    ...inDialog(method, cseq, {
      target: options.target,
      from: ` "Alice" <sip:${caller}>;tag=${fromTag}[call_number]`,
      to: ` <sip:${callee}>${to}`,
      callId,
      contact: CONTACT,
    }),
    ...headers,
  ];
  const { contentType, once } = options;
  return send(lines, { body, contentType, repeated: once !== true, name: `${method} ${cseq}` });
}

export interface DialogLines {
  /** Default: of the dialog that SIPp heard from last. */
  readonly target?: string | undefined;
  /** With what stands behind the colon. */
  readonly from: string;
  readonly to: string;
  readonly callId?: string;
  readonly contact: string;
}

/** The head of a request inside a dialog, of either end. */
export function inDialog(method: string, cseq: number, lines: DialogLines): readonly string[] {
  const { target = '[next_url]', from, to, callId = '[call_id]', contact } = lines;
  const shows = method === 'INVITE' || method === 'UPDATE' || method === 'REFER';
  return [
    `${method} ${target} SIP/2.0`,
    'Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]',
    '[routes]',
    'Max-Forwards: 70',
    `From:${from}`,
    `To:${to}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} ${method}`,
    ...(shows ? [`Contact: ${contact}`, 'Supported: 100rel, timer'] : []),
  ];
}

const CONTACT = '<sip:[field0]@[local_ip]:[local_port];transport=[transport]>;+sip.app-subtype="webrtc-datachannel"';

export function reinvite(cseq: number, body: string, options: Request = {}): Send {
  return request('INVITE', cseq, { body, ...options });
}

/** ACK of a 2xx; with SDP when the offer came late. */
export function ack(cseq = 1, options: Request = {}): Send {
  return { ...request('ACK', cseq, { ...options, once: true }), name: undefined };
}

export function bye(cseq = 2, options: Request = {}): Send {
  return request('BYE', cseq, options);
}

export interface Failure extends Pick<Invite, 'caller' | 'callee' | 'callId' | 'fromTag'> {
  readonly inDialog?: boolean;
}

/** ACK of a failure: part of the INVITE's transaction, so it has its branch (RFC 3261 17.1.1.3). */
export function ackFailure(cseq = 1, options: Failure = {}): Send {
  const { caller = CALLER, callee = CALLEE, inDialog = false, fromTag = 'a', callId = '[call_id]' } = options;
  return {
    ...send([
      `ACK ${inDialog ? '[next_url]' : `sip:${callee}`} SIP/2.0`,
      `Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]${inDialog ? '' : ';rport'}`,
      'Max-Forwards: 70',
      `From: "Alice" <sip:${caller}>;tag=${fromTag}[call_number]`,
      `To: <sip:${callee}>[peer_tag_param]`,
      `Call-ID: ${callId}`,
      `CSeq: ${cseq} ACK`,
    ]),
    branchOf: `INVITE ${cseq}`,
  };
}

/** CANCEL of the INVITE with that CSeq: as the INVITE was, with its branch (RFC 3261 9.1). */
export function cancel(cseq = 1): Send {
  const inDialog = cseq > 1;
  return {
    ...send(
      [
        `CANCEL ${inDialog ? '[next_url]' : `sip:${CALLEE}`} SIP/2.0`,
        `Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]${inDialog ? '' : ';rport'}`,
        inDialog ? '[routes]' : 'Route: <sip:[remote_ip]:[remote_port];lr;orig>',
        'Max-Forwards: 70',
        `From: "Alice" <sip:${CALLER}>;tag=a[call_number]`,
        `To: <sip:${CALLEE}>${inDialog ? '[peer_tag_param]' : ''}`,
        'Call-ID: [call_id]',
        `CSeq: ${cseq} CANCEL`,
        'Reason: SIP;cause=487;text="not today"',
      ],
      { repeated: true },
    ),
    branchOf: `INVITE ${cseq}`,
  };
}

/** A request outside any dialog: OPTIONS, third-party REGISTER. */
export function alone(method: string, to: string, options: Request = {}): Send {
  return send(
    [
      `${method} sip:[remote_ip]:[remote_port] SIP/2.0`,
      'Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport',
      'Max-Forwards: 70',
      'From: <sip:scscf@[field2]>;tag=s[call_number]',
      `To: <sip:${to}>`,
      'Call-ID: [call_id]',
      `CSeq: 1 ${method}`,
      'Contact: <sip:scscf@[local_ip]:[local_port];transport=[transport]>',
      ...(options.headers ?? []),
    ],
    { body: options.body, contentType: options.contentType, repeated: true },
  );
}

export interface Reply {
  readonly body?: string;
  readonly headers?: readonly string[];
  /** Answers the request that `keep(name)` stored, not the last one. */
  readonly to?: string;
  /** To a request other than INVITE: only final responses to INVITE are repeated until something comes. */
  readonly once?: boolean;
}

const REPLIES = { 200: 'OK', 202: 'Accepted', 491: 'Request Pending' } as const;

/** The answer to a request that came from the other side of the call. */
export function reply(status: keyof typeof REPLIES, options: Reply = {}): Send {
  return send(
    [
      `SIP/2.0 ${status} ${REPLIES[status]}`,
      ...keptLines(options.to),
      `Contact: ${CONTACT}`,
      'Supported: 100rel, timer',
      ...(options.headers ?? []),
    ],
    // Only INVITE is answered with a failure here, and mostly only INVITE with SDP.
    { body: options.body, repeated: !options.once && (options.body !== undefined || status >= 300) },
  );
}

/** A message that must come. */
export function expect(what: number | string, ...checks: readonly Check[]): Receive {
  return { kind: 'receive', what, checks };
}

/** A message that may come, or not. */
export function maybe(...statuses: readonly number[]): readonly Receive[] {
  return statuses.map((what) => ({ kind: 'receive', what, checks: [], optional: true }));
}

/** The response that makes the dialog: its Contact is where the next requests go. */
export function establishes(what: number, ...checks: readonly Check[]): Receive {
  return { kind: 'receive', what, checks, target: true, ...(what >= 200 ? { stopsTimer: true } : {}) };
}

interface SendOptions {
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
  readonly repeated?: boolean;
  readonly name?: string;
  readonly startsTimer?: boolean;
}

/** Adds what describes the body, and the body. */
export function send(lines: readonly string[], options: SendOptions = {}): Send {
  const { body = '', contentType = 'application/sdp', ...rest } = options;
  const described =
    body === '' ? ['Content-Length: 0', ''] : [`Content-Type: ${contentType}`, 'Content-Length: [len]', '', body];
  return { kind: 'send', message: [...lines, ...described].join('\n'), ...rest };
}
