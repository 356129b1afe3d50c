import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LabChild } from '../../src/lab/process/child.ts';

/** T1 doubles in a real client; here the worker is expected within a second. */
const REPEAT_MS = 500;

test('dcsf.dispatcher: always keeps the address of a single worker while that is started again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-one-worker-'));
  const config = join(directory, 'imsdc.yaml');
  writeFileSync(
    config,
    `roles: [ims-as, dcsf]
admin: { dcsfPort: 0 }
imsAs: { listeners: [{ transport: udp, address: 127.0.0.1, port: 0 }] }
dcsf: { dispatcher: always, mdc1: { baseUrl: 'http://127.0.0.1:9/' } }
`,
  );
  const dcsf = new LabChild({ name: 'dcsf', args: ['dcsf', '--config', config], directory, speaks: 'ipc' });
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  try {
    await once(socket, 'listening');
    const ready = await dcsf.ready();
    const port = (ready.sip as { port: number }[])[0]!.port;
    const admin = `http://127.0.0.1:${(ready.admin as { port: number }).port}`;
    const workers = async () =>
      ((await (await fetch(`${admin}/status`)).json()) as { workers: { pid: number; serves: boolean }[] }).workers;

    const ask = async (name: string): Promise<string> => {
      const lines = [
        `OPTIONS sip:127.0.0.1:${port} SIP/2.0`,
        `Via: SIP/2.0/UDP 127.0.0.1:${socket.address().port};branch=z9hG4bK${name};rport`,
        'Max-Forwards: 70',
        'From: <sip:scscf@x>;tag=s',
        `To: <sip:127.0.0.1:${port}>`,
        `Call-ID: ${name}`,
        'CSeq: 1 OPTIONS',
        'Content-Length: 0',
        '',
        '',
      ];
      const send = () => socket.send(lines.join('\r\n'), port, '127.0.0.1');
      send();
      const repeat = setInterval(send, REPEAT_MS);
      try {
        for (;;) {
          const [bytes] = (await once(socket, 'message')) as [Buffer];
          const answer = bytes.toString('latin1');
          if (answer.includes(`Call-ID: ${name}\r\n`)) return answer.slice(0, answer.indexOf('\r\n'));
        }
      } finally {
        clearInterval(repeat);
      }
    };

    const before = await ask('before');
    const [first, ...more] = await workers();
    assert.deepEqual(more, []);
    process.kill(first!.pid, 'SIGKILL');
    assert.equal(await ask('after'), before);
    const [second] = await workers();
    assert.notEqual(second!.pid, first!.pid);
  } finally {
    socket.close();
    await dcsf.stop();
    rmSync(directory, { recursive: true, force: true });
  }
});
