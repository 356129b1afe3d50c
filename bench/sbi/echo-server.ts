/** A bare HTTP/2 server that answers every request with 1.5 KB of JSON; says its port to its parent. */
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';

const body = Buffer.from(JSON.stringify({ text: 'y'.repeat(1_500) }));
const server = createServer();
server.on('stream', (stream) => {
  stream.resume();
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/json', 'content-length': body.length });
    stream.end(body);
  });
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit(0));
