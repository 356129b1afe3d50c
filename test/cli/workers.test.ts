import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { HashRing } from '../../src/dispatch/ring.ts';
import { LabChild } from '../../src/lab/process/child.ts';
import { parseMessage } from '../../src/sip/message/index.ts';
import type { SipMessage } from '../../src/sip/types.ts';

const WORKERS = 2;
const HOME = new HashRing(WORKERS);
const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';

/** A user agent on a loopback socket: what arrives waits until it is asked for. */
class Peer {
  readonly socket: Socket = createSocket('udp4');
  readonly #arrived: SipMessage[] = [];
  #wake: () => void = () => undefined;

  constructor() {
    this.socket.on('message', (bytes) => {
      const parsed = parseMessage(bytes);
      if ('message' in parsed) this.#arrived.push(parsed.message);
      this.#wake();
    });
  }

  async bind(): Promise<this> {
    this.socket.bind(0, '127.0.0.1');
    await once(this.socket, 'listening');
    return this;
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(port: number, lines: readonly string[], body = ''): void {
    const type = body === '' ? [] : ['Content-Type: application/sdp'];
    const wire = [...lines, ...type, `Content-Length: ${body.length}`, '', body].join('\r\n');
    this.socket.send(wire, port, '127.0.0.1');
  }

  async next(fits: (message: SipMessage) => boolean): Promise<SipMessage> {
    for (;;) {
      const at = this.#arrived.findIndex(fits);
      if (at >= 0) return this.#arrived.splice(at, 1)[0]!;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

interface LiveCall {
  readonly callId: string;
  /** Towards Bob. */
  readonly onward: string;
  /** Ours towards Bob. */
  readonly fromTag: string;
  readonly toTag: string;
  readonly contact: string;
}

for (const keeps of [false, true]) {
  describe(`imsdc dcsf with two workers, calls ${keeps ? 'on disk' : 'in memory'}`, () => {
    const directory = mkdtempSync(join(tmpdir(), 'imsdc-workers-'));
    let dcsf: LabChild;
    let asPort: number;
    let admin: string;
    let alice: Peer;
    let bob: Peer;
    let serial = 0;

    before(async () => {
      const config = join(directory, 'imsdc.yaml');
      writeFileSync(
        config,
        `roles: [ims-as, dcsf]
admin: { dcsfPort: 0 }
imsAs: { listeners: [{ transport: udp, address: 127.0.0.1, port: 0 }] }
dcsf: { workers: ${WORKERS}, mdc1: { baseUrl: 'http://127.0.0.1:9/' } }
${keeps ? `state: { dir: ${join(directory, 'state')} }\n` : ''}`,
      );
      dcsf = new LabChild({ name: 'dcsf', args: ['dcsf', '--config', config], directory, speaks: 'ipc' });
      const ready = await dcsf.ready();
      asPort = (ready.sip as { port: number }[])[0]!.port;
      admin = `http://127.0.0.1:${(ready.admin as { port: number }).port}`;
      [alice, bob] = [await new Peer().bind(), await new Peer().bind()];
    });
    after(async () => {
      alice?.socket.close();
      bob?.socket.close();
      await dcsf?.stop();
      rmSync(directory, { recursive: true, force: true });
    });

    const status = async () =>
      (await (await fetch(`${admin}/status`)).json()) as {
        imsAs: { calls: number; callsTotal: number; capabilities: number };
        workers: { pid: number; serves: boolean }[];
        state?: { stored: number; pending: number; behind: number };
      };

    function callIdOf(worker: number): string {
      for (;;) {
        const callId = `call${serial++}@alice`;
        if (HOME.home(callId) === worker) return callId;
      }
    }

    const via = (peer: Peer) => `Via: SIP/2.0/UDP 127.0.0.1:${peer.port};branch=z9hG4bK${serial++};rport`;

    async function call(worker: number): Promise<LiveCall> {
      const callId = callIdOf(worker);
      alice.send(
        asPort,
        [
          `INVITE sip:bob@127.0.0.1:${bob.port} SIP/2.0`,
          via(alice),
          `Route: <sip:127.0.0.1:${asPort};lr;orig>`,
          'Max-Forwards: 70',
          'From: <sip:alice@x>;tag=a',
          'To: <sip:bob@x>',
          `Call-ID: ${callId}`,
          'CSeq: 1 INVITE',
          `Contact: <sip:alice@127.0.0.1:${alice.port}>`,
        ],
        SDP,
      );
      const invite = await bob.next((message) => message.method === 'INVITE' && message.isRequest);
      bob.send(
        asPort,
        [
          'SIP/2.0 200 OK',
          ...invite.span('via').trimEnd().split('\r\n'),
          invite.span('from').trimEnd(),
          `${invite.span('to').trimEnd()};tag=b`,
          invite.span('call-id').trimEnd(),
          invite.span('cseq').trimEnd(),
          `Contact: <sip:bob@127.0.0.1:${bob.port}>`,
        ],
        SDP,
      );
      const ok = await alice.next(({ status: code, callId: of }) => code === 200 && of === callId);
      const contact = /<(.*?)>/.exec(ok.first('contact') ?? '')![1]!;
      const live = { callId, onward: invite.callId, fromTag: invite.fromTag, toTag: ok.toTag, contact };
      alice.send(asPort, inDialog('ACK', live, 1));
      await bob.next(({ method }) => method === 'ACK');
      return live;
    }

    function inDialog(method: string, { callId, toTag, contact }: LiveCall, cseq: number): string[] {
      return [
        `${method} ${contact} SIP/2.0`,
        via(alice),
        'Max-Forwards: 70',
        'From: <sip:alice@x>;tag=a',
        `To: <sip:bob@x>;tag=${toTag}`,
        `Call-ID: ${callId}`,
        `CSeq: ${cseq} ${method}`,
      ];
    }

    /** BYE of Alice; the status that she gets. Repeated as timer E would: a worker may be on its way up. */
    async function bye(live: LiveCall, answers: boolean, cseq = 2): Promise<number> {
      const answer = alice.next(
        ({ status: code, callId, method }) => code >= 200 && callId === live.callId && method === 'BYE',
      );
      const lines = inDialog('BYE', live, cseq);
      alice.send(asPort, lines);
      const repeat = setInterval(() => alice.send(asPort, lines), 500);
      if (answers) {
        const received = await bob.next(({ method, callId }) => method === 'BYE' && callId === live.onward);
        bob.send(asPort, [
          'SIP/2.0 200 OK',
          ...['via', 'from', 'to', 'call-id', 'cseq'].map((name) => received.span(name).trimEnd()),
        ]);
      }
      const { status: code } = await answer;
      clearInterval(repeat);
      return code;
    }

    test('calls of both go through, and the status is that of all', async () => {
      const before = await status();
      const lives = [await call(0), await call(1)];
      for (const [worker, live] of lives.entries()) assert.ok(live.toTag.startsWith(`imsdc.${worker}.`), live.toTag);
      assert.equal((await status()).imsAs.calls, before.imsAs.calls + 2);
      for (const live of lives) assert.equal(await bye(live, true), 200);
      assert.equal((await status()).imsAs.callsTotal, before.imsAs.callsTotal + 2);
    });

    test('metrics of all workers stand under their own names, told apart by a label', async () => {
      const text = await (await fetch(`${admin}/metrics`)).text();
      for (const worker of [0, 1]) {
        assert.match(text, new RegExp(`^imsdc_ims_as_calls\\{worker="${worker}"\\} \\d`, 'm'));
        assert.match(text, new RegExp(`^imsdc_worker_cpu_seconds_total\\{worker="${worker}"\\} \\d`, 'm'));
      }
      assert.match(text, /^imsdc_dispatcher_received_total\{worker="dispatcher"\} [1-9]/m);
    });

    test('what a REGISTER tells one worker all of them know (R23)', async () => {
      const inner =
        'REGISTER sip:x SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bKr\r\nFrom: <sip:carol@x>;tag=c\r\nTo: <sip:carol@x>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\nContact: <sip:carol@c>\r\nContent-Length: 0\r\n\r\n';
      const lines = [
        `REGISTER sip:127.0.0.1:${asPort} SIP/2.0`,
        via(alice),
        'Max-Forwards: 70',
        'From: <sip:scscf@x>;tag=s',
        'To: <sip:carol@x>',
        `Call-ID: ${callIdOf(1)}`,
        'CSeq: 1 REGISTER',
        'Contact: <sip:scscf@x>',
        'Expires: 600',
        'Content-Type: message/sip',
      ];
      alice.socket.send([...lines, `Content-Length: ${inner.length}`, '', inner].join('\r\n'), asPort, '127.0.0.1');
      await alice.next(({ method, status: code }) => method === 'REGISTER' && code === 200);
      // The notice is on its way to the other worker over our own process, and so is the question: in order.
      assert.equal((await status()).imsAs.capabilities, WORKERS);
    });

    /** Alice refers Bob of call `of` to her other call; what Bob reads. */
    async function refer(of: LiveCall, other: LiveCall, cseq: number): Promise<string> {
      const name = encodeURIComponent(`${other.callId};to-tag=${other.toTag};from-tag=a`);
      alice.send(asPort, [...inDialog('REFER', of, cseq), `Refer-To: <sip:bob@x?Replaces=${name}>`]);
      const received = await bob.next(({ method }) => method === 'REFER');
      bob.send(asPort, [
        'SIP/2.0 202 Accepted',
        ...['via', 'from', 'to', 'call-id', 'cseq'].map((line) => received.span(line).trimEnd()),
      ]);
      await alice.next(({ method, status: code }) => method === 'REFER' && code === 202);
      return decodeURIComponent(received.first('refer-to') ?? '');
    }

    // conformance: R21 — Refer-To with Replaces across workers, over real sockets and processes
    test('REFER to a call of the other worker names it as Bob knows it; as it came while that worker does not answer', async () => {
      const lives = [await call(0), await call(1)] as const;
      const translated = `Replaces=${lives[1].onward};to-tag=b;from-tag=${lives[1].fromTag}>`;
      assert.ok((await refer(lives[0], lives[1], 2)).includes(translated));
      const { pid } = (await status()).workers[1]!;
      process.kill(pid, 'SIGSTOP');
      const untouched = await refer(lives[0], lives[1], 3).finally(() => process.kill(pid, 'SIGCONT'));
      assert.ok(untouched.includes(`Replaces=${lives[1].callId};to-tag=${lives[1].toTag};from-tag=a>`), untouched);
      const text = await (await fetch(`${admin}/metrics`)).text();
      assert.match(text, /^imsdc_ims_as_dialogs_untranslated_total\{worker="0"\} 1$/m);
      for (const live of lives) assert.equal(await bye(live, true, 4), 200);
    });

    /** Each worker writes its calls to its own directory, a moment after they changed. */
    async function stored(calls: number): Promise<void> {
      for (;;) {
        const { state } = await status();
        if (state?.stored === calls && state.pending === 0 && state.behind === 0) return;
      }
    }

    test(`a worker that is killed ${keeps ? 'finds its calls again' : 'loses its calls'}, the other one keeps its own, and both take new ones`, async () => {
      const lives = [await call(0), await call(1)] as const;
      if (keeps) await stored(2);
      const { pid } = (await status()).workers[1]!;
      process.kill(pid, 'SIGKILL');
      assert.equal(await bye(lives[0], true), 200);
      // Held while it starts again.
      assert.equal(await bye(lives[1], keeps), keeps ? 200 : 481);
      const now = await status();
      assert.notEqual(now.workers[1]!.pid, pid);
      assert.equal(now.workers[1]!.serves, true);
      const again = await call(1);
      assert.ok(again.toTag.startsWith('imsdc.1.'));
      assert.equal(await bye(again, true), 200);
    });

    test('it ends cleanly with all its workers', async () => {
      const { workers } = await status();
      const ended = once(dcsf.process, 'exit');
      await dcsf.stop();
      assert.deepEqual(await ended, [0, null]);
      for (const { pid } of workers) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    });
  });
}
