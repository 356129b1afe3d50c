import { request } from './support.ts';

export const flood = (line: string, bytes: number): string => line.repeat(Math.floor(bytes / line.length));
const CONTACT = 'Contact: <sip:a@h>\r\n';
const DATA = 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n';
/** Header lines of 15 KB each. */
const lines = (bytes: number, start: string, unit: string): string =>
  flood(`${start}${flood(unit, 15_000)}\r\n`, Math.max(bytes, 15_100));
const sdpOf = (rest: string): string =>
  request({
    headers: CONTACT,
    body: `v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n${rest}`,
  });

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
  // Lines just below the limit of one line, so that nothing refuses them at first sight.
  'long Contact lists': (bytes) => request({ headers: lines(bytes, 'Contact: <sip:a@h>', ',<sip:a@h>') }),
  'long Route lists': (bytes) => request({ headers: CONTACT + lines(bytes, 'Route: <sip:a@h;lr>', ',<sip:a@h;lr>') }),
  'long identities': (bytes) =>
    request({ headers: CONTACT + lines(bytes, 'P-Asserted-Identity: <sip:a@h>', ',<sip:a@h;a=b>') }),
  'a Contact of many parameters': (bytes) => request({ headers: lines(bytes, 'Contact: <sip:a@h>', ';+a="b"') }),
  'a Via of many oc': (bytes) =>
    request({
      via: `SIP/2.0/UDP h;branch=z9hG4bK1;oc${flood('; oc-algo= ', Math.min(bytes, 15_000))}`,
      headers: CONTACT,
    }),
  'an SDP of many lines of media': (bytes) => sdpOf(flood('m=audio 4000 RTP/AVP 0\r\n', bytes)),
  'an SDP of many data channel lines': (bytes) => sdpOf(flood(`${DATA}a=dcmap:0 subprotocol="http"\r\n`, bytes)),
  'an SDP of many channels': (bytes) => sdpOf(DATA + flood('a=dcmap:1 subprotocol="http"\r\n', bytes)),
  'an SDP of many fingerprints': (bytes) =>
    sdpOf(DATA + flood(`a=fingerprint:SHA-256 ${'AB:'.repeat(31)}AB\r\n`, bytes)),
  'an SDP with one long attribute': (bytes) => sdpOf(`a=${'x '.repeat(bytes / 2)}\r\n`),
};
