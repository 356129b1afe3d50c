import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { buildResponse } from '../../../src/sip/message/index.ts';
import { Transactions } from '../../../src/sip/transaction/index.ts';
import type { SipMessage, TransactionTimerHandle } from '../../../src/sip/types.ts';
import { pair, type Station } from '../network.ts';
import { parsed, request } from '../support.ts';

const LIFETIME_MS = 32_000;
const NONE = { clients: 0, servers: 0 };

/** B answers every INVITE with `status` after `delayMs`, and anything else with 200 at once. */
function answering(
  b: Station,
  status: number,
  delayMs: number,
  after: (delayMs: number, run: () => void) => void,
): void {
  b.onEvent = (event) => {
    if (event.kind !== 'request') return;
    const { key, message } = event;
    const wire = buildResponse(message, message.method === 'INVITE' ? status : 200, { toTag: 'b' });
    if (message.method === 'INVITE') after(delayMs, () => b.respond(key, status, wire));
    else b.respond(key, 200, wire);
  };
}

// conformance: RFC 3261 17.1.1.2 — the INVITE is repeated at T1, 2 T1, ... and given up after 64 T1
test('nobody answers: seven INVITEs, then timeout', () => {
  const { network, a } = pair(() => []);
  const startMs = network.timers.nowMs();
  const sentAt: number[] = [];
  network.fate = () => {
    sentAt.push(network.timers.nowMs() - startMs);
    return [];
  };
  a.request(request());
  network.timers.advance(LIFETIME_MS);
  assert.deepEqual(sentAt, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
  assert.deepEqual(a.told, ['clientFailed timeout']);
  assert.deepEqual([a.layer.size, a.armed.size], [NONE, 0]);
});

// conformance: R15 — 100 Trying at once, and the INVITE is not repeated any more
test('the layer answers 100 at once and absorbs the INVITE when it comes again', () => {
  const { network, a, b } = pair();
  network.fate = ({ wire }) => (wire.startsWith('INVITE') ? [10, 20, 30] : [10]);
  a.request(request());
  network.timers.advance(5000);
  assert.deepEqual(b.told, ['request INVITE']);
  assert.deepEqual(network.log, ['a INVITE', 'b 100', 'b 100', 'b 100']);
});

// conformance: RFC 3261 17.1.1.3 — the ACK of a refusal has the INVITE's Via, Route, CSeq number and the To of the response
test('a refusal is acknowledged by the layer, again for each repetition', () => {
  const { network, a, b } = pair();
  let acks = 0;
  let ack: SipMessage | undefined;
  network.fate = ({ wire }) => {
    if (!wire.startsWith('ACK')) return [10];
    ack = parsed(wire);
    return acks++ === 0 ? [] : [10]; // The first ACK is lost.
  };
  answering(b, 486, 100, (ms, run) => void network.timers.after(ms, run));
  a.request(request({ headers: 'Route: <sip:r1;lr>, <sip:r2;lr>\r\nRoute: <sip:r3;lr>\r\nContact: <sip:a@h>\r\n' }));
  network.timers.advance(10_000);
  assert.deepEqual(network.log, ['a INVITE', 'b 100', 'b 486', 'a ACK', 'b 486', 'a ACK']);
  assert.deepEqual(a.told, ['response 100', 'response 486']);
  assert.ok(ack !== undefined);
  assert.equal(ack.span('route'), 'Route: <sip:r1;lr>, <sip:r2;lr>\r\nRoute: <sip:r3;lr>\r\n');
  assert.deepEqual([ack.toTag, ack.first('cseq'), ack.via.branch, ack.body], ['b', '1 ACK', 'z9hG4bKtest', '']);
  network.timers.advance(2 * LIFETIME_MS);
  assert.deepEqual([a.layer.size, b.layer.size, network.timers.size], [NONE, NONE, 0]);
});

// conformance: RFC 6026 7 — several 2xx reach the user; the ACK of a 2xx does too
test('2xx of two forks and their repetitions all reach the user', () => {
  const { network, a, b } = pair();
  answering(b, 200, 10, (ms, run) => void network.timers.after(ms, run));
  a.request(request());
  network.timers.advance(100);
  const other = buildResponse(parsed(request()), 200, { toTag: 'fork2' });
  b.send(other);
  b.send(other);
  a.send(request({ method: 'ACK', branch: 'z9hG4bKack', to: '<sip:bob@example.com>;tag=b' }));
  network.timers.advance(100);
  assert.deepEqual(a.told, ['response 100', 'response 200', 'response 200', 'response 200']);
  assert.deepEqual(b.told, ['request INVITE', 'ack']);
  network.timers.advance(LIFETIME_MS);
  b.send(other);
  network.timers.advance(100);
  assert.equal(a.told.at(-1), 'strayResponse');
});

// conformance: RFC 3261 9.1 — no CANCEL before a 1xx; 9.2 — 200 to the CANCEL, 487 to the INVITE
test('CANCEL waits for the first 1xx', () => {
  const { network, a, b } = pair();
  let invite: { key: Parameters<Station['respond']>[0]; message: SipMessage } | undefined;
  b.onEvent = (event) => {
    if (event.kind === 'request') invite = event;
    if (event.kind === 'cancel') {
      assert.equal(event.key, invite!.key);
      assert.equal(event.message.first('reason'), 'SIP;cause=200');
      b.respond(event.key, 487, buildResponse(invite!.message, 487, { toTag: 'b' }));
    }
  };
  const key = a.request(request({ headers: 'Route: <sip:r1;lr>\r\nContact: <sip:a@h>\r\n' }));
  a.layer.cancel(key, a.nowMs(), 'Reason: SIP;cause=200\r\n');
  a.layer.cancel(key, a.nowMs());
  assert.deepEqual(network.log, ['a INVITE']);
  network.timers.advance(2 * LIFETIME_MS);
  assert.deepEqual(network.log, ['a INVITE', 'b 100', 'a CANCEL', 'b 200', 'b 487', 'a ACK']);
  assert.deepEqual(a.told, ['response 100', 'response 487']);
  assert.deepEqual(b.told, ['request INVITE', 'cancel']);
  assert.equal(network.timers.size, 0);
});

test('CANCEL meets a 200 on its way: no CANCEL goes out after the final response', () => {
  const { network, a, b } = pair();
  answering(b, 200, 0, (ms, run) => void network.timers.after(ms, run));
  network.fate = ({ wire }) => (wire.startsWith('SIP/2.0 100') ? [] : [10]);
  const key = a.request(request());
  a.layer.cancel(key, a.nowMs());
  network.timers.advance(1000);
  a.layer.cancel(key, a.nowMs());
  assert.deepEqual(network.log, ['a INVITE', 'b 100', 'b 200']);
});

// conformance: RFC 3261 9.1 — the INVITE is given up 64 T1 after an ineffective CANCEL
test('a peer that ignores CANCEL does not hold us for ever', () => {
  const { network, a, b } = pair();
  const key = a.request(request());
  network.timers.advance(100);
  b.onEvent = () => undefined;
  a.layer.cancel(key, a.nowMs());
  network.timers.advance(LIFETIME_MS + 1000);
  assert.deepEqual(a.told, ['response 100', 'clientFailed timeout']);
});

test('a CANCEL for nothing is answered 481, each time with the same tag', () => {
  const { network, a } = pair();
  const answers: string[] = [];
  network.fate = ({ from, wire }) => {
    if (from === 'b') answers.push(wire);
    return [10];
  };
  a.send(request({ method: 'CANCEL' }));
  a.send(request({ method: 'CANCEL' }));
  network.timers.advance(100);
  assert.equal(answers.length, 2);
  assert.equal(answers[0], answers[1]);
  assert.equal(parsed(answers[0]!).status, 481);
});

// conformance: RFC 3261 8.2.2.2 — a merged request gets 482; R22 — a spiral is another session
test('a merged request is refused, a spiral is not', () => {
  const { network, a, b } = pair();
  a.send(request({ branch: 'z9hG4bK1' }));
  a.send(request({ branch: 'z9hG4bK2' }));
  a.send(request({ branch: 'z9hG4bK3', uri: 'sip:other@example.com' }));
  a.send(request({ branch: 'z9hG4bK4', headers: 'Route: <sip:as;lr;term>\r\nContact: <sip:a@h>\r\n' }));
  a.send(request({ branch: 'z9hG4bK5', to: '<sip:bob@example.com>;tag=in-dialog' }));
  network.timers.advance(100);
  assert.deepEqual(b.told, ['request INVITE', 'request INVITE', 'request INVITE', 'request INVITE']);
  assert.deepEqual(network.log.filter((line) => line === 'b 482').length, 1);
});

// conformance: RFC 3261 17.2.3 — branch, sent-by and method; RFC 2543 peers by Call-ID, CSeq, From tag and Via
test('what is and what is not the same transaction', () => {
  const { network, a, b } = pair();
  const old = { via: 'SIP/2.0/UDP old.example;branch=1' };
  a.send(request({ ...old, callId: 'x1' }));
  a.send(request({ ...old, callId: 'x1' }));
  a.send(request({ ...old, callId: 'x2' }));
  a.send(request({ via: 'SIP/2.0/UDP h1;branch=z9hG4bKs', callId: 'x3' }));
  a.send(request({ via: 'SIP/2.0/UDP H1;branch=z9hG4bKs', callId: 'x3' }));
  a.send(request({ via: 'SIP/2.0/UDP h1:5061;branch=z9hG4bKs', callId: 'x4' }));
  a.send(request({ via: 'SIP/2.0/UDP h1;branch=z9hG4bKs', callId: 'x3', method: 'OPTIONS' }));
  network.timers.advance(100);
  assert.deepEqual(b.told, ['request INVITE', 'request INVITE', 'request INVITE', 'request INVITE', 'request OPTIONS']);
});

test('an RFC 2543 ACK with the To tag finds its INVITE', () => {
  const { network, a, b } = pair();
  answering(b, 486, 0, (ms, run) => void network.timers.after(ms, run));
  const old = { via: 'SIP/2.0/UDP old.example', callId: 'x1' };
  a.send(request(old));
  network.timers.advance(100);
  a.send(request({ ...old, method: 'ACK', to: '<sip:bob@example.com>;tag=b' }));
  network.timers.advance(LIFETIME_MS);
  assert.deepEqual(b.told, ['request INVITE']);
  assert.equal(network.log.filter((line) => line === 'b 486').length, 1);
});

// conformance: RFC 3261 21.5.4 — 503 with Retry-After above the bound; calls inside dialogs can still end
test('the number of transactions is bounded', () => {
  const { network, a, b } = pair(undefined, { maxServers: 4, maxClients: 2 });
  const answers: SipMessage[] = [];
  network.fate = ({ from, wire }) => {
    if (from === 'b') answers.push(parsed(wire));
    return [10];
  };
  for (let i = 0; i < 6; i++) a.send(request({ branch: `z9hG4bK${i}`, callId: `c${i}` }));
  a.send(request({ method: 'BYE', branch: 'z9hG4bKbye', to: '<sip:bob@example.com>;tag=b' }));
  a.send(request({ method: 'BYE', branch: 'z9hG4bKbye2', callId: 'c2', to: '<sip:bob@example.com>;tag=b' }));
  network.timers.advance(100);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [100, 100, 100, 100, 503, 503, 503],
  );
  assert.equal(answers.at(-1)!.first('retry-after'), '2');
  assert.deepEqual(b.told, ['request INVITE', 'request INVITE', 'request INVITE', 'request INVITE', 'request BYE']);
  for (let i = 0; i < 3; i++) a.request(request({ branch: `z9hG4bKc${i}` }));
  assert.deepEqual(a.told.at(-1), 'clientFailed overload');
});

test('a transport error ends a client, and is told to the user of a server', () => {
  const { network, a, b } = pair();
  const key = a.request(request({ method: 'OPTIONS' }));
  a.layer.transportFailed(key, a.nowMs());
  assert.deepEqual([a.told, a.layer.size.clients, a.armed.size], [['clientFailed transport'], 0, 0]);
  a.send(request({ branch: 'z9hG4bKx' }));
  network.timers.advance(100);
  const invite = b.events.find((event) => event.kind === 'request' && event.message.method === 'INVITE');
  assert.ok(invite?.kind === 'request');
  b.layer.transportFailed(invite.key, b.nowMs());
  assert.equal(b.told.at(-1), 'serverFailed transport');
});

test('over TCP nothing is repeated and nothing lingers but the 2xx', () => {
  const { network, a, b } = pair(undefined, {}, 'tcp');
  answering(b, 404, 700, (ms, run) => void network.timers.after(ms, run));
  a.request(request());
  a.request(request({ method: 'OPTIONS', branch: 'z9hG4bKo' }));
  network.timers.advance(800);
  assert.deepEqual(network.log, ['a INVITE', 'a OPTIONS', 'b 100', 'b 200', 'b 404', 'a ACK']);
  assert.deepEqual([a.layer.size, b.layer.size, network.timers.size], [NONE, NONE, 0]);
});

test('property: however the network loses, repeats and reorders, each transaction happens once and everything ends', () => {
  const delays = fc.array(fc.nat(400), { maxLength: 3 });
  const answers = fc.constantFrom(200, 404, 486, 603);
  fc.assert(
    fc.property(fc.array(delays, { minLength: 1, maxLength: 40 }), answers, fc.nat(2000), (fates, status, ringMs) => {
      let packet = 0;
      // The first packets meet what was drawn, the later ones arrive: otherwise nothing could be promised.
      const { network, a, b } = pair(() => fates[packet++] ?? [10]);
      answering(b, status, ringMs, (ms, run) => void network.timers.after(ms, run));
      const invite = a.request(request());
      a.request(request({ method: 'MESSAGE', branch: 'z9hG4bKm', callId: 'm' }));
      network.timers.advance(4 * LIFETIME_MS);
      // A 2xx that is lost is repeated by its user, who is not here: the caller gives up instead, as by timer C.
      if (a.layer.size.clients > 0) a.layer.cancel(invite, a.nowMs());
      network.timers.advance(3 * LIFETIME_MS);
      assert.ok(b.told.filter((line) => line === 'request INVITE').length <= 1, 'one INVITE');
      assert.ok(b.told.filter((line) => line === 'request MESSAGE').length <= 1, 'one MESSAGE');
      const finals = a.events.filter(
        (event) => event.kind === 'response' && event.message.method === 'INVITE' && event.message.status >= 200,
      );
      const failed = a.events.filter((event) => event.kind === 'clientFailed' && event.key === invite);
      if (status >= 300) assert.ok(finals.length <= 1, 'a refusal is told once');
      assert.ok(finals.length + failed.length >= 1, 'the caller learns the end');
      assert.ok(failed.length <= 1 && (failed.length === 0 || finals.length === 0), 'one end only');
      assert.deepEqual([a.layer.size, b.layer.size], [NONE, NONE]);
      assert.deepEqual(
        [a.armed.size, b.armed.size, network.timers.size],
        [0, 0, 0],
        'no timer outlives its transaction',
      );
    }),
    { numRuns: 300 },
  );
});

test('a timer that comes too late finds its own transaction over, never the next one under its key', () => {
  const armed: TransactionTimerHandle[] = [];
  const told: string[] = [];
  const layer = new Transactions({
    emit: (effect) => {
      if (effect.kind === 'arm') armed.push(effect.timer);
      else if (effect.kind === 'toUser') told.push(effect.event.kind);
    },
  });
  const start = () => {
    const to = { transport: 'udp', address: 'b', port: 5060 } as const;
    const key = layer.request({ wire: request(), method: 'INVITE', branch: 'z9hG4bKtest', to }, 0);
    return { key, timers: armed.splice(0) };
  };
  const first = start();
  layer.transportFailed(first.key, 0);
  start();
  assert.deepEqual([first.timers.length, armed.length], [2, 0]);
  for (const timer of first.timers) layer.timerDue(timer, LIFETIME_MS);
  assert.deepEqual([told, layer.size.clients], [['clientFailed'], 1]);
});

test('a layer that closes leaves no timer armed and tells nobody', () => {
  const { network, a, b } = pair();
  answering(b, 486, 100, (ms, run) => void network.timers.after(ms, run));
  a.request(request());
  network.timers.advance(110);
  a.request(request({ method: 'MESSAGE', branch: 'z9hG4bKm', callId: 'm' }));
  assert.ok(a.armed.size > 0 && b.armed.size > 0);
  a.layer.close();
  b.layer.close();
  assert.deepEqual([a.armed.size, b.armed.size, a.layer.size, b.layer.size], [0, 0, NONE, NONE]);
  network.fate = () => [];
  network.timers.advance(2 * LIFETIME_MS);
  assert.equal(a.told.filter((line) => line.startsWith('clientFailed')).length, 0);
});

// V8 substrings keep their parent alive: one stored branch would keep a whole message for 32 s.
test('state that outlives a message holds no part of it', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { network, b } = pair();
  const count = 200;
  const bodyBytes = 50_000;
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < count; i++) {
    const wire = request({
      branch: `z9hG4bK-a-rather-long-branch-${i}`,
      from: `<sip:alice@example.com>;tag=a-rather-long-tag-of-the-caller-${i}`,
      callId: `a-rather-long-call-id-${i}@example.com`,
      uri: `sip:somebody-with-a-long-name-${i}@example.com`,
      body: 'x'.repeat(bodyBytes),
    });
    // As it comes out of a socket: one flat string.
    b.receive(Buffer.from(wire, 'latin1').toString('latin1'), 'a');
  }
  b.events.length = 0;
  network.timers.advance(1000);
  collect();
  assert.equal(b.layer.size.servers, count);
  const keptBytes = process.memoryUsage().heapUsed - before;
  assert.ok(keptBytes < (count * bodyBytes) / 4, `${keptBytes} bytes are kept`);
});
