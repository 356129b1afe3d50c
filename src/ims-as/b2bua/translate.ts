import { formatUri, parseAddress, parseReplaces, parseUri } from '../../sip/message/index.ts';
import type { SipMessage } from '../../sip/types.ts';
import type { CallEnvironment } from '../call/types.ts';
import type { DialogName } from './counterpart.ts';

/**
 * Headers that name a dialog. Each of our calls is two dialogs, and the reader of the header knows the other one, so
 * a name of ours is exchanged for its counterpart; any other passes untouched (R21).
 */
export const DIALOG_HEADERS: ReadonlySet<string> = new Set(['replaces', 'join', 'target-dialog', 'refer-to']);

/** The lines of `DIALOG_HEADERS` as the other leg must read them; '' when the message has none. */
export function translateDialogHeaders(message: SipMessage, env: CallEnvironment): string {
  return (
    translate(message, 'replaces', 'Replaces', env) +
    translate(message, 'join', 'Join', env) +
    translate(message, 'target-dialog', 'Target-Dialog', env) +
    translateReferTo(message, env)
  );
}

/** The dialogs that `message` names, whoever's they are. */
export function namedDialogs(message: SipMessage): DialogName[] {
  const values = ['replaces', 'join', 'target-dialog'].map((name) => message.first(name));
  const referTo = message.first('refer-to');
  const uri = referTo === undefined ? undefined : parseUri(parseAddress(referTo)?.uri ?? '');
  if (uri?.kind === 'sip') values.push(...uri.headers.map(escapedReplaces));
  return values.flatMap((value) => (value === undefined ? [] : (parseReplaces(value) ?? [])));
}

/** Value of a `Replaces=...` in the headers of a URI; undefined for other headers. */
function escapedReplaces(header: string): string | undefined {
  const equal = header.indexOf('=');
  return header.slice(0, equal).toLowerCase() === 'replaces' ? unescaped(header.slice(equal + 1)) : undefined;
}

function translate(message: SipMessage, name: string, title: string, env: CallEnvironment): string {
  const value = message.first(name);
  if (value === undefined) return '';
  const translated = translateReference(value, env);
  return translated === undefined ? message.span(name) : `${title}: ${translated}\r\n`;
}

/** Undefined: not a dialog of ours. Parameters other than the tags stay. */
function translateReference(value: string, env: CallEnvironment): string | undefined {
  const reference = parseReplaces(value);
  if (reference === undefined) return undefined;
  const other = env.counterpart(reference);
  if (other === undefined) return undefined;
  const [, ...params] = value.split(';');
  const kept = params.map((param) => {
    const name = param.trim().split('=', 1)[0]!.trim().toLowerCase();
    if (name === 'to-tag' || name === 'remote-tag') return `${name}=${other.toTag}`;
    if (name === 'from-tag' || name === 'local-tag') return `${name}=${other.fromTag}`;
    return param.trim();
  });
  return [other.callId, ...kept].join(';');
}

/** `Refer-To: <sip:bob@x?Replaces=...>`: the dialog stands escaped in the URI's headers (RFC 3891 6.1). */
function translateReferTo(message: SipMessage, env: CallEnvironment): string {
  const value = message.first('refer-to');
  if (value === undefined) return '';
  const uri = parseUri(parseAddress(value)?.uri ?? '');
  if (uri?.kind !== 'sip' || uri.headers.length === 0) return message.span('refer-to');
  let changed = false;
  const headers = uri.headers.map((header) => {
    const replaces = escapedReplaces(header);
    const translated = replaces === undefined ? undefined : translateReference(replaces, env);
    if (translated === undefined) return header;
    changed = true;
    return `${header.slice(0, header.indexOf('='))}=${encodeURIComponent(translated)}`;
  });
  if (!changed) return message.span('refer-to');
  return `Refer-To: <${formatUri({ ...uri, headers })}>\r\n`;
}

function unescaped(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
