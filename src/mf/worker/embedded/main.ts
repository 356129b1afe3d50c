import { Socket } from 'node:net';
import { TypedEmitter } from '../../../base/emitter.ts';
import { createLogger } from '../../../base/log.ts';
import { FrameSocket } from '../frame-socket.ts';
import { CONTROL_DESCRIPTOR, PAYLOAD_DESCRIPTOR } from '../protocol.ts';
import { EmbeddedWorker } from './worker.ts';

/**
 * The embedded worker program. It inherits its two sockets and ends with them; libdatachannel's threads would keep the
 * process alive, so it leaves by exit.
 */
const log = createLogger({ name: 'mf-worker' });
TypedEmitter.onListenerError = (error, event) => log.error({ err: error, event }, 'event handler');

function leave(code: number, problem: string): never {
  if (code === 0) log.debug({ problem }, 'worker ends');
  else log.error({ problem }, 'worker ends');
  process.exit(code);
}

function adopt(descriptor: number, kind: 'control' | 'payload', onFrame: 'onControl' | 'onPayload'): FrameSocket {
  const socket = new Socket({ fd: descriptor, readable: true, writable: true });
  return new FrameSocket(socket, kind, {
    frame: (frame) => worker[onFrame](frame),
    ended: (problem) => leave(problem.startsWith('closed') ? 0 : 1, problem),
  });
}

// The MF ends its workers by closing the sockets; a Ctrl-C of the terminal is for the MF.
process.on('SIGINT', () => undefined);
process.on('uncaughtException', (error) => leave(70, error.stack ?? error.message));
const worker: EmbeddedWorker = new EmbeddedWorker({
  control: adopt(CONTROL_DESCRIPTOR, 'control', 'onControl'),
  payload: adopt(PAYLOAD_DESCRIPTOR, 'payload', 'onPayload'),
});
