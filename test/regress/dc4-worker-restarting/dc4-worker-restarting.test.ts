import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sessionIdOf } from '../../../src/base/ids.ts';
import { ChannelsOfWorkers, type WorkerRpc } from '../../../src/cli/workers/channels.ts';
import { HashRing } from '../../../src/dispatch/ring.ts';
import { ImsdcError } from '../../../src/errors.ts';

/** One worker that was being started again refused DC4 for the calls of all others: 503 for a call that was up. */
const REQUEST = { applicationId: 'app', servedUser: 'sip:alice@x', channels: [] };
const lost = () => Promise.reject(new ImsdcError('DCSF_WORKER_LOST', { worker: '0', problem: 'it has gone' }));

/** A worker with one session, or none. */
function worker(sessionId: string | null, touchedMs = 0): WorkerRpc {
  return {
    call: async (method, params) => {
      if (method === 'newestSession') return sessionId === null ? null : { sessionId, touchedMs };
      const { sessionId: wanted = sessionId } = params as { sessionId?: string };
      if (sessionId === null || wanted !== sessionId)
        throw new ImsdcError('DCSF_NO_SESSION', { what: `no session ${wanted}` });
      return { sessionId, mediaId: 'm1', streams: [] };
    },
  };
}
const restarting: WorkerRpc = { call: lost };
const channels = (...workers: WorkerRpc[]) => new ChannelsOfWorkers(() => workers, new HashRing(workers.length));

describe('DC4 while one of the workers is being started again', () => {
  test('by user: another worker holds the call', async () => {
    const { sessionId } = await channels(restarting, worker(null), worker('two', 5)).add(REQUEST);
    assert.equal(sessionId, 'two');
  });

  test('by user: of several calls the newest counts, as with all workers up', async () => {
    const { sessionId } = await channels(worker('old', 1), restarting, worker('new', 2)).add(REQUEST);
    assert.equal(sessionId, 'new');
  });

  test('by user: where nobody has one, the worker that did not answer may', async () => {
    await assert.rejects(channels(worker(null), restarting).add(REQUEST), { code: 'DCSF_WORKER_LOST' });
    await assert.rejects(channels(worker(null), worker(null)).add(REQUEST), { code: 'DCSF_NO_SESSION' });
  });

  test('by session of an IMS AS elsewhere, whose id happens to name that worker', async () => {
    const ring = new HashRing(2);
    const ids = Array.from({ length: 100 }, (_, n) => sessionIdOf(0, n.toString(16).padStart(32, '0')));
    const sessionId = ids.find((id) => ring.home(id) === 1)!;
    const line = { applicationId: 'app', sessionId, mediaId: 'm1' };
    await channels(restarting, worker(sessionId)).remove(line);
    await assert.rejects(channels(restarting, worker(null)).remove(line), { code: 'DCSF_WORKER_LOST' });
  });
});
