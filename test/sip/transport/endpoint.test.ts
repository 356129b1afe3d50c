import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { Metrics } from '../../../src/base/metrics.ts';
import { confirmed, dialogAck, dialogRequest, uacDialog, uasDialog } from '../../../src/sip/dialog.ts';
import { buildResponse, MessageWriter } from '../../../src/sip/message/index.ts';
import type { SipEndpoint } from '../../../src/sip/transport/index.ts';
import type { Destination } from '../../../src/sip/types.ts';
import { BINDING_SUCCESS, decodeStun } from '../../../src/stun/message.ts';
import { endpointOn, nextEvent, parsed, request } from '../support.ts';

function addressOf(endpoint: SipEndpoint): Destination {
  const { transport, host, port } = endpoint.addresses()[0]!;
  return { transport, address: host, port };
}

function inviteFrom(endpoint: SipEndpoint, to: Destination, branch: string): string {
  return MessageWriter.request('INVITE', `sip:bob@${endpoint.hostFor(to)}`)
    .header('Via', endpoint.viaFor(to, branch))
    .header('Max-Forwards', 70)
    .header('From', `<sip:alice@example.com>;tag=${endpoint.newTag()}`)
    .header('To', '<sip:bob@example.com>')
    .header('Call-ID', endpoint.newCallId())
    .header('CSeq', '1 INVITE')
    .header('Contact', `<sip:alice@${endpoint.hostFor(to)};transport=${to.transport}>`)
    .finish();
}

for (const transport of ['udp', 'tcp'] as const) {
  // conformance: RFC 3261 13 — INVITE, 180, 200, ACK, BYE between two endpoints over real sockets
  test(`a whole call over ${transport}`, async () => {
    const alice = await endpointOn(transport);
    const bob = await endpointOn(transport);
    try {
      const to = addressOf(bob);
      const branch = alice.newBranch();
      const invited = nextEvent(bob, 'request');
      const trying = nextEvent(alice, 'response', (message) => message.status === 100);
      const key = alice.request({ wire: inviteFrom(alice, to, branch), method: 'INVITE', branch, to });
      const { message: invite, key: serverKey } = await invited;
      assert.equal((await trying).key, key);
      assert.equal(invite.via.params.has('rport'), true);
      assert.match(invite.first('via')!, /;rport=\d+(;alias)?;oc;oc-algo="loss";received=127\.0\.0\.1$/);

      const answered = nextEvent(alice, 'response', (message) => message.status === 200);
      const bobTag = bob.newTag();
      const contact = `Contact: <sip:bob@${bob.hostFor(addressOf(alice))};transport=${transport}>\r\n`;
      bob.respond(serverKey, 180, buildResponse(invite, 180, { toTag: bobTag, headers: contact }));
      bob.respond(serverKey, 200, buildResponse(invite, 200, { toTag: bobTag, headers: contact }));
      const bobDialog = confirmed(uasDialog(invite, bobTag)!);
      const { message: ok } = await answered;
      const dialog = uacDialog(ok)!;
      assert.equal(dialog.state, 'confirmed');
      assert.equal(dialog.remoteTag, bobDialog.localTag);

      const acked = nextEvent(bob, 'ack');
      const [hop] = await alice.resolve(dialog.remoteTarget);
      const ack = dialogAck(dialog, ok.cseq, alice.viaFor(hop!, alice.newBranch()));
      alice.sendStateless(ack.writer.finish(), hop!);
      assert.equal((await acked).message.method, 'ACK');

      // The callee hangs up: over TCP this goes back through the connection that the caller opened.
      const ending = nextEvent(alice, 'request', (message) => message.method === 'BYE');
      const byeBranch = bob.newBranch();
      const back = (await bob.resolve(bobDialog.remoteTarget))[0]!;
      const bye = dialogRequest(bobDialog, 'BYE', bob.viaFor(back, byeBranch));
      const ended = nextEvent(bob, 'response', (message) => message.method === 'BYE');
      bob.request({ wire: bye.writer.finish(), method: 'BYE', branch: byeBranch, to: back });
      const { message: received, key: byeKey } = await ending;
      alice.respond(byeKey, 200, buildResponse(received, 200));
      assert.equal((await ended).message.status, 200);
      if (transport === 'tcp') assert.equal(bob.status().connections, 1, 'the connection is reused both ways');
    } finally {
      await alice.closeAll();
      await bob.closeAll();
    }
  });
}

// conformance: RFC 3581 4 — the response goes to the source port when the Via has rport, and carries received and rport
test('the response goes back to where the request came from', async () => {
  const bob = await endpointOn('udp');
  const socket = createSocket('udp4');
  try {
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const wire = request({ via: 'SIP/2.0/UDP 10.9.9.9:5099;rport;branch=z9hG4bKr1' });
    socket.send(wire, addressOf(bob).port, '127.0.0.1');
    const [bytes] = (await once(socket, 'message')) as [Buffer];
    const trying = parsed(bytes);
    assert.equal(trying.status, 100);
    assert.equal(
      trying.first('via'),
      `SIP/2.0/UDP 10.9.9.9:5099;rport=${socket.address().port};branch=z9hG4bKr1;received=127.0.0.1`,
    );
  } finally {
    socket.close();
    await bob.closeAll();
  }
});

for (const [what, change, status] of [
  ['a CSeq of another method', (wire: string) => wire.replace('1 INVITE', '1 BYE'), 400],
  ['another version', (wire: string) => wire.replace('example.com SIP/2.0', 'example.com SIP/3.0'), 505],
  ['a body shorter than Content-Length', (wire: string) => wire.replace('Content-Length: 0', 'Content-Length: 9'), 400],
] as const) {
  // conformance: RFC 3261 8.2 — a malformed request is answered precisely as long as its Via can be read
  test(`${what} is answered with ${status}`, async () => {
    const metrics = new Metrics();
    const bob = await endpointOn('udp', { metrics });
    const socket = createSocket('udp4');
    try {
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      const wire = request({ via: 'SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKm1' });
      socket.send(change(wire), addressOf(bob).port, '127.0.0.1');
      const [bytes] = (await once(socket, 'message')) as [Buffer];
      assert.equal(parsed(String(bytes).replace(/CSeq: 1 \w+/, 'CSeq: 1 INVITE')).status, status);
      assert.equal(metrics.counter('imsdc_sip_malformed_total', '').value, 1);
    } finally {
      socket.close();
      await bob.closeAll();
    }
  });
}

// conformance: RFC 3261 18.3, RFC 5626 3.5.1 — framing by Content-Length, CRLF keep-alive answered
test('a stream in single bytes, with keep-alives between two messages', async () => {
  const bob = await endpointOn('tcp');
  const socket = connect(addressOf(bob).port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    const seen: string[] = [];
    const both = new Promise<void>((resolve) => {
      bob.on('sip', (event) => {
        if (event.kind === 'request') seen.push(event.message.body);
        if (seen.length === 2) resolve();
      });
    });
    const via = (branch: string): string => `SIP/2.0/TCP 127.0.0.1:9;branch=${branch}`;
    const first = request({ method: 'MESSAGE', via: via('z9hG4bKs1'), body: 'one', cseq: 1 });
    const second = request({ method: 'MESSAGE', via: via('z9hG4bKs2'), body: 'two', cseq: 2 });
    socket.setNoDelay(true);
    for (const character of `${first}\r\n\r\n`) socket.write(character, 'latin1');
    socket.write(second, 'latin1');
    const [pong] = (await once(socket, 'data')) as [Buffer];
    assert.equal(String(pong), '\r\n');
    await both;
    assert.deepEqual(seen, ['one', 'two']);
  } finally {
    socket.destroy();
    await bob.closeAll();
  }
});

// conformance: RFC 3261 18.3 — a message too large for us is answered with 513 and the connection is closed
test('an oversize message on a stream', async () => {
  const bob = await endpointOn('tcp');
  const socket = connect(addressOf(bob).port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    const wire = request({ via: 'SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKbig' });
    socket.write(wire.replace('Content-Length: 0', 'Content-Length: 100000'), 'latin1');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    await once(socket, 'close');
    assert.equal(parsed(Buffer.concat(chunks)).status, 513);
    assert.equal(bob.status().connections, 0);
  } finally {
    socket.destroy();
    await bob.closeAll();
  }
});

test('a port that is taken is a clear error', async () => {
  const bob = await endpointOn('udp');
  try {
    const { port } = addressOf(bob);
    await assert.rejects(endpointOn('udp', { listeners: [{ transport: 'udp', address: '127.0.0.1', port }] }), {
      code: 'SIP_LISTEN',
    });
  } finally {
    await bob.closeAll();
  }
});

test('a connection that cannot be made ends the transaction with transport', async () => {
  const alice = await endpointOn('tcp');
  const gone = await endpointOn('tcp');
  const to = addressOf(gone);
  await gone.closeAll();
  try {
    const failed = nextEvent(alice, 'clientFailed');
    const branch = alice.newBranch();
    const key = alice.request({ wire: inviteFrom(alice, to, branch), method: 'INVITE', branch, to });
    const event = await failed;
    assert.deepEqual([event.key, event.reason], [key, 'transport']);
    assert.equal(alice.status().clientTransactions, 0);
  } finally {
    await alice.closeAll();
  }
});

// conformance: RFC 3261 18.1.2 — a response whose top Via is not ours is dropped
test('a response for somebody else is dropped and counted', async () => {
  const metrics = new Metrics();
  const bob = await endpointOn('udp', { metrics });
  const socket = createSocket('udp4');
  try {
    const events: string[] = [];
    bob.on('sip', (event) => events.push(event.kind));
    const foreign = buildResponse(parsed(request()), 200, { toTag: 'x' });
    const own = buildResponse(
      parsed(request({ via: `SIP/2.0/UDP ${bob.hostFor(addressOf(bob))};branch=z9hG4bKq` })),
      200,
      { toTag: 'x' },
    );
    const stray = nextEvent(bob, 'strayResponse');
    socket.send(foreign, addressOf(bob).port, '127.0.0.1');
    socket.send(own, addressOf(bob).port, '127.0.0.1');
    await stray;
    assert.deepEqual(events, ['strayResponse']);
    assert.equal(metrics.counter('imsdc_sip_foreign_responses_total', '').value, 1);
  } finally {
    socket.close();
    await bob.closeAll();
  }
});

// conformance: RFC 3261 7.5, RFC 5626 4.4 — CRLF before a message is ignored, keep-alives and STUN are no messages
// conformance: RFC 5626 4.4.2, 5.4 — STUN Binding requests on a SIP socket are answered with the mapped address
test('keep-alives over UDP: STUN is answered, CRLF is silent, and neither is taken for SIP', async () => {
  const metrics = new Metrics();
  const bob = await endpointOn('udp', { metrics });
  const socket = createSocket('udp4');
  try {
    const { port } = addressOf(bob);
    const asked = nextEvent(bob, 'request');
    const answered = once(socket, 'message');
    socket.send('\r\n\r\n', port, '127.0.0.1');
    socket.send(Buffer.from('000100002112a442000102030405060708090a0b', 'hex'), port, '127.0.0.1');
    socket.send(`\r\n\r\n${request({ method: 'OPTIONS' })}`, port, '127.0.0.1');
    assert.equal((await asked).message.method, 'OPTIONS');
    const reply = decodeStun(((await answered) as [Buffer])[0]);
    assert.equal(reply?.type, BINDING_SUCCESS);
    assert.deepEqual(reply.mappedAddress, { address: '127.0.0.1', port: socket.address().port });
    assert.equal(metrics.counter('imsdc_sip_malformed_total', '').value, 0);
    assert.equal(metrics.counter('imsdc_sip_received_total', '').value, 2, 'STUN never reaches the SIP layer');
  } finally {
    socket.close();
    await bob.closeAll();
  }
});

test('a closed endpoint swallows what its user still sends', async () => {
  const bob = await endpointOn('udp');
  const to = addressOf(bob);
  const branch = bob.newBranch();
  const wire = inviteFrom(bob, to, branch);
  await bob.closeAll();
  bob.request({ wire, method: 'INVITE', branch, to });
  bob.sendStateless(wire, to);
  assert.equal(bob.status().timers, 0);
});

// conformance: RFC 5923 — requests to the sent-by of a Via with alias use the connection that it came on
test('an aliased connection is used for requests in the other direction', async () => {
  const bob = await endpointOn('tcp');
  const socket = connect(addressOf(bob).port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    const asked = nextEvent(bob, 'request');
    socket.write(request({ method: 'OPTIONS', via: 'SIP/2.0/TCP 127.0.0.1:7;branch=z9hG4bKal;alias' }));
    await asked;
    const to: Destination = { transport: 'tcp', address: '127.0.0.1', port: 7 };
    const branch = bob.newBranch();
    bob.request({ wire: inviteFrom(bob, to, branch), method: 'INVITE', branch, to });
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    assert.equal(parsed(bytes).method, 'INVITE');
    assert.equal(bob.status().connections, 1);
  } finally {
    socket.destroy();
    await bob.closeAll();
  }
});

test('a TCP listener takes no more connections than its bound', async () => {
  const metrics = new Metrics();
  const bob = await endpointOn('tcp', { metrics, maxConnections: 1 });
  const first = connect(addressOf(bob).port, '127.0.0.1');
  try {
    await once(first, 'connect');
    // It says a word, or it would go for the second one.
    first.write('\r\n\r\n');
    await once(first, 'data');
    const second = connect(addressOf(bob).port, '127.0.0.1');
    second.on('error', () => undefined);
    await once(second, 'close');
    assert.equal(bob.status().connections, 1);
    assert.equal(metrics.counter('imsdc_sip_socket_trouble_total', '').value, 1);
  } finally {
    first.destroy();
    await bob.closeAll();
  }
});

test('closing does not wait for a peer that reads nothing', async () => {
  const bob = await endpointOn('tcp');
  const socket = connect(addressOf(bob).port, '127.0.0.1');
  await once(socket, 'connect');
  socket.pause();
  const asked = nextEvent(bob, 'request');
  socket.write(request({ method: 'OPTIONS', via: 'SIP/2.0/TCP 127.0.0.1:7;branch=z9hG4bKslow' }));
  const { message, key } = await asked;
  const failed = nextEvent(bob, 'clientFailed');
  const to: Destination = { transport: 'tcp', address: '127.0.0.1', port: socket.localPort! };
  const wire = inviteFrom(bob, to, 'z9hG4bKfill').replace(
    'Content-Length: 0',
    `Content-Length: 60000\r\n\r\n${'x'.repeat(59_996)}`,
  );
  // More than socket buffers and backlog hold: one of these fails, and memory stays bounded.
  for (let i = 0; i < 200; i++) bob.request({ wire, method: 'MESSAGE', branch: `z9hG4bKfill${i}`, to });
  assert.equal((await failed).reason, 'transport');
  bob.respond(key, 200, buildResponse(message, 200));
  await bob.closeAll();
  assert.equal(bob.status().connections, 0);
  socket.destroy();
});

// conformance: RFC 5626 4.4.1 — double CRLF on connections that we open
test('keep-alives go out on a connection that we open', async () => {
  const peer = createServer().listen(0, '127.0.0.1');
  await once(peer, 'listening');
  const alice = await endpointOn('tcp', { keepAliveMs: 20 });
  try {
    const { port } = peer.address() as AddressInfo;
    const connected = once(peer, 'connection');
    alice.sendStateless(request({ method: 'ACK' }), { transport: 'tcp', address: '127.0.0.1', port });
    const [socket] = (await connected) as [Socket];
    let text = '';
    for await (const chunk of socket) {
      text += chunk;
      socket.write('\r\n');
      if (text.endsWith('\r\n\r\n\r\n\r\n\r\n\r\n')) break;
    }
    assert.match(text, /^ACK /);
    socket.destroy();
  } finally {
    await alice.closeAll();
    peer.close();
  }
});
