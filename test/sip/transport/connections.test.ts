import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Connection, ConnectionTable } from '../../../src/sip/transport/connections.ts';
import type { Flow } from '../../../src/sip/types.ts';

function connection(id: string, remoteAddress: string): Connection {
  const flow: Flow = { transport: 'ws', remoteAddress, remotePort: 1, localAddress: '192.0.2.1', localPort: 80 };
  return { id, remoteAddress, peers: new Set(), flow, isStranger: false, isHeard: true };
}

test('a name that lives moves to the same address only', () => {
  const table = new ConnectionTable<Connection>();
  const [phone, thief, again] = [
    connection('a', '192.0.2.9'),
    connection('b', '192.0.2.66'),
    connection('c', '192.0.2.9'),
  ];
  for (const one of [phone, thief, again]) table.add(one);
  assert.equal(table.claimName(phone, 'x.invalid'), true);
  assert.equal(table.claimName(thief, 'x.invalid'), false);
  assert.equal(table.byPeer('x.invalid', 0), phone);
  assert.equal(table.claimName(again, 'x.invalid'), true, 'a reconnect of the same phone');
  table.remove(phone);
  assert.equal(table.byPeer('x.invalid', 0), again, 'the end of the old connection leaves the new one');
  table.remove(again);
  assert.equal(table.claimName(thief, 'x.invalid'), true, 'free again');
});

test('one connection cannot collect names without end', () => {
  const table = new ConnectionTable<Connection>();
  const greedy = connection('a', '192.0.2.9');
  table.add(greedy);
  const claimed = Array.from({ length: 50 }, (_, i) => table.claimName(greedy, `n${i}.invalid`)).filter(Boolean).length;
  assert.equal(claimed, 8);
  assert.equal(greedy.peers.size, 8);
});
