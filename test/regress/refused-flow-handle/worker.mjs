// A worker program that has a handle live before it looks at the far ends of FLOW, as the native one did.
import { Socket } from 'node:net';
import { decodeBody, encodeFrame, encodeReply, FrameReader } from '../../../src/mf/worker/codec.ts';
import { MAX_CONTROL_FRAME_BYTES, WORKER_ERRORS } from '../../../src/mf/worker/protocol.ts';

const control = new Socket({ fd: 3, readable: true, writable: true });
const payload = new Socket({ fd: 4, readable: true, writable: true });
const reader = new FrameReader(MAX_CONTROL_FRAME_BYTES);
const live = new Map();

const refuse = (frame, reason) =>
  control.write(encodeFrame('ERROR', frame, { code: WORKER_ERRORS[reason].value, detail: '' }));

function flow(frame) {
  const known = live.get(frame.handle);
  if (known !== undefined && known !== frame.generation) return refuse(frame, 'HANDLE_IN_USE');
  live.set(frame.handle, frame.generation);
  const { sides } = decodeBody('FLOW', frame.body);
  if (sides.some(({ remoteAddress }) => remoteAddress.includes(':'))) return refuse(frame, 'BAD_REMOTE');
  const ends = sides.map((_, side) => ({ address: '127.0.0.1', port: 4000 + side, iceUfrag: '', icePwd: '' }));
  return control.write(encodeReply('FLOW', frame, { path: 'user', sides: ends }));
}

function answer(frame) {
  switch (frame.name) {
    case 'HELLO':
      return control.write(
        encodeFrame('WELCOME', frame, {
          ...{ version: 1, engine: 'embedded', pid: process.pid, software: 'test' },
          ...{ maxStreamId: 1023, maxMessageSizeBytes: 65536, ice: false, receiveBackPressure: false },
          ...{ forking: false, kernelDatagrams: false, trace: false, keyLog: false },
        }),
      );
    case 'PING':
      return control.write(encodeFrame('PONG', frame, { loopLagUs: 0, associations: live.size }));
    case 'FLOW':
      return flow(frame);
    case 'RELEASE': {
      if (live.get(frame.handle) === frame.generation) live.delete(frame.handle);
      const none = { bytesReceived: 0, bytesSent: 0, messagesReceived: 0, messagesSent: 0, dropped: 0 };
      return control.write(encodeReply('RELEASE', frame, none));
    }
  }
}

control.on('data', (chunk) => {
  for (const frame of reader.push(chunk)) answer(frame);
});
for (const socket of [control, payload]) socket.on('end', () => process.exit(0));
payload.resume();
