import assert from 'node:assert/strict';
import { IdMint } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { RealTimers, type Timers } from '../../src/base/timers.ts';
import { MessageWriter, type ParsedMessage, parseMessage } from '../../src/sip/message/index.ts';
import { SipEndpoint, type SipEndpointOptions } from '../../src/sip/transport/index.ts';
import type { SipMessage, TransactionUserEvent } from '../../src/sip/types.ts';

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
  transport: 'udp' | 'tcp',
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
