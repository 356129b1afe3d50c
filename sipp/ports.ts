import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** Ports that one SIPp process takes: its own, then its control port, then RTP sockets that it opens though unused. */
export interface PortBlock {
  readonly sip: number;
  readonly control: number;
  readonly media: number;
}

/** Below the ports that Linux gives to others unasked, and below the MF's. */
const FIRST = 8_000;
const BLOCK = 8;
const BLOCKS = 1_000;

let next = randomInt(BLOCKS);

/**
 * A block that nobody else in this process gets for a long time. A hundred scripts at once that each asked for "any
 * free port" would take each other's away between asking and binding.
 */
export async function takePorts(): Promise<PortBlock> {
  for (let attempt = 0; attempt < BLOCKS; attempt++) {
    const sip = FIRST + (next++ % BLOCKS) * BLOCK;
    if (await isFree(sip)) return { sip, control: sip + 1, media: sip + 2 };
  }
  throw new Error(`all ports from ${FIRST} to ${FIRST + BLOCK * BLOCKS - 1} are taken`);
}

async function isFree(first: number): Promise<boolean> {
  const sockets: Socket[] = [];
  try {
    for (let port = first; port < first + BLOCK; port++) {
      const socket = createSocket('udp4');
      sockets.push(socket);
      socket.bind({ port, address: '0.0.0.0', exclusive: true });
      await once(socket, 'listening');
    }
    return true;
  } catch {
    return false; // somebody else has one of them
  } finally {
    for (const socket of sockets) socket.close();
  }
}
