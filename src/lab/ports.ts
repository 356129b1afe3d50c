import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

const ATTEMPTS = 20;

/**
 * A port that is free for UDP and TCP alike right now. Nobody holds it for the caller: bind it at once. Used where two
 * processes must know a port before either can bind it.
 */
export async function freePort(address: string): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const tcp = createServer();
    try {
      udp.bind(0, address);
      await once(udp, 'listening');
      const { port } = udp.address();
      tcp.listen(port, address);
      await once(tcp, 'listening');
      return (tcp.address() as AddressInfo).port;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    } finally {
      udp.close();
      tcp.close();
    }
  }
}
