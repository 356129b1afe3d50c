import { request } from './support.ts';

export const flood = (line: string, bytes: number): string => line.repeat(Math.floor(bytes / line.length));
/** Messages that would cost a careless parser more than their length. Each grows with `bytes`. */
export const HOSTILE: Readonly<Record<string, (bytes: number) => string>> = {
  'an unclosed quote in From': (bytes) => request({ from: `"${'a'.repeat(bytes)} <sip:a@h>;tag=1` }),
  'quotes and escapes in From': (bytes) => request({ from: `"${'\\"'.repeat(bytes / 2)}" <sip:a@h>;tag=1` }),
  'an unclosed quote in a parameter': (bytes) => request({ from: `<sip:a@h>;x="${'a'.repeat(bytes)}` }),
  'many From parameters': (bytes) => request({ from: `<sip:a@h>${flood(';a', bytes)}` }),
  'many words in a display name': (bytes) => request({ from: `${flood('a ', bytes)}<sip:a@h>;tag=1` }),
  'a long method': (bytes) => request({ method: 'M'.repeat(bytes) }),
  'a long Call-ID': (bytes) => request({ callId: 'c'.repeat(bytes) }),
  'many Contact values': (bytes) => request({ headers: `Contact: ${flood('<sip:a@h>,', bytes)}<sip:a@h>\r\n` }),
  'many Record-Route values': (bytes) =>
    request({ headers: `Record-Route: ${flood('<sip:a@h;lr>,', bytes)}<sip:a@h>\r\n` }),
  'many Via values': (bytes) => request({ via: `SIP/2.0/UDP h;branch=z9hG4bK1${flood(',SIP/2.0/UDP h', bytes)}` }),
  'many commas in an unknown header': (bytes) => request({ headers: `X: ${','.repeat(bytes)}\r\n` }),
  'many header lines': (bytes) => request({ headers: flood('X: y\r\n', bytes) }),
  'many Via lines': (bytes) => request({ headers: flood('Via: SIP/2.0/UDP h\r\n', bytes) }),
  'many folds': (bytes) => request({ headers: `X: a${flood('\r\n ', bytes)}b\r\n` }),
  'many bare CRs': (bytes) => request({ headers: flood('X: \r y\r\n', bytes) }),
  'one line of CRs': (bytes) => request({ headers: `X: ${'\r'.repeat(bytes)}\r\n` }),
  'a line of colons': (bytes) => request({ headers: `${':'.repeat(bytes)}\r\n` }),
  'a large body': (bytes) => request({ body: '\r\n'.repeat(bytes / 2) }),
  'a body of delimiters': (bytes) =>
    request({ body: flood('--b\r\n', bytes), contentType: 'multipart/mixed;boundary=b' }),
  'a body of near delimiters': (bytes) =>
    request({ body: flood('\r\n--bx', bytes), contentType: 'multipart/mixed;boundary=b' }),
  'nothing but CRLF': (bytes) => '\r\n'.repeat(bytes / 2),
  'no line end at all': (bytes) => 'a'.repeat(bytes),
};
