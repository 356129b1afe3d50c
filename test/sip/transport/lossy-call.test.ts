import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Timer, VirtualTimers } from '../../../src/base/timers.ts';
import {
  confirmed,
  type Dialog,
  dialogAck,
  dialogRequest,
  inviteResponse,
  uasDialog,
} from '../../../src/sip/dialog.ts';
import { buildResponse, MessageWriter } from '../../../src/sip/message/index.ts';
import { type Retransmission, repeat2xx, repeatDue } from '../../../src/sip/reliable.ts';
import { RFC3261_TIMERS } from '../../../src/sip/transaction/index.ts';
import type { LocalAddress, SipEndpoint, SipTransport, TransportSink } from '../../../src/sip/transport/index.ts';
import type { Destination, ServerKey, TransactionUserEvent } from '../../../src/sip/types.ts';
import { endpointOn } from '../support.ts';

/** A UDP that loses, repeats and delays as it is told, in virtual time. */
class LossyUdp implements SipTransport {
  readonly transport = 'udp';
  readonly connections = 0;
  readonly local: LocalAddress;
  readonly #sink: TransportSink;
  readonly #air: Air;

  constructor(local: LocalAddress, sink: TransportSink, air: Air) {
    this.local = local;
    this.#sink = sink;
    this.#air = air;
  }

  async start(): Promise<void> {
    this.#air.stations.set(this.local.port, this);
  }

  send(wire: string, to: Destination): void {
    for (const delayMs of this.#air.fate()) {
      this.#air.timers.after(delayMs, () => this.#air.stations.get(to.port)?.receive(wire, this.local));
    }
  }

  receive(wire: string, from: LocalAddress): void {
    this.#sink.received(Buffer.from(wire, 'latin1'), {
      transport: 'udp',
      remoteAddress: from.address,
      remotePort: from.port,
      localAddress: this.local.address,
      localPort: this.local.port,
    });
  }

  async close(): Promise<void> {
    this.#air.stations.delete(this.local.port);
  }
}

interface Air {
  readonly timers: VirtualTimers;
  readonly stations: Map<number, LossyUdp>;
  fate(): readonly number[];
}

type Station = SipEndpoint & { closeAll(): Promise<void> };

function station(air: Air, port: number): Promise<Station> {
  return endpointOn('udp', {
    timers: air.timers,
    listeners: [{ transport: 'udp', address: '127.0.0.1', port }],
    transports: (_, local, sink) => new LossyUdp(local, sink, air),
  });
}

/** Answers with 180 and 200, repeats the 200 until ACK, hangs up 1 s after it. */
function callee(endpoint: Station, done: (what: string) => void): void {
  let dialog: Dialog | undefined;
  let repeating: Timer | undefined;
  const repeat = (state: Retransmission | undefined, key: ServerKey): void => {
    if (state === undefined) {
      done('callee: never acknowledged');
      return;
    }
    repeating = endpoint.timers.after(state.intervalMs, () => {
      const effects: string[] = [];
      const next = repeatDue(state, RFC3261_TIMERS, {
        emit: (effect) => effect.kind === 'transmit' && effects.push(effect.wire),
      });
      for (const wire of effects) endpoint.respond(key, 200, wire);
      repeat(next, key);
    });
  };
  endpoint.on('sip', (event: TransactionUserEvent) => {
    if (event.kind === 'request' && event.message.method === 'INVITE') {
      const toTag = endpoint.newTag();
      const headers = 'Contact: <sip:bob@127.0.0.1:2>\r\n';
      dialog = confirmed(uasDialog(event.message, toTag)!);
      endpoint.respond(event.key, 180, buildResponse(event.message, 180, { toTag, headers }));
      const wire = buildResponse(event.message, 200, { toTag, headers });
      endpoint.respond(event.key, 200, wire);
      repeat(repeat2xx(wire, RFC3261_TIMERS, { emit: () => undefined }), event.key);
    } else if (event.kind === 'ack' && repeating !== undefined && dialog !== undefined) {
      repeating.cancel();
      repeating = undefined;
      const at = dialog;
      endpoint.timers.after(1000, () => {
        const to: Destination = { transport: 'udp', address: '127.0.0.1', port: 1 };
        const branch = endpoint.newBranch();
        const bye = dialogRequest(at, 'BYE', endpoint.viaFor(to, branch));
        endpoint.request({ wire: bye.writer.finish(), method: 'BYE', branch, to });
      });
    } else if (event.kind === 'response' && event.message.method === 'BYE') done(`callee: BYE ${event.message.status}`);
    else if (event.kind === 'clientFailed') done(`callee: BYE ${event.reason}`);
  });
}

/** Calls, acknowledges each 200, answers the BYE. */
function caller(endpoint: Station, done: (what: string) => void): void {
  const to: Destination = { transport: 'udp', address: '127.0.0.1', port: 2 };
  let dialogs: readonly Dialog[] = [];
  endpoint.on('sip', (event: TransactionUserEvent) => {
    if (event.kind === 'response' && event.message.method === 'INVITE') {
      const step = inviteResponse(dialogs, event.message);
      dialogs = step.dialogs;
      if (event.message.status < 200 || step.dialog === undefined) return;
      done('caller: answered');
      endpoint.sendStateless(
        dialogAck(step.dialog, event.message.cseq, endpoint.viaFor(to, endpoint.newBranch())).writer.finish(),
        to,
      );
    } else if (event.kind === 'request') {
      endpoint.respond(event.key, 200, buildResponse(event.message, 200));
      done('caller: hung up');
    } else if (event.kind === 'clientFailed') done(`caller: INVITE ${event.reason}`);
  });
  const branch = endpoint.newBranch();
  const wire = MessageWriter.request('INVITE', 'sip:bob@127.0.0.1:2')
    .header('Via', endpoint.viaFor(to, branch))
    .header('Max-Forwards', 70)
    .header('From', `<sip:alice@example.com>;tag=${endpoint.newTag()}`)
    .header('To', '<sip:bob@example.com>')
    .header('Call-ID', endpoint.newCallId())
    .header('CSeq', '1 INVITE')
    .header('Contact', '<sip:alice@127.0.0.1:1>')
    .finish();
  endpoint.request({ wire, method: 'INVITE', branch, to });
}

async function call(fates: readonly (readonly number[])[]): Promise<{ happened: Set<string>; left: unknown[] }> {
  let packet = 0;
  const air: Air = { timers: new VirtualTimers(), stations: new Map(), fate: () => fates[packet++] ?? [10] };
  const [alice, bob] = [await station(air, 1), await station(air, 2)];
  const happened = new Set<string>();
  callee(bob, (what) => happened.add(what));
  caller(alice, (what) => happened.add(what));
  air.timers.advance(200_000);
  const left = [alice.status(), bob.status(), air.timers.size];
  await alice.closeAll();
  await bob.closeAll();
  return { happened, left };
}

const NOTHING = { clientTransactions: 0, serverTransactions: 0, timers: 0, connections: 0 };

test('property: a call completes over a network that loses a third of the packets, and nothing is left', async () => {
  const fate = fc.oneof(
    { weight: 4, arbitrary: fc.constant<readonly number[]>([]) },
    { weight: 8, arbitrary: fc.nat(300).map((ms) => [ms + 1]) },
    { weight: 1, arbitrary: fc.nat(300).map((ms) => [ms + 1, ms + 50]) },
  );
  await fc.assert(
    // Loss ends after eight packets: a run of luck so bad that a timer B fires first is another test.
    fc.asyncProperty(fc.array(fate, { maxLength: 8 }), async (fates) => {
      const { happened, left } = await call(fates);
      assert.deepEqual([...happened].sort(), ['callee: BYE 200', 'caller: answered', 'caller: hung up']);
      assert.deepEqual(left, [NOTHING, NOTHING, 0]);
    }),
    { numRuns: 150 },
  );
});

test('nothing gets through: the caller learns it, and nothing is left', async () => {
  const { happened, left } = await call(new Array(1000).fill([]));
  assert.deepEqual([...happened], ['caller: INVITE timeout']);
  assert.deepEqual(left, [NOTHING, NOTHING, 0]);
});
