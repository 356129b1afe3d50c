// A worker program that misbehaves on request (first argument), for the tests of the engine client.
import { Socket } from 'node:net';
import { decodeBody, encodeFrame, encodeReply, FrameReader } from '../../../src/mf/worker/codec.ts';
import { MAX_CONTROL_FRAME_BYTES, MAX_PAYLOAD_FRAME_BYTES } from '../../../src/mf/worker/protocol.ts';

const behaviour = process.argv[2];
const control = new Socket({ fd: 3, readable: true, writable: true });
const payload = new Socket({ fd: 4, readable: true, writable: true });
const controlReader = new FrameReader(MAX_CONTROL_FRAME_BYTES);
const payloadReader = new FrameReader(MAX_PAYLOAD_FRAME_BYTES);

const counters = { bytesReceived: 0, bytesSent: 0, messagesReceived: 0, messagesSent: 0, dropped: 0 };
const local = { address: '127.0.0.1', port: 4000, sctpPort: 5000, fingerprint: 'sha-256 AA', iceUfrag: '', icePwd: '' };

function answer(frame) {
  switch (frame.name) {
    case 'HELLO':
      if (behaviour === 'silent') return;
      if (behaviour === 'refuses') {
        control.write(encodeFrame('ERROR', frame, { code: 12, detail: 'no' }));
        return;
      }
      if (behaviour === 'garbage') {
        control.write(Buffer.alloc(64, 0xff));
        return;
      }
      control.write(
        encodeFrame('WELCOME', frame, {
          version: 1,
          engine: 'embedded',
          pid: process.pid,
          software: `fake ${decodeBody('HELLO', frame.body).workerIndex}`,
          maxStreamId: 1023,
          maxMessageSizeBytes: 65536,
          ice: false,
          receiveBackPressure: false,
          forking: false,
          kernelDatagrams: false,
          trace: false,
          keyLog: false,
        }),
      );
      return;
    case 'PING':
      control.write(encodeFrame('PONG', frame, { loopLagUs: 2500, associations: 0 }));
      return;
    case 'RESERVE':
      control.write(encodeReply('RESERVE', frame, local));
      if (behaviour === 'exits') process.exit(3);
      return;
    case 'ROUTE':
      if (behaviour === 'never') return;
      control.write(encodeReply('ROUTE', frame, {}));
      return;
    case 'RELEASE': {
      control.write(encodeReply('RELEASE', frame, counters));
      // Late frames of the handle that is gone.
      const late = { ...frame, requestId: 0 };
      const state = { state: 'failed', code: 36, detail: '', remoteAddress: '', remotePort: 0 };
      control.write(encodeFrame('STATE', late, state));
      const data = Buffer.from('late');
      payload.write(encodeFrame('PAYLOAD_FROM_PEER', late, { streamId: 0, kind: 'binary', data }));
    }
  }
}

control.on('data', (chunk) => {
  for (const frame of controlReader.push(chunk)) answer(frame);
});
payload.on('data', (chunk) => {
  for (const frame of payloadReader.push(chunk)) {
    if (frame.name !== 'CREDIT') continue;
    const { streamId, bytes } = decodeBody('CREDIT', frame.body);
    const data = Buffer.from(`${frame.handle}.${frame.generation} ${bytes}`);
    payload.write(encodeFrame('PAYLOAD_FROM_PEER', frame, { streamId, kind: 'text', data }));
  }
});
for (const socket of [control, payload]) socket.on('end', () => process.exit(0));
