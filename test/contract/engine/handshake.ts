import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { freePort } from '../../../src/lab/ports.ts';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import { certificateA, opened, reached } from '../../ndc/support.ts';
import { IceUe } from './ice-ue.ts';
import { remoteOf, spec, withLab } from './lab.ts';
import { LatePath } from './late-path.ts';

/** libdatachannel and OpenSSL send a lost ClientHello again after one second. */
const BEFORE_RETRANSMISSION_MS = 900;

export function handshakeCases(command: WorkerCommand): void {
  for (const role of ['active', 'passive'] as const) {
    // conformance: RFC 8842 5.1 — both DTLS roles, without ICE
    test(`handshake, engine ${role}`, () =>
      withLab(command, async (lab) => {
        const connected = lab.state('a', 'connected');
        const ue = await lab.connect('a', { role });
        await connected;
        assert.equal(ue.state, 'connected');
        const { associations } = await lab.engine.stats(['a']);
        assert.equal(associations[0]?.state, 'connected');
      }));
  }

  // conformance: R5 — datagrams before START are kept and played
  test('a ClientHello that comes before START is kept', () =>
    withLab(command, async (lab) => {
      const [local, ue] = await Promise.all([lab.reserve('a'), lab.ue()]);
      const sent = new Promise<void>((resolve) => (ue.outer.onTrace = (outgoing) => outgoing && resolve()));
      const open = opened(ue, 0);
      await lab.startUe(ue, local, 'active');
      await sent;
      await lab.engine.setStreams('a', [spec(0)]);
      const startedAtMs = performance.now();
      await lab.engine.start('a', remoteOf(ue, 'passive'));
      await open;
      const tookMs = performance.now() - startedAtMs;
      assert.ok(tookMs < BEFORE_RETRANSMISSION_MS, `${Math.round(tookMs)} ms`);
    }));

  // conformance: RFC 6347 4.2.4 — a last flight that is late comes twice, the second time under new record numbers
  test('the last flight of the peer twice: the association goes on, and hears of no alert', () =>
    withLab(command, async (lab) => {
      const [local, ue] = await Promise.all([lab.reserve('a'), lab.ue()]);
      const path = await LatePath.between(local.port, ue.localPort);
      try {
        await lab.engine.setStreams('a', [spec(0)]);
        await lab.engine.route({ key: 'a', streamId: 0 }, { kind: 'stream', to: { key: 'a', streamId: 0 } });
        const open = opened(ue, 0);
        await lab.engine.start('a', remoteOf(ue, 'active', { port: path.engineSide }));
        await lab.startUe(ue, { ...local, port: path.ueSide }, 'passive');
        await open;
        const echo = ue.next('message');
        ue.send(0, 'still here', 'text');
        assert.equal((await echo).data.toString(), 'still here');
        assert.equal(path.held, 0);
      } finally {
        await path.close();
      }
    }));

  // conformance: RFC 8122 6.2 — the certificate must match the fingerprint of the SDP
  for (const role of ['active', 'passive'] as const) {
    test(`a certificate that does not match ends the association before SCTP, engine ${role}`, () =>
      withLab(command, async (lab) => {
        const [local, ue] = await Promise.all([lab.reserve('a'), lab.ue()]);
        ue.on('stream', ({ state }) => assert.notEqual(state, 'open'));
        await lab.engine.setStreams('a', [spec(0)]);
        const failed = lab.state('a', 'failed');
        await lab.engine.start('a', remoteOf(ue, role, { fingerprints: [certificateA.fingerprint] }));
        await lab.startUe(ue, local, role === 'active' ? 'passive' : 'active');
        assert.equal((await failed).reason, 'FINGERPRINT_MISMATCH');
        await reached(ue, 'failed', 'closed');
      }));
  }

  // conformance: RFC 8827 6.5 — a peer without a certificate is refused
  const openssl = spawnSync('openssl', ['version']).status === 0;
  test('a peer without a certificate is refused', { skip: openssl ? false : 'openssl is not installed' }, () =>
    withLab(command, async (lab) => {
      const local = await lab.reserve('a');
      const port = await freePort('127.0.0.1');
      const failed = lab.state('a', 'failed');
      await lab.engine.start('a', remoteOf(await lab.ue(), 'passive', { port }));
      const target = ['-connect', `127.0.0.1:${local.port}`, '-bind', `127.0.0.1:${port}`];
      const client = spawn('openssl', ['s_client', '-dtls1_2', ...target], { stdio: ['pipe', 'ignore', 'ignore'] });
      const exited = once(client, 'exit');
      assert.equal((await failed).reason, 'HANDSHAKE_FAILED');
      client.kill();
      await exited;
    }),
  );

  // conformance: R25 — a timer frees the association, not the key
  test('a peer that never answers: failed, and the key stays until release', () =>
    withLab(
      command,
      async (lab) => {
        await lab.reserve('a');
        const failed = lab.state('a', 'failed');
        await lab.engine.start('a', remoteOf(await lab.ue(), 'passive'));
        assert.equal((await failed).reason, 'HANDSHAKE_TIMEOUT');
        assert.equal((await lab.engine.stats(['a'])).associations[0]?.state, 'failed');
        assert.equal((await lab.engine.release('a')).messagesReceived, 0);
        assert.deepEqual((await lab.engine.stats()).associations, []);
      },
      { associationTimeoutMs: 200 },
    ));

  // conformance: R10 — only the SDP's address is accepted
  test('another source is ignored until the SDP names it', () =>
    withLab(command, async (lab) => {
      const [local, ue, stranger] = await Promise.all([lab.reserve('a'), lab.ue(), lab.ue()]);
      const open = opened(ue, 0);
      await lab.engine.setStreams('a', [spec(0)]);
      await lab.engine.start('a', remoteOf(stranger, 'passive'));
      const sent = new Promise<void>((resolve) => (ue.outer.onTrace = (outgoing) => outgoing && resolve()));
      await lab.startUe(ue, local, 'active');
      await sent;
      assert.equal((await lab.engine.stats(['a'])).associations[0]?.state, 'connecting');
      await lab.engine.update('a', { port: ue.localPort });
      await open;
    }));

  test('with natLatch another source may prove itself by its certificate', () =>
    withLab(command, async (lab) => {
      const [local, ue, stranger] = await Promise.all([lab.reserve('a'), lab.ue(), lab.ue()]);
      const open = opened(ue, 0);
      await lab.engine.setStreams('a', [spec(0)]);
      await lab.engine.start('a', remoteOf(stranger, 'passive', { natLatch: true }));
      await lab.startUe(ue, local, 'active');
      await open;
    }));

  // conformance: RFC 8445 2.5 — a full ICE agent connects to the ICE-lite answer
  for (const role of ['active', 'passive'] as const) {
    test(`a UE that does ICE connects, engine ${role}`, () =>
      withLab(command, async (lab) => {
        const local = await lab.reserve('a', { ice: true });
        assert.match(local.iceUfrag ?? '', /^[A-Za-z0-9+/]{4,256}$/);
        assert.match(local.icePwd ?? '', /^[A-Za-z0-9+/]{22,256}$/);
        await lab.engine.setStreams('a', [spec(0)]);
        const ue = await IceUe.offer(0);
        try {
          await lab.engine.start('a', ue.remote(role));
          const open = lab.streamOpen('a', 0);
          ue.answer(local, role);
          await Promise.all([open, ue.open]);
        } finally {
          await ue.close();
        }
      }));
  }

  for (const role of ['active', 'passive'] as const) {
    // conformance: ue-side 3, RFC 8445 2.5 — a port with ICE credentials, and a peer that sends no checks: plain DTLS
    test(`a peer without checks on a port that has ICE credentials, engine ${role}`, () =>
      withLab(command, async (lab) => {
        const [local, ue] = await Promise.all([lab.reserve('a', { ice: true }), lab.ue()]);
        await lab.engine.setStreams('a', [spec(0)]);
        const open = Promise.all([opened(ue, 0), lab.streamOpen('a', 0)]);
        await lab.engine.start('a', remoteOf(ue, role));
        await lab.startUe(ue, local, role === 'active' ? 'passive' : 'active');
        await open;
      }));
  }

  // conformance: R20 — one port for several early dialogs
  test('branches of a fork share a port and are told apart by address', (t) =>
    withLab(command, async (lab) => {
      if (!lab.engine.capabilities.forking) return t.skip('the worker says that it cannot');
      const local = await lab.reserve('a');
      const branch = await lab.reserve('a2', { sharesPortOf: 'a' });
      assert.equal(branch.port, local.port);
      const ues = await Promise.all([lab.ue(), lab.ue()]);
      for (const [index, key] of ['a', 'a2'].entries()) {
        const ue = ues[index]!;
        const open = Promise.all([opened(ue, 0), lab.streamOpen(key, 0)]);
        await lab.engine.setStreams(key, [spec(0)]);
        await lab.engine.start(key, remoteOf(ue, index === 0 ? 'active' : 'passive'));
        await lab.startUe(ue, branch, index === 0 ? 'passive' : 'active');
        await open;
      }
      await lab.engine.release('a');
      await lab.engine.route({ key: 'a2', streamId: 0 }, { kind: 'stream', to: { key: 'a2', streamId: 0 } });
      const echo = ues[1]!.next('message');
      ues[1]!.send(0, 'still here', 'text');
      assert.equal((await echo).data.toString(), 'still here');
    }));

  test('what cannot be used is refused with its code and changes nothing', () =>
    withLab(command, async (lab) => {
      const local = await lab.reserve('a');
      const ue = await lab.ue();
      for (const change of [{ address: 'ue.example' }, { fingerprints: [] }, { fingerprints: ['md5 00:11'] }]) {
        await assert.rejects(lab.engine.start('a', remoteOf(ue, 'passive', change)), reasonIs('BAD_REMOTE'));
      }
      await lab.engine.start('a', remoteOf(ue, 'passive'));
      await assert.rejects(lab.engine.start('a', remoteOf(ue, 'passive')), reasonIs('WRONG_STATE'));
      const taken = { bindAddress: '127.0.0.1', port: local.port, ice: false };
      await assert.rejects(lab.engine.reserve('b', 'group', taken), reasonIs('PORT_UNAVAILABLE'));
      assert.equal((await lab.engine.stats()).associations.length, 1);
    }));
}

export function reasonIs(reason: string): (error: unknown) => boolean {
  return (error) => {
    const { code, details } = error as { code?: string; details?: { reason?: string } };
    assert.equal(code, 'WORKER_REFUSED');
    assert.equal(details?.reason, reason);
    return true;
  };
}
