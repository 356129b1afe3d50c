import { inDialog, send } from './caller.ts';
import { keptLines } from './check.ts';
import type { Check, Receive, Send, Step } from './steps.ts';

/** What the UAS says: the next hop of the INVITE, with the callee's handset (or network) behind it. */

const FEATURES = '+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel";+sip.app-subtype="webrtc-datachannel"';
const TARGET = `<sip:[local_ip]:[local_port];transport=[transport]>;${FEATURES}`;
const CONTACT = `Contact: ${TARGET}`;

/** The initial INVITE. `keeps` stores what a later response or request of this side needs. */
export function invited(...checks: readonly Check[]): Receive {
  return { kind: 'receive', what: 'INVITE', checks, target: true };
}

/** A request inside the dialog. */
export function asked(method: string, ...checks: readonly Check[]): Receive {
  return { kind: 'receive', what: method, checks };
}

export interface Response {
  readonly body?: string;
  readonly contentType?: string;
  readonly headers?: readonly string[];
  /** To tag of this branch; default `b`. */
  readonly tag?: string;
  /** Answers the request that `keep(name)` stored, not the last one. */
  readonly to?: string;
  /** The handset has no data channels: no feature tag in Contact. */
  readonly incapable?: boolean;
}

/** A response to the request that made the dialog: with a tag of ours. */
export function respond(status: number, options: Response = {}): Send {
  const { tag = 'b', to } = options;
  const lines = keptLines(to, `;tag=${tag}[call_number]`);
  return send([`SIP/2.0 ${status} ${REASONS[status]}`, ...lines, ...answering(status, options)], {
    body: options.body,
    contentType: options.contentType,
    repeated: status >= 200 || (options.headers ?? []).includes('Require: 100rel'),
  });
}

/** 100 to a re-INVITE: without a provisional response nobody may send CANCEL (RFC 3261 9.1). */
export function trying(): Send {
  return { ...answers(100), repeated: false };
}

/** CANCEL comes; it is answered, and then the INVITE that `keep()` stored. */
export function isCancelled(...checks: readonly Check[]): readonly Step[] {
  return [
    asked('CANCEL', ...checks),
    { ...respond(200), repeated: false },
    respond(487, { to: 'invite' }),
    asked('ACK'),
  ];
}

/** A response to a request inside the dialog other than INVITE. */
export function ok(options: Response = {}): Send {
  return { ...answers(200, options), repeated: false };
}

/** The final response to a re-INVITE: repeated until its ACK comes. */
export function answers(status: number, options: Response = {}): Send {
  return send([`SIP/2.0 ${status} ${REASONS[status]}`, ...keptLines(options.to), ...answering(status, options)], {
    body: options.body,
    contentType: options.contentType,
    repeated: true,
  });
}

function answering(status: number, options: Response): readonly string[] {
  const contact = options.incapable ? CONTACT.slice(0, CONTACT.indexOf(';+g.3gpp')) : CONTACT;
  return [
    ...(status < 300 ? [contact] : []),
    'Allow: INVITE, ACK, CANCEL, BYE, UPDATE, INFO, PRACK, NOTIFY, MESSAGE, REFER, OPTIONS',
    ...((options.headers ?? []).some((line) => line.startsWith('Supported:')) ? [] : ['Supported: 100rel, timer']),
    ...(options.headers ?? []),
  ];
}

export interface Request {
  readonly headers?: readonly string[];
  readonly body?: string;
  readonly contentType?: string;
}

/** A request of the callee inside the dialog; `keep()` must have stored the INVITE. */
export function request(method: string, cseq: number, options: Request = {}): Send {
  const { headers = [], body, contentType } = options;
  const lines = inDialog(method, cseq, {
    from: '[$inviteTo];tag=b[call_number]',
    to: '[$inviteFrom]',
    contact: TARGET,
  });
  return send([...lines, ...headers], {
    body,
    contentType,
    repeated: method !== 'ACK',
    name: `${method} ${cseq}`,
  });
}

export function ackFailure(cseq: number): Send {
  return { ...request('ACK', cseq), name: undefined, branchOf: `INVITE ${cseq}` };
}

const REASONS: Readonly<Record<number, string>> = {
  100: 'Trying',
  180: 'Ringing',
  181: 'Call Is Being Forwarded',
  183: 'Session Progress',
  200: 'OK',
  202: 'Accepted',
  302: 'Moved Temporarily',
  407: 'Proxy Authentication Required',
  422: 'Session Interval Too Small',
  486: 'Busy Here',
  487: 'Request Terminated',
  488: 'Not Acceptable Here',
  491: 'Request Pending',
  603: 'Decline',
};
