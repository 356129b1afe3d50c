import { checkRequest, parseAddress, type Refusal } from '../sip/message/index.ts';
import type { SipMessage } from '../sip/types.ts';
import type { Capabilities } from './b2bua/capability.ts';

const METHODS = 'INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, REFER, NOTIFY';
const SCHEMES: ReadonlySet<string> = new Set(['sip', 'sips', 'tel', 'urn']);
/** Require of an INVITE is for the other side; of what we answer ourselves nothing is understood beyond RFC 3261. */
const NONE: ReadonlySet<string> = new Set();

/** How a request outside any dialog is answered; undefined: it is an INVITE that makes a call. */
export function answerAlone(message: SipMessage, capabilities: Capabilities, nowMs: number): Refusal | undefined {
  const forwards = message.method === 'INVITE';
  const refusal = checkRequest(
    message,
    forwards ? { schemes: SCHEMES, forwards } : { schemes: SCHEMES, forwards, supported: NONE },
  );
  if (refusal !== undefined) return refusal;
  switch (message.method) {
    case 'INVITE':
      return undefined;
    case 'REGISTER':
      return register(message, capabilities, nowMs);
    case 'OPTIONS':
      return answer(200, `Allow: ${METHODS}\r\nAccept: application/sdp\r\nSupported: 100rel, timer, replaces\r\n`);
    default:
      return answer(405, `Allow: ${METHODS}\r\n`);
  }
}

/** Third-party registration (24.229 5.4.1.7): always 200; the AS registers nobody. */
function register(message: SipMessage, capabilities: Capabilities, nowMs: number): Refusal {
  const user = parseAddress(message.first('to') ?? '')?.uri;
  if (user !== undefined) capabilities.learn(user, message, nowMs);
  const expires = message.first('expires');
  return answer(200, expires === undefined ? '' : `Expires: ${expires}\r\n`);
}

function answer(status: number, headers: string): Refusal {
  return { status, reason: undefined, headers };
}
