import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  confirmed,
  type Dialog,
  dialogAck,
  dialogId,
  dialogIdOf,
  dialogRequest,
  dialogTarget,
  endsDialog,
  inviteResponse,
  MAX_FORKS,
  receiveRequest,
  receiveResponse,
  uacDialog,
  uasDialog,
} from '../../src/sip/dialog.ts';
import { buildResponse, MessageWriter, type ParsedMessage } from '../../src/sip/message/index.ts';
import { parsed, request } from './support.ts';

const RECORD = 'Record-Route: <sip:p2;lr>, <sip:p1;lr>\r\n';
const invite = parsed(
  request({
    cseq: 7,
    headers: `${RECORD}Contact: "A" <sip:alice@192.0.2.1;x=1>;+sip.app-subtype="webrtc-datachannel"\r\n`,
  }),
);

function response(
  status: number,
  options: { tag?: string; contact?: string; route?: boolean; request?: ParsedMessage } = {},
): ParsedMessage {
  const headers = options.contact === '' ? '' : `Contact: <${options.contact ?? 'sip:bob@192.0.2.9'}>\r\n`;
  return parsed(
    buildResponse(options.request ?? invite, status, {
      toTag: options.tag ?? 'b1',
      headers,
      recordRoute: options.route ?? true,
    }),
  );
}

// conformance: RFC 3261 12.1 — both ends agree on the dialog: identifiers, route set reversed, targets
test('a dialog as caller and callee see it', () => {
  const caller = uacDialog(response(180))!;
  const callee = uasDialog(invite, 'b1')!;
  assert.deepEqual(caller, {
    role: 'uac',
    state: 'early',
    callId: 'call-1',
    localTag: 'a1',
    remoteTag: 'b1',
    local: '<sip:alice@example.com>;tag=a1',
    remote: '<sip:bob@example.com>;tag=b1',
    remoteTarget: 'sip:bob@192.0.2.9',
    routeSet: ['<sip:p1;lr>', '<sip:p2;lr>'],
    localCSeq: 7,
    remoteCSeq: -1,
  });
  assert.deepEqual(
    [
      callee.role,
      callee.local,
      callee.remote,
      callee.remoteTarget,
      callee.routeSet,
      callee.localCSeq,
      callee.remoteCSeq,
    ],
    [
      'uas',
      '<sip:bob@example.com>;tag=b1',
      '<sip:alice@example.com>;tag=a1',
      'sip:alice@192.0.2.1;x=1',
      ['<sip:p2;lr>', '<sip:p1;lr>'],
      0,
      7,
    ],
  );
  assert.equal(dialogIdOf(response(180)), dialogId('call-1', 'a1', 'b1'));
  assert.deepEqual(JSON.parse(JSON.stringify(caller)), caller, 'plain data');
});

test('100, a response without To tag, a refusal and a response without Contact make no dialog', () => {
  assert.equal(uacDialog(parsed(buildResponse(invite, 183, {}))), undefined);
  assert.equal(uacDialog(response(100)), undefined);
  assert.equal(uacDialog(response(486)), undefined);
  assert.equal(uacDialog(response(180, { contact: '' })), undefined);
  assert.equal(uasDialog(parsed(request({ headers: '' })), 'b1'), undefined);
});

// conformance: RFC 3261 13.2.2.4 — each To tag is a dialog of its own; the 2xx confirms one and brings its route set anew
test('forks', () => {
  let dialogs: readonly Dialog[] = [];
  for (const tag of ['f1', 'f2', 'f1']) dialogs = inviteResponse(dialogs, response(180, { tag })).dialogs;
  assert.deepEqual(
    dialogs.map(({ remoteTag, state }) => `${remoteTag} ${state}`),
    ['f1 early', 'f2 early'],
  );
  const answered = inviteResponse(dialogs, response(200, { tag: 'f2', contact: 'sip:bob@198.51.100.1', route: false }));
  assert.equal(answered.isNew, false);
  assert.deepEqual(
    [answered.dialog!.state, answered.dialog!.remoteTarget, answered.dialog!.routeSet],
    ['confirmed', 'sip:bob@198.51.100.1', []],
  );
  assert.deepEqual(
    answered.dialogs.map(({ state }) => state),
    ['early', 'confirmed'],
  );
  const direct = inviteResponse([], response(200, { tag: 'f9' }));
  assert.deepEqual([direct.isNew, direct.dialog!.state], [true, 'confirmed']);
  for (let i = 0; i < 40; i++) dialogs = inviteResponse(dialogs, response(180, { tag: `x${i}` })).dialogs;
  assert.equal(dialogs.length, MAX_FORKS);
});

const dialog = confirmed(uacDialog(response(200))!);

// conformance: RFC 3261 12.2.1.1 — loose routing
test('a request through loose routers', () => {
  const made = dialogRequest(dialog, 'UPDATE', 'SIP/2.0/UDP h;branch=z9hG4bK1');
  const update = parsed(made.writer.finish());
  assert.equal(update.requestUri, 'sip:bob@192.0.2.9');
  assert.deepEqual(update.list('route'), ['<sip:p1;lr>', '<sip:p2;lr>']);
  assert.equal(made.nextHop, 'sip:p1;lr');
  assert.deepEqual([made.cseq, made.dialog.localCSeq, update.cseq, update.method], [8, 8, 8, 'UPDATE']);
  assert.deepEqual([update.fromTag, update.toTag, update.callId], ['a1', 'b1', 'call-1']);
  const ack = parsed(dialogAck(made.dialog, 7, 'SIP/2.0/UDP h;branch=z9hG4bK2').writer.finish());
  assert.deepEqual([ack.cseq, ack.method, ack.list('route').length], [7, 'ACK', 2]);
});

// conformance: RFC 3261 12.2.1.1 — strict routing
test('a request through a strict router', () => {
  const strict = { ...dialog, routeSet: ['<sip:p1;method=INVITE?x=y>', '<sip:p2;lr>'] } as unknown as Dialog;
  assert.deepEqual(dialogTarget(strict), {
    requestUri: 'sip:p1',
    routes: ['<sip:p2;lr>', '<sip:bob@192.0.2.9>'],
    nextHop: 'sip:p1;method=INVITE?x=y',
  });
  assert.deepEqual(dialogTarget({ ...dialog, routeSet: [] }), {
    requestUri: 'sip:bob@192.0.2.9',
    routes: [],
    nextHop: 'sip:bob@192.0.2.9',
  });
});

const inDialog = (method: string, cseq: number, contact = 'sip:bob@203.0.113.5'): ParsedMessage =>
  parsed(
    MessageWriter.request(method, 'sip:alice@192.0.2.1')
      .header('Via', 'SIP/2.0/UDP h;branch=z9hG4bK9')
      .header('From', dialog.remote)
      .header('To', dialog.local)
      .header('Call-ID', dialog.callId)
      .header('CSeq', `${cseq} ${method}`)
      .header('Contact', `<${contact}>`)
      .finish(),
  );

// conformance: RFC 3261 12.2.2 — CSeq order, target refresh
test('requests of the peer: order and target', () => {
  const first = receiveRequest(dialog, inDialog('UPDATE', 40));
  assert.deepEqual(
    [first.verdict, first.dialog.remoteCSeq, first.dialog.remoteTarget],
    ['inOrder', 40, 'sip:bob@203.0.113.5'],
  );
  assert.equal(receiveRequest(first.dialog, inDialog('INFO', 39)).verdict, 'outOfOrder');
  assert.equal(receiveRequest(first.dialog, inDialog('INFO', 40)).verdict, 'repeated');
  assert.equal(receiveRequest(first.dialog, inDialog('ACK', 3)).verdict, 'inOrder');
  const info = receiveRequest(first.dialog, inDialog('INFO', 50, 'sip:elsewhere@h'));
  assert.deepEqual(
    [info.verdict, info.dialog.remoteTarget],
    ['inOrder', 'sip:bob@203.0.113.5'],
    'INFO moves no target',
  );
  assert.equal(
    receiveRequest(first.dialog, inDialog('INFO', 39)).dialog,
    first.dialog,
    'a refused request changes nothing',
  );
});

test('a 2xx to a re-INVITE moves the target, a refusal does not', () => {
  assert.equal(receiveResponse(dialog, response(200, { contact: 'sip:new@h' })).remoteTarget, 'sip:new@h');
  assert.equal(receiveResponse(dialog, response(491, { contact: 'sip:new@h' })), dialog);
  assert.deepEqual([481, 408, 404, 491, 488, 503].map(endsDialog), [true, true, true, false, false, false]);
});
