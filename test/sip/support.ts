import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { IdMint } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { RealTimers, type Timers } from '../../src/base/timers.ts';
import { buildResponse, MessageWriter, type ParsedMessage, parseMessage } from '../../src/sip/message/index.ts';
import { SipEndpoint, type SipEndpointOptions, type SipListenerConfig } from '../../src/sip/transport/index.ts';
import type { Destination, Flow, SipMessage, TransactionUserEvent } from '../../src/sip/types.ts';

/** The message in `text`, which must be acceptable. */
export function parsed(text: string | Uint8Array): ParsedMessage {
  const result = parseMessage(text);
  assert.ok('message' in result, `refused: ${'error' in result ? result.error.reason : ''}`);
  return result.message;
}

/** Text with LF line ends as a message with CRLF. */
export function crlf(text: string): string {
  return text.replace(/\r?\n/g, '\r\n');
}

export interface RequestShape {
  method?: string;
  uri?: string;
  via?: string;
  branch?: string;
  from?: string;
  to?: string;
  callId?: string;
  cseq?: number;
  headers?: string;
  body?: string;
  contentType?: string;
}

/** A request with every mandatory header; what the test is about is given. */
export function request(shape: RequestShape = {}): string {
  const method = shape.method ?? 'INVITE';
  const branch = shape.branch ?? 'z9hG4bKtest';
  return MessageWriter.request(method, shape.uri ?? 'sip:bob@example.com')
    .header('Via', shape.via ?? `SIP/2.0/UDP 192.0.2.1:5060;branch=${branch}`)
    .header('Max-Forwards', 70)
    .header('From', shape.from ?? '<sip:alice@example.com>;tag=a1')
    .header('To', shape.to ?? '<sip:bob@example.com>')
    .header('Call-ID', shape.callId ?? 'call-1')
    .header('CSeq', `${shape.cseq ?? 1} ${method}`)
    .lines(shape.headers ?? 'Contact: <sip:alice@192.0.2.1:5060>\r\n')
    .finish(shape.body ?? '', shape.contentType ?? 'application/sdp');
}

/** A started endpoint on loopback with one listener. */
export async function endpointOn(
  transport: SipListenerConfig['transport'],
  options: Partial<SipEndpointOptions> = {},
): Promise<SipEndpoint & { closeAll(): Promise<void> }> {
  const timers: Timers = options.timers ?? new RealTimers();
  const endpoint = new SipEndpoint({
    listeners: [{ transport, address: '127.0.0.1', port: 0 }],
    timers,
    ids: new IdMint({ instance: 'test', worker: 0, epoch: 1 }),
    log: silentLogger,
    metrics: new Metrics(),
    ...options,
  });
  await endpoint.start();
  return Object.assign(endpoint, {
    closeAll: async (): Promise<void> => {
      await endpoint.close();
      if (timers instanceof RealTimers) timers.close();
    },
  });
}

/** The next event of that kind. */
export async function nextEvent<K extends TransactionUserEvent['kind']>(
  endpoint: SipEndpoint,
  kind: K,
  match: (message: SipMessage) => boolean = () => true,
): Promise<Extract<TransactionUserEvent, { kind: K }>> {
  const event = await endpoint.next('sip', (one) => one.kind === kind && (!('message' in one) || match(one.message)));
  return event as Extract<TransactionUserEvent, { kind: K }>;
}

/** Where an endpoint listens, as a next hop. */
export function destinationOf(endpoint: SipEndpoint, transport?: Destination['transport']): Destination {
  const found = endpoint.addresses().find((address) => transport === undefined || address.transport === transport)!;
  return { transport: found.transport, address: found.host, port: found.port };
}

/** A request that `from` can send to `to`, with its own Via, tags and Call-ID. */
export function requestFrom(
  from: SipEndpoint,
  to: Destination,
  shape: { method?: string; uri?: string; branch?: string; body?: string; headers?: string } = {},
): { wire: string; method: string; branch: string; to: Destination } {
  const branch = shape.branch ?? from.newBranch();
  const method = shape.method ?? 'OPTIONS';
  const wire = request({
    method,
    uri: shape.uri ?? `sip:bob@${to.address.includes(':') ? `[${to.address}]` : to.address}:${to.port}`,
    via: from.viaFor(to, branch),
    from: `<sip:alice@example.com>;tag=${from.newTag()}`,
    callId: from.newCallId(),
    headers: `Contact: <sip:alice@${from.hostFor(to)};transport=${to.transport}>\r\n${shape.headers ?? ''}`,
    ...(shape.body !== undefined && { body: shape.body }),
  });
  return { wire, method, branch, to };
}

/** `alice` sends one request, `bob` answers 200; both messages. */
export async function exchange(
  alice: SipEndpoint,
  bob: SipEndpoint,
  shape: Parameters<typeof requestFrom>[2] & { to?: Destination } = {},
): Promise<{ received: SipMessage; flow: Flow; answer: SipMessage }> {
  const outgoing = requestFrom(alice, shape.to ?? destinationOf(bob), shape);
  const asked = nextEvent(bob, 'request');
  const answered = nextEvent(alice, 'response', ({ status }) => status >= 200);
  // A request that nobody can send must fail the test, not hang it.
  const failed = nextEvent(alice, 'clientFailed').then(({ reason }) => assert.fail(`not sent: ${reason}`));
  alice.request(outgoing);
  const { key, message, flow } = await Promise.race([asked, failed]);
  bob.respond(key, 200, buildResponse(message, 200, { toTag: bob.newTag() }));
  return { received: message, flow, answer: (await answered).message };
}

/** Why tests over ::1 are skipped here; false: they are not. */
export async function withoutIPv6(): Promise<string | false> {
  const probe = createServer().listen(0, '::1');
  await Promise.race([once(probe, 'listening'), once(probe, 'error')]).catch(() => undefined);
  if (!probe.listening) return 'no IPv6 on this machine';
  probe.close();
  return false;
}
