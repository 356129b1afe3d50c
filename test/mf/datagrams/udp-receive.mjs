// Says "ready", then a line for each datagram: its source and its content in hex; ends after COUNT of them.
//   udp-receive.mjs ADDRESS PORT COUNT
import { createSocket } from 'node:dgram';

const [address, port, count] = process.argv.slice(2);
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
let left = Number(count);
socket.on('message', (datagram, from) => {
  process.stdout.write(`${from.address} ${from.port} ${datagram.toString('hex')}\n`);
  if (--left === 0) socket.close();
});
socket.bind({ address, port: Number(port) }, () => process.stdout.write('ready\n'));
