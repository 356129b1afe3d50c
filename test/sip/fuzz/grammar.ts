import fc from 'fast-check';
import { MessageWriter } from '../../../src/sip/message/index.ts';

/** Messages by the grammar of RFC 3261 25, each production now and then replaced by something near it or by noise. */

const noise = fc.string({ unit: 'binary', maxLength: 40 }).map((text) => Buffer.from(text).toString('latin1'));
const rarely = (good: fc.Arbitrary<string>, bad: fc.Arbitrary<string> = noise): fc.Arbitrary<string> =>
  fc.oneof({ weight: 60, arbitrary: good }, { weight: 1, arbitrary: bad });

const token = fc.string({ unit: fc.constantFrom(..."abcXYZ019-.!%*_+`'~"), minLength: 1, maxLength: 12 });
const quoted = fc
  .string({ unit: fc.constantFrom('a', ' ', '\\"', '\\\\', ',', ';', '<', 'é'), maxLength: 12 })
  .map((text) => `"${text}"`);
const host = rarely(
  fc.constantFrom('192.0.2.1', '[2001:db8::1]', 'example.com', 'a.invalid', '[::ffff:192.0.2.1]'),
  fc.constantFrom('1.2.3', 'h_x', '[', ''),
);
const port = rarely(fc.constantFrom('', '', ':5060', ':5080'), fc.constantFrom(':0', ':65536', ':', ':x'));
const parameter = rarely(
  fc.oneof(
    token.map((name) => `;${name}`),
    fc.tuple(token, fc.oneof(token, host)).map(([name, value]) => `;${name}=${value}`),
    fc.constantFrom(';lr', ';rport', ';maddr=[::1]', ';maddr=192.0.2.9', ';tag=t', ';oc', ';alias'),
  ),
  fc.oneof(
    quoted.map((value) => `;a=${value}`),
    fc.constantFrom(';received=', ';rport=x', ';', ';;', '; ='),
  ),
);
const parameters = fc.array(parameter, { maxLength: 4 }).map((all) => all.join(''));
const sipUri = fc
  .tuple(
    rarely(fc.constantFrom('sip:', 'sips:', 'SIP:'), fc.constant('')),
    rarely(fc.constantFrom('', 'bob@', 'a:b@', '%41@', 'a;b@'), fc.constantFrom('@', '%00@', '%@')),
    host,
    port,
    parameters,
  )
  .map((parts) => parts.join(''));
const uri = rarely(
  fc.oneof(
    { weight: 6, arbitrary: sipUri },
    { weight: 1, arbitrary: fc.constantFrom('tel:+123', 'urn:service:sos', 'urn:service:sos.fire', 'data:,', ':') },
  ),
);
const address = fc
  .tuple(fc.oneof(fc.constant(''), quoted, token), uri, parameters)
  .map(([name, inner, rest]) => `${name} <${inner}>${rest}`);
const protocol = rarely(
  fc.constantFrom('SIP/2.0/UDP', 'SIP / 2.0 / TCP', 'SIP/2.0/WS'),
  fc.constantFrom('SIP/3.0/UDP', 'SIP/2.0'),
);
const via = fc
  .tuple(protocol, host, port, token, parameters)
  .map(([version, name, at, branch, rest]) => `${version} ${name}${at};branch=z9hG4bK${branch}${rest}`);

export const METHODS = [
  'INVITE',
  'ACK',
  'BYE',
  'CANCEL',
  'OPTIONS',
  'REGISTER',
  'PRACK',
  'UPDATE',
  'INFO',
  'MESSAGE',
  'REFER',
  'NOTIFY',
  'invite',
  'X',
];
const method = fc.constantFrom(...METHODS);

const sdpLine = fc.constantFrom(
  'v=0',
  'o=- 1 1 IN IP4 192.0.2.1',
  's=-',
  'c=IN IP4 192.0.2.1',
  't=0 0',
  'm=audio 4000 RTP/AVP 0',
  'm=audio 0 RTP/AVP 0',
  'm=application 52718 UDP/DTLS/SCTP webrtc-datachannel',
  'a=sctp-port:5000',
  'a=dcmap:0 subprotocol="http"',
  'a=dcmap:100 subprotocol="http"',
  'a=dcmap:70000',
  'a=max-message-size:99999999999',
  'a=setup:actpass',
  'a=tls-id:abcdefghijklmnopqrst',
  'a=3gpp-bdc-used-by:sender',
  'a=3gpp-req-app:app',
  `a=fingerprint:SHA-256 ${'AB:'.repeat(31)}AB`,
  'a=fingerprint:SHA-256 x',
  'a',
  '=',
  'm=',
  'a=group:BUNDLE 0 1',
  'a=mid:0',
);
const goodSdp = fc
  .array(sdpLine, { maxLength: 25 })
  .map(
    (lines) =>
      `v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n${lines.map((line) => `${line}\r\n`).join('')}`,
  );
const multipart = goodSdp.map((sdp) => `--b\r\nContent-Type: application/sdp\r\n\r\n${sdp}\r\n--b--\r\n`);
export const body: fc.Arbitrary<readonly [string, string]> = fc.oneof(
  goodSdp.map((text) => ['application/sdp', text] as const),
  multipart.map((text) => ['multipart/mixed;boundary=b', text] as const),
  fc.tuple(rarely(token), noise),
  fc.constant(['', ''] as const),
);

const ADDRESSES = ['Contact', 'm', 'Route', 'Record-Route', 'P-Asserted-Identity', 'P-Served-User', 'Refer-To', 'Path'];
const line = (header: string, value: string): string => `${header}: ${value.replace(/[\r\n]/g, ' ')}`;
const extra = rarely(
  fc.oneof(
    fc.tuple(fc.constantFrom(...ADDRESSES), address).map(([header, value]) => line(header, value)),
    fc.tuple(token, noise).map(([header, value]) => line(header, value)),
    fc.constantFrom(
      ...['Supported: 100rel, timer', 'RSeq: 1', 'RAck: 1 1 INVITE', 'RAck: x', 'Session-Expires: 90;refresher=uac'],
      ...['Session-Expires: 1', 'Min-SE: 99999999999', 'Replaces: a;to-tag=b;from-tag=c', 'Expires: -1'],
      ...['Retry-After: x', 'Privacy: id', 'Resource-Priority: ets.0', 'X: a\r\n folded'],
    ),
  ),
  fc.constantFrom('Max-Forwards: 0', 'Max-Forwards: x', 'Require: 100rel', 'Content-Length: 3', 'l: 0', ':', 'x'),
);
const extras = fc.array(extra, { maxLength: 8 }).map((lines) => lines.map((line) => `${line}\r\n`).join(''));
const oneLine = (value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  rarely(value).map((text) => text.replace(/[\r\n]/g, ' '));
const cseq = rarely(fc.constantFrom('1', '2', '2147483647'), fc.constantFrom('-1', '2147483648', 'x', ''));

/** A request; Call-ID, branch and tags come from small sets, so that messages meet. */
export const requestText: fc.Arbitrary<string> = fc
  .record({
    method,
    target: uri,
    via: rarely(via),
    from: oneLine(address),
    to: oneLine(address),
    id: rarely(fc.constantFrom('c1', 'c2', 'c3')),
    cseq,
    extras,
    body,
  })
  .map((it) =>
    MessageWriter.request(it.method, it.target)
      .header('Via', it.via)
      .header('From', `${it.from};tag=f`)
      .header('To', it.to)
      .header('Call-ID', it.id)
      .header('CSeq', `${it.cseq} ${it.method}`)
      .lines(it.extras)
      .finish(it.body[1], it.body[0]),
  );

/** What an answer says beside the headers that it copies. */
export interface AnswerShape {
  readonly status: number;
  readonly tag: string;
  readonly extras: string;
  readonly body: readonly [string, string];
}
export const answerShape: fc.Arbitrary<AnswerShape> = fc.record({
  status: fc.constantFrom(100, 180, 183, 199, 200, 202, 301, 404, 407, 422, 481, 486, 488, 491, 503, 603, 699),
  tag: fc.constantFrom('t1', 't2'),
  extras,
  body,
});

/** How to damage bytes. Positions are fractions, so that they fit any length. */
export type Damage =
  | { kind: 'replace'; at: number; byte: number }
  | { kind: 'insert'; at: number; text: string }
  | { kind: 'delete'; at: number; length: number }
  | { kind: 'repeat'; at: number; length: number; times: number };
const at = fc.double({ min: 0, max: 0.999, noNaN: true });
const length = fc.integer({ min: 1, max: 60 });
export const damages: fc.Arbitrary<Damage[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('replace' as const), at, byte: fc.integer({ min: 0, max: 255 }) }),
    fc.record({
      kind: fc.constant('insert' as const),
      at,
      text: fc.constantFrom(
        '\r\n',
        '\r\n ',
        '"',
        '<',
        '>',
        ';',
        ',',
        ':',
        '=',
        '@',
        '\0',
        '\xff',
        'z9hG4bK',
        '2147483648',
      ),
    }),
    fc.record({ kind: fc.constant('delete' as const), at, length }),
    fc.record({ kind: fc.constant('repeat' as const), at, length, times: fc.integer({ min: 2, max: 40 }) }),
  ),
  { minLength: 1, maxLength: 6 },
);

export function damaged(text: string, all: readonly Damage[]): string {
  let result = text;
  for (const damage of all) {
    const from = Math.floor(damage.at * result.length);
    const [before, after] = [result.slice(0, from), result.slice(from)];
    if (damage.kind === 'replace') result = before + String.fromCharCode(damage.byte) + after.slice(1);
    else if (damage.kind === 'insert') result = before + damage.text + after;
    else if (damage.kind === 'delete') result = before + after.slice(damage.length);
    else result = before + after.slice(0, damage.length).repeat(damage.times) + after.slice(damage.length);
  }
  return result.slice(0, 64 * 1024);
}
