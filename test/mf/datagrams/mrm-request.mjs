// One request to an MF's SBI from inside a network namespace; the body is JSON on standard input, the answer's body goes
// to standard output after its status.
//   mrm-request.mjs PORT METHOD PATH
import { connect } from 'node:http2';
import { text } from 'node:stream/consumers';

const [port, method, path] = process.argv.slice(2);
const session = connect(`http://127.0.0.1:${port}`);
const body = await text(process.stdin);
const headers = { ':method': method, ':path': path, ...(body ? { 'content-type': 'application/json' } : {}) };
const stream = session.request(headers, { endStream: body === '' });
stream.on('response', (answer) => process.stdout.write(`${answer[':status']}\n`));
if (body) stream.end(body);
process.stdout.write(await text(stream));
session.close();
