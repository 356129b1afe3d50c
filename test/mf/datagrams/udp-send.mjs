// Sends datagrams from a given port, each given in hex, then a STUN Binding request (RFC 8489), and prints the answer to
// that in hex: what was sent before it has been looked at by then.
//   udp-send.mjs LOCAL_ADDRESS LOCAL_PORT TO_ADDRESS TO_PORT HEX...
import { createSocket } from 'node:dgram';

const [address, port, to, toPort, ...datagrams] = process.argv.slice(2);
const request = Buffer.concat([Buffer.from('000100002112a442', 'hex'), Buffer.from('twelve bytes')]);
const socket = createSocket('udp4');
socket.bind({ address, port: Number(port) }, () => {
  for (const hex of datagrams) socket.send(Buffer.from(hex, 'hex'), Number(toPort), to);
  socket.send(request, Number(toPort), to);
});
socket.on('message', (answer) => {
  process.stdout.write(answer.toString('hex'));
  socket.close();
});
