import { type Owned, own } from '../base/owned.ts';
import { formatUri, MessageWriter, Params, parseAddress, parseUri, type SipUri } from './message/index.ts';
import type { SipMessage } from './types.ts';

/**
 * One dialog (RFC 3261 12): plain data that outlives every message, so all its texts are `Owned`. The functions below
 * take a dialog and a message and return the next dialog.
 */
export interface Dialog {
  readonly role: 'uac' | 'uas';
  readonly state: 'early' | 'confirmed';
  readonly callId: Owned;
  readonly localTag: Owned;
  /** '' for RFC 2543 peers. */
  readonly remoteTag: Owned;
  /** Value of our From (and of the peer's To), tag included; display name and parameters as they were agreed. */
  readonly local: Owned;
  readonly remote: Owned;
  /** The peer's Contact URI: Request-URI of what we send. */
  readonly remoteTarget: Owned;
  /** Route values in the order they are sent. */
  readonly routeSet: readonly Owned[];
  /** Number of the last request that we sent; 0 before the first. */
  readonly localCSeq: number;
  /** Number of the last request that came; -1 before the first. */
  readonly remoteCSeq: number;
}

export type DialogId = string & { readonly __dialog: unique symbol };

/** Call-ID and both tags as we see them (RFC 3261 12). */
export function dialogId(callId: string, localTag: string, remoteTag: string): DialogId {
  return own(`${callId} ${localTag} ${remoteTag}`) as string as DialogId;
}

/** The dialog that a received request or response belongs to. */
export function dialogIdOf(message: SipMessage): DialogId {
  return message.isRequest
    ? dialogId(message.callId, message.toTag, message.fromTag)
    : dialogId(message.callId, message.fromTag, message.toTag);
}

/** The dialog of the caller (RFC 3261 12.1.2). undefined when the response makes none: no To tag, or no Contact. */
export function uacDialog(response: SipMessage): Dialog | undefined {
  const target = contactUri(response);
  if (response.status <= 100 || response.status >= 300 || response.toTag === '' || target === undefined)
    return undefined;
  return {
    role: 'uac',
    state: response.status < 200 ? 'early' : 'confirmed',
    callId: own(response.callId),
    localTag: own(response.fromTag),
    remoteTag: own(response.toTag),
    local: own(response.first('from') ?? ''),
    remote: own(response.first('to') ?? ''),
    remoteTarget: own(target),
    routeSet: response.list('record-route').reverse().map(own),
    localCSeq: response.cseq,
    remoteCSeq: -1,
  };
}

/**
 * The dialog of the callee (RFC 3261 12.1.1), made when it answers with `localTag`. undefined without a usable Contact:
 * the request is refused with 400 then.
 */
export function uasDialog(request: SipMessage, localTag: string, state: Dialog['state'] = 'early'): Dialog | undefined {
  const target = contactUri(request);
  if (target === undefined) return undefined;
  return {
    role: 'uas',
    state,
    callId: own(request.callId),
    localTag: own(localTag),
    remoteTag: own(request.fromTag),
    local: own(`${request.first('to') ?? ''};tag=${localTag}`),
    remote: own(request.first('from') ?? ''),
    remoteTarget: own(target),
    routeSet: request.list('record-route').map(own),
    localCSeq: 0,
    remoteCSeq: request.cseq,
  };
}

/** The 2xx confirms the dialog. On the caller's side the route set is taken anew from it (RFC 3261 13.2.2.4). */
export function confirmed(dialog: Dialog, response?: SipMessage): Dialog {
  if (response === undefined || dialog.role === 'uas') return { ...dialog, state: 'confirmed' };
  return {
    ...dialog,
    state: 'confirmed',
    remoteTarget: own(contactUri(response) ?? dialog.remoteTarget),
    routeSet: dialog.state === 'early' ? response.list('record-route').reverse().map(own) : dialog.routeSet,
  };
}

/** Early dialogs that one INVITE of ours may have: a bound against a peer that makes up To tags. */
export const MAX_FORKS = 16;

/** A response to our INVITE, and the dialogs that it has made so far. */
export interface ForkStep {
  readonly dialogs: readonly Dialog[];
  /** The dialog of this response; undefined when it belongs to none. */
  readonly dialog: Dialog | undefined;
  readonly isNew: boolean;
}

/** Each To tag is a dialog of its own (RFC 3261 12.1, forking): finds or makes it, and confirms it on a 2xx. */
export function inviteResponse(dialogs: readonly Dialog[], response: SipMessage): ForkStep {
  const at = dialogs.findIndex((dialog) => dialog.remoteTag === response.toTag);
  const known = dialogs[at];
  if (known === undefined) {
    const made = dialogs.length < MAX_FORKS ? uacDialog(response) : undefined;
    return { dialogs: made === undefined ? dialogs : [...dialogs, made], dialog: made, isNew: made !== undefined };
  }
  const next = response.status >= 200 && response.status < 300 ? confirmed(known, response) : known;
  return { dialogs: dialogs.with(at, next), dialog: next, isNew: false };
}

/**
 * A request in this dialog. `outOfOrder`: 500 (RFC 3261 12.2.2). `repeated`: the same number in another transaction,
 * 482. ACK and CANCEL carry the number of their INVITE and are always in order.
 */
export function receiveRequest(
  dialog: Dialog,
  request: SipMessage,
): { dialog: Dialog; verdict: 'inOrder' | 'outOfOrder' | 'repeated' } {
  if (request.method === 'ACK' || request.method === 'CANCEL') return { dialog, verdict: 'inOrder' };
  if (request.cseq < dialog.remoteCSeq) return { dialog, verdict: 'outOfOrder' };
  if (request.cseq === dialog.remoteCSeq) return { dialog, verdict: 'repeated' };
  const target = TARGET_REFRESH.has(request.method) ? contactUri(request) : undefined;
  const remoteTarget = target === undefined ? dialog.remoteTarget : own(target);
  return { dialog: { ...dialog, remoteCSeq: request.cseq, remoteTarget }, verdict: 'inOrder' };
}

/** A response in this dialog: a 2xx to a target refresh request moves the remote target (RFC 3261 12.2.1.2). */
export function receiveResponse(dialog: Dialog, response: SipMessage): Dialog {
  if (response.status < 200 || response.status >= 300 || !TARGET_REFRESH.has(response.method)) return dialog;
  const target = contactUri(response);
  return target === undefined || target === dialog.remoteTarget ? dialog : { ...dialog, remoteTarget: own(target) };
}

const ENDS_DIALOG: ReadonlySet<number> = new Set([404, 408, 410, 416, 481, 482, 483, 484, 485, 502, 604]);

/** After these the dialog cannot be used any more (RFC 3261 12.2.1.2, RFC 5057 5.1). Others end the request only. */
export function endsDialog(status: number): boolean {
  return ENDS_DIALOG.has(status);
}

/** INVITE, UPDATE (RFC 3311), SUBSCRIBE and NOTIFY (RFC 6665), REFER (RFC 3515). */
const TARGET_REFRESH: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'SUBSCRIBE', 'NOTIFY', 'REFER']);

/** How a request inside the dialog is addressed. */
export interface DialogTarget {
  readonly requestUri: string;
  readonly routes: readonly string[];
  /** URI of the next hop, for RFC 3263. */
  readonly nextHop: string;
}

/** RFC 3261 12.2.1.1: loose routing, or, when the first hop has no `lr`, strict routing. */
export function dialogTarget(dialog: Dialog): DialogTarget {
  const [first, ...rest] = dialog.routeSet;
  if (first === undefined) return { requestUri: dialog.remoteTarget, routes: [], nextHop: dialog.remoteTarget };
  const hop = parseAddress(first)?.uri ?? dialog.remoteTarget;
  const uri = parseUri(hop);
  if (uri === undefined || uri.kind !== 'sip' || uri.params.has('lr')) {
    return { requestUri: dialog.remoteTarget, routes: dialog.routeSet, nextHop: hop };
  }
  return { requestUri: asRequestUri(uri), routes: [...rest, `<${dialog.remoteTarget}>`], nextHop: hop };
}

/** RFC 3261 19.1.1: `method` and headers have no place in a Request-URI. */
function asRequestUri(uri: SipUri): string {
  const params = new Params();
  for (const [name, value] of uri.params) if (name !== 'method') params.add(name, value);
  return formatUri({ ...uri, params, headers: [] });
}

export interface DialogRequest {
  readonly dialog: Dialog;
  readonly cseq: number;
  readonly nextHop: string;
  /** Start line, Via, Max-Forwards, Route, From, To, Call-ID and CSeq are written; add the rest and `finish`. */
  readonly writer: MessageWriter;
}

/** Begins a request in the dialog and counts its CSeq. `via` is the value of our Via. */
export function dialogRequest(dialog: Dialog, method: string, via: string, maxForwards = 70): DialogRequest {
  const cseq = dialog.localCSeq + 1;
  return { ...begin(dialog, method, cseq, via, maxForwards), dialog: { ...dialog, localCSeq: cseq } };
}

/** Begins the ACK of a 2xx: a request of its own with the number of its INVITE (RFC 3261 13.2.2.4). */
export function dialogAck(dialog: Dialog, inviteCSeq: number, via: string, maxForwards = 70): DialogRequest {
  return begin(dialog, 'ACK', inviteCSeq, via, maxForwards);
}

function begin(dialog: Dialog, method: string, cseq: number, via: string, maxForwards: number): DialogRequest {
  const { requestUri, routes, nextHop } = dialogTarget(dialog);
  const writer = MessageWriter.request(method, requestUri)
    .header('Via', via)
    .header('Max-Forwards', maxForwards)
    .headers('Route', routes)
    .header('From', dialog.local)
    .header('To', dialog.remote)
    .header('Call-ID', dialog.callId)
    .header('CSeq', `${cseq} ${method}`);
  return { dialog, cseq, nextHop, writer };
}

function contactUri(message: SipMessage): string | undefined {
  const contact = message.list('contact')[0];
  return contact === undefined ? undefined : parseAddress(contact)?.uri;
}
