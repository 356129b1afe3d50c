import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

const ATTEMPTS = 50;
/** Below what systems hand out by themselves (Linux: from 32,768), so that no passing connection takes it from us. */
const FIRST_PORT = 20_000;
const LAST_PORT = 31_999;

/**
 * A port that is free for UDP and TCP alike right now. Nobody holds it for the caller: bind it soon. Used where two
 * processes must know a port before either can bind it.
 */
export async function freePort(address: string): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const tcp = createServer();
    try {
      const port = randomInt(FIRST_PORT, LAST_PORT + 1);
      udp.bind(port, address);
      await once(udp, 'listening');
      tcp.listen(port, address);
      await once(tcp, 'listening');
      return (tcp.address() as AddressInfo).port;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    } finally {
      udp.close();
      if (tcp.listening) await new Promise((resolve) => tcp.close(resolve));
    }
  }
}
