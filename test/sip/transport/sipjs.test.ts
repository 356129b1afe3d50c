import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  type Invitation,
  Inviter,
  Registerer,
  RegistererState,
  type SessionDescriptionHandler,
  SessionState,
  UserAgent,
  type UserAgentOptions,
} from 'sip.js';
import { confirmed, dialogAck, dialogRequest, uacDialog, uasDialog } from '../../../src/sip/dialog.ts';
import { buildResponse, parseAddress } from '../../../src/sip/message/index.ts';
import type { SipEndpoint } from '../../../src/sip/transport/index.ts';
import { endpointOn, nextEvent, requestFrom } from '../support.ts';

const SDP = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';

/** Media are not what this is about: each side says SDP and takes whatever the other says. */
class FixedDescription implements SessionDescriptionHandler {
  remote = '';
  close(): void {
    this.remote = '';
  }
  hasDescription(contentType: string): boolean {
    return contentType === 'application/sdp';
  }
  async getDescription(): Promise<{ body: string; contentType: string }> {
    return { body: SDP, contentType: 'application/sdp' };
  }
  async setDescription(sdp: string): Promise<void> {
    this.remote = sdp;
  }
  async rollbackDescription(): Promise<void> {
    this.remote = '';
  }
  sendDtmf(): boolean {
    return false;
  }
}

const isState = (emitter: { addListener(listener: (state: string) => void): void }, wanted: string): Promise<void> =>
  new Promise((resolve) => emitter.addListener((state) => state === wanted && resolve()));

let core: SipEndpoint & { closeAll(): Promise<void> };
let phone: UserAgent;
let invited: Promise<Invitation>;
/** What the phone has registered: where it can be called. */
let contact = '';

before(async () => {
  core = await endpointOn('ws', { listeners: [{ transport: 'ws', address: '127.0.0.1', port: 0 }] });
  const { host, port } = core.addresses()[0]!;
  invited = new Promise((resolve) => {
    const options: UserAgentOptions = {
      uri: UserAgent.makeURI('sip:alice@example.com')!,
      transportOptions: { server: `ws://${host}:${port}/` },
      sessionDescriptionHandlerFactory: () => new FixedDescription(),
      logBuiltinEnabled: false,
      gracefulShutdown: false,
      delegate: { onInvite: resolve },
    };
    phone = new UserAgent(options);
  });
  await phone.start();
});
after(async () => {
  await phone.stop();
  await core.closeAll();
});

// conformance: RFC 7118 — an independent client: sip.js over WebSocket
describe('sip.js against our endpoint', () => {
  test('REGISTER', async () => {
    const registerer = new Registerer(phone);
    const asked = nextEvent(core, 'request', ({ method }) => method === 'REGISTER');
    const registered = isState(registerer.stateChange, RegistererState.Registered);
    await registerer.register();
    const { key, message, flow } = await asked;
    assert.equal(message.via.transport, 'WS');
    assert.match(message.via.host, /\.invalid$/);
    assert.equal(flow.transport, 'ws');
    contact = parseAddress(message.first('contact')!)!.uri;
    assert.match(contact, /\.invalid;transport=ws$/);
    const headers = `Contact: ${message.first('contact')!.replace(/;expires=\d+/, '')};expires=600\r\n`;
    core.respond(key, 200, buildResponse(message, 200, { toTag: core.newTag(), headers }));
    await registered;
    const disposed = registerer.dispose();
    const { key: last, message: un } = await nextEvent(core, 'request', ({ method }) => method === 'REGISTER');
    core.respond(last, 200, buildResponse(un, 200, { toTag: core.newTag() }));
    await disposed;
  });

  test('OPTIONS', async () => {
    const agent = phone.userAgentCore;
    const uri = UserAgent.makeURI('sip:core@example.com')!;
    const from = UserAgent.makeURI('sip:alice@example.com')!;
    const outgoing = agent.makeOutgoingRequestMessage('OPTIONS', uri, from, uri, {});
    const asked = nextEvent(core, 'request', ({ method }) => method === 'OPTIONS');
    const accepted = new Promise<number>((resolve) =>
      agent.request(outgoing, { onAccept: ({ message }) => resolve(message.statusCode ?? 0) }),
    );
    const { key, message } = await asked;
    core.respond(key, 200, buildResponse(message, 200, { toTag: core.newTag(), headers: 'Allow: INVITE\r\n' }));
    assert.equal(await accepted, 200);
  });

  // conformance: RFC 7118 5.2 — requests inside the dialog reach the client over the connection it opened
  test('it calls: INVITE, 180, 200, ACK, and our BYE comes over its connection', async () => {
    const inviter = new Inviter(phone, UserAgent.makeURI('sip:bob@example.com')!);
    const asked = nextEvent(core, 'request', ({ method }) => method === 'INVITE');
    const up = isState(inviter.stateChange, SessionState.Established);
    await inviter.invite();
    const { key, message } = await asked;
    const tag = core.newTag();
    const [to] = await core.resolve(parseAddress(message.first('contact')!)!.uri);
    const headers = `Contact: <sip:bob@${core.hostFor(to!)};transport=ws>\r\n`;
    const acked = nextEvent(core, 'ack');
    core.respond(key, 180, buildResponse(message, 180, { toTag: tag, headers }));
    core.respond(
      key,
      200,
      buildResponse(message, 200, { toTag: tag, headers, body: SDP, contentType: 'application/sdp' }),
    );
    await up;
    assert.equal((await acked).message.cseq, message.cseq);
    const over = isState(inviter.stateChange, SessionState.Terminated);
    const branch = core.newBranch();
    const bye = dialogRequest(confirmed(uasDialog(message, tag)!), 'BYE', core.viaFor(to!, branch));
    const ended = nextEvent(core, 'response', ({ method }) => method === 'BYE');
    core.request({ wire: bye.writer.finish(), method: 'BYE', branch, to: to! });
    assert.equal((await ended).message.status, 200);
    await over;
    assert.equal(core.status().connections, 1);
  });

  test('it is called by the name it has registered, and hangs up', async () => {
    const [to] = await core.resolve(contact);
    const outgoing = requestFrom(core, to!, { method: 'INVITE', uri: contact, body: SDP });
    const answered = nextEvent(core, 'response', ({ status, method }) => status === 200 && method === 'INVITE');
    core.request(outgoing);
    const invitation = await invited;
    assert.equal(invitation.request.ruri?.toString(), contact);
    await invitation.accept();
    const { message: ok } = await answered;
    assert.match(ok.body, /^v=0/);
    const dialog = uacDialog(ok)!;
    core.sendStateless(dialogAck(dialog, ok.cseq, core.viaFor(to!, core.newBranch())).writer.finish(), to!);
    if (invitation.state !== SessionState.Established) await isState(invitation.stateChange, SessionState.Established);
    const hungUp = nextEvent(core, 'request', ({ method }) => method === 'BYE');
    await invitation.bye();
    const { key, message } = await hungUp;
    assert.equal(message.toTag, dialog.localTag);
    core.respond(key, 200, buildResponse(message, 200));
  });
});
