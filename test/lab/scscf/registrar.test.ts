import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalIdentity, SubscriberDirectory } from '../../../src/lab/scscf/identity.ts';
import { Registrar } from '../../../src/lab/scscf/registrar.ts';
import { type ParsedMessage, parseMessage } from '../../../src/sip/message/index.ts';

const FLOW = {
  transport: 'udp',
  remoteAddress: '127.0.0.1',
  remotePort: 5061,
  localAddress: '127.0.0.1',
  localPort: 5060,
} as const;
const LIMITS = { minExpiresS: 60, defaultExpiresS: 3600, maxExpiresS: 7200 };
const ALICE = 'sip:alice@ims.lab';
const DATA_CHANNELS = '+sip.app-subtype="webrtc-datachannel"';

function registration(cseq: number, contacts: readonly string[], more: readonly string[] = []): ParsedMessage {
  const lines = [
    'REGISTER sip:ims.lab SIP/2.0',
    'Via: SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bK1',
    `From: <${ALICE}>;tag=a`,
    `To: <${ALICE}>`,
    'Call-ID: one',
    `CSeq: ${cseq} REGISTER`,
    ...contacts.map((contact) => `Contact: ${contact}`),
    ...more,
    'Content-Length: 0',
  ];
  const result = parseMessage(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`));
  assert.ok(!('error' in result));
  return result.message;
}

// conformance: RFC 3261 10.3 — bindings: add, refresh, remove, all or nothing
test('binds, refreshes, expires and removes', () => {
  const registrar = new Registrar(LIMITS);
  const contact = `<sip:alice@127.0.0.1:5061>;${DATA_CHANNELS}`;
  const bound = registrar.register(ALICE, registration(1, [`${contact};expires=100`]), FLOW, 0);
  assert.equal(bound.status, 200);
  const [binding] = registrar.bindings(ALICE, 0);
  assert.deepEqual(
    [binding?.contactUri, binding?.contact, binding?.dataChannels, binding?.expiresAtMs],
    ['sip:alice@127.0.0.1:5061', contact, true, 100_000],
  );
  registrar.register(ALICE, registration(2, [contact]), FLOW, 50_000);
  assert.equal(registrar.bindings(ALICE, 50_000).length, 1);
  assert.equal(registrar.bindings(ALICE, 50_000 + 3_599_999).length, 1);
  assert.equal(registrar.bindings(ALICE, 50_000 + 3_600_000).length, 0);
  assert.equal(registrar.size, 0);
});

test('an old CSeq changes nothing; too short an interval is 423; * removes all', () => {
  const registrar = new Registrar(LIMITS);
  registrar.register(ALICE, registration(5, ['<sip:a@127.0.0.1:1>', '<sip:a@127.0.0.1:2>']), FLOW, 0);
  assert.equal(registrar.register(ALICE, registration(5, ['<sip:a@127.0.0.1:1>;expires=0']), FLOW, 0).status, 500);
  assert.equal(registrar.register(ALICE, registration(6, ['<sip:a@127.0.0.1:3>;expires=10']), FLOW, 0).status, 423);
  assert.equal(registrar.register(ALICE, registration(7, ['*']), FLOW, 0).status, 400);
  assert.equal(registrar.bindings(ALICE, 0).length, 2);
  assert.equal(registrar.register(ALICE, registration(8, ['*'], ['Expires: 0']), FLOW, 0).status, 200);
  assert.equal(registrar.bindings(ALICE, 0).length, 0);
});

test('a REGISTER without Contact only asks', () => {
  const registrar = new Registrar(LIMITS);
  registrar.register(ALICE, registration(1, ['<sip:a@127.0.0.1:1>']), FLOW, 0);
  const asked = registrar.register(ALICE, registration(1, []), FLOW, 0);
  assert.equal(asked.status === 200 && asked.bindings.length, 1);
});

test('a ninth device takes the place of the oldest', () => {
  const registrar = new Registrar(LIMITS);
  for (let port = 1; port <= 9; port++) {
    registrar.register(ALICE, registration(port, [`<sip:a@127.0.0.1:${port}>`]), FLOW, 0);
  }
  const uris = registrar.bindings(ALICE, 0).map(({ contactUri }) => contactUri);
  assert.equal(uris.length, 8);
  assert.ok(!uris.some((uri) => uri.endsWith(':1')));
});

test('identities compare in one form; implicit sets share their default', () => {
  assert.equal(canonicalIdentity('sip:alice@IMS.lab:5060;transport=tcp'), 'sip:alice@ims.lab');
  assert.equal(canonicalIdentity('tel:+49-30 '.trim()), 'tel:+4930');
  assert.equal(canonicalIdentity('sip:+49(30)1@ims.lab;user=phone'), 'tel:+49301');
  assert.equal(canonicalIdentity('urn:service:sos'), undefined);
  const directory = new SubscriberDirectory('ims.lab', [{ identities: ['sip:bob@ims.lab', 'tel:+4930'] }]);
  assert.equal(directory.subscriber('tel:+49-30'), 'sip:bob@ims.lab');
  assert.equal(directory.subscriber('sip:stranger@ims.lab'), 'sip:stranger@ims.lab');
  assert.equal(directory.subscriber('sip:x@elsewhere.example'), undefined);
});
