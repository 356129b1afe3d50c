import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { WorkerLink } from '../../../src/dispatch/worker-link.ts';
import { responseDestination } from '../../../src/sip/transaction/derived.ts';
import type { Flow } from '../../../src/sip/types.ts';
import { parsed } from '../../sip/support.ts';

/** One datagram of anybody, with a `maddr` of 300 digits, ended a worker: the length of an address is one octet there. */
const flow: Flow = {
  transport: 'udp',
  remoteAddress: '192.0.2.7',
  remotePort: 5070,
  localAddress: '192.0.2.1',
  localPort: 5060,
};

const withMaddr = (maddr: string) =>
  parsed(
    [
      'OPTIONS sip:as@example.net SIP/2.0',
      `Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK1;maddr=${maddr}`,
      'From: <sip:a@x>;tag=1',
      'To: <sip:b@x>',
      'Call-ID: 1',
      'CSeq: 1 OPTIONS',
      'Content-Length: 0',
      '\r\n',
    ].join('\r\n'),
  );

for (const maddr of ['1'.repeat(300), '1.2.3', '1.2.3.4.5', '999.1.1.1', 'a'.repeat(300), 'abc']) {
  test(`a response does not go to the maddr ${maddr.slice(0, 24)}, which is no address`, () => {
    assert.equal(responseDestination(withMaddr(maddr), flow).address, '192.0.2.7');
  });
}

for (const maddr of ['239.255.255.1', '2001:db8::1', '[2001:db8::1]'])
  test(`a response goes to the maddr ${maddr}`, () => {
    assert.equal(responseDestination(withMaddr(maddr), flow).address, maddr.replace(/^\[(.*)\]$/, '$1'));
  });

test('a worker reports an address that no frame can carry instead of throwing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'imsdc-regress-'));
  const pairs = createServer().listen(join(folder, 'line'));
  await once(pairs, 'listening');
  const accepted = once(pairs, 'connection') as Promise<[Socket]>;
  const near = connect(join(folder, 'line'));
  const [far] = await accepted;
  t.after(() => {
    near.destroy();
    far.destroy();
    pairs.close();
    rmSync(folder, { recursive: true });
  });
  const link = new WorkerLink(near, () => undefined);
  const sink = { received: () => undefined, broken: () => undefined, trouble: () => undefined };
  const config = { transport: 'udp' as const, address: '127.0.0.1', port: 5060 };
  const transport = link.transports('udp', { address: '127.0.0.1', port: 5060 }, sink, config);
  const failure = await new Promise<Error>((resolve) =>
    transport.send('SIP/2.0 200 OK', { transport: 'udp', address: '1'.repeat(300), port: 5060 }, resolve),
  );
  assert.match(failure.message, /address/);
});
