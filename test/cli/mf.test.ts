import assert from 'node:assert/strict';
import { execFile, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { silentLogger as log } from '../../src/base/log.ts';
import { mfStatsCommand } from '../../src/cli/mf-stats.ts';
import { mfTraceCommand } from '../../src/cli/mf-trace.ts';
import type { KeyStats } from '../../src/mf/engine/types.ts';
import type { PlainAssociation } from '../../src/ndc/association.ts';
import { NmfMrmClient } from '../../src/services/nmf-mrm-client.ts';
import { context, endpoint, relayMedia } from '../mf/rig.ts';
import { workerMissing } from '../native/rig.ts';
import { certificateB, ORDERED, opened, reserveLocal } from '../ndc/support.ts';

const STREAM = 1_000;
const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const tsharkMissing = spawnSync('tshark', ['--version']).error ? 'tshark is not installed' : false;
const soon = () => ({ deadlineMs: Date.now() + 5_000 });

describe('imsdc mf, seen by its operator', { skip: workerMissing }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-mf-'));
  const keyLogFile = join(directory, 'keys.log');
  const configFile = join(directory, 'imsdc.yaml');
  const firstPort = 20_000 + Math.floor(Math.random() * 200) * 50;
  let mf: ReturnType<typeof fork>;
  let admin = '';
  let mrm: NmfMrmClient;
  const ues: PlainAssociation[] = [];
  let contextId = '';

  /** A relay between two UEs, through Nmf_MRM; `a` sends what `b` has received when it resolves. */
  async function relayedMessage(message: Buffer): Promise<void> {
    const media = (ue: PlainAssociation) =>
      relayMedia('m1', STREAM, {
        remoteMbEndpoint: endpoint(ue.localPort),
        dcMedia: {
          mediaProxyConfig: 'DC_APPLICATION_PROXY',
          streams: { [STREAM]: { streamId: STREAM, subprotocol: 'app' } },
          remoteDcEndpoint: { sctpPort: 5_000, fingerprint: certificateB.fingerprint },
          securitySetup: 'ACTIVE',
        },
      });
    const [a, b] = [await reserveLocal(certificateB), await reserveLocal(certificateB)];
    ues.push(a, b);
    const created = await mrm.createContext(context({ served: [media(a)], remote: [media(b)] }), soon());
    contextId = created.contextId;
    // Traced from its first datagram, or nothing could decrypt the rest.
    await startTrace(`${contextId}#1`);
    const open = Promise.all([opened(a, STREAM), opened(b, STREAM)]);
    for (const [index, ue] of [a, b].entries()) {
      const { localMbEndpoint, dcMedia } = created.terminations[index]!.medias[0]!;
      const { fingerprint, sctpPort } = dcMedia!.localDcEndpoint!;
      const { ip, portNumber: port } = localMbEndpoint!;
      const far = { address: ip.ipv4Addr!, port, sctpPort, fingerprints: [fingerprint!], maxMessageSizeBytes: 0 };
      await ue.start({ ...far, role: 'active' }, [ORDERED(STREAM)]);
    }
    await open;
    const arrived = b.next('message');
    a.send(STREAM, message, 'binary');
    assert.deepEqual((await arrived).data, message);
  }

  const pcapFile = join(directory, 'one.pcap');
  const interrupt = new AbortController();
  let tracing: Promise<number> = Promise.resolve(0);
  /** Resolves once the file has its header, so the worker copies from now on. */
  async function startTrace(key: string, file = pcapFile, until = interrupt.signal): Promise<void> {
    tracing = mfTraceCommand([key, file, '--admin', admin], until);
    while ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) < 24) await new Promise(setImmediate);
  }

  async function stats(...argv: string[]): Promise<string> {
    let text = '';
    assert.equal(await mfStatsCommand([...argv, '--admin', admin], (more) => (text += more)), 0);
    return text;
  }

  before(async () => {
    const media = { firstPort, lastPort: firstPort + 49 };
    const config = {
      mf: { listen: { port: 0 }, workers: 1, engine: 'native', keyLogFile, media },
      admin: { mfPort: 0 },
    };
    writeFileSync(configFile, JSON.stringify(config));
    mf = fork(MAIN, ['mf', '--config', configFile], { env: { ...process.env, IMSDC_LOG: 'warn' }, silent: true });
    const [ready] = (await once(mf, 'message')) as [{ mrm: string; admin: { address: string; port: number } }];
    admin = `http://${ready.admin.address}:${ready.admin.port}`;
    mrm = new NmfMrmClient({ apiRoot: ready.mrm, userAgent: 'IMS_AS-test', log });
    await relayedMessage(Buffer.from('a secret that only the key log tells'));
  });
  after(async () => {
    await Promise.all(ues.map((ue) => ue.close()));
    await mrm.close();
    const left = once(mf, 'exit');
    mf.disconnect();
    await left;
    rmSync(directory, { recursive: true });
  });

  test('stats: a table, one line per association and one per stream', async () => {
    const lines = (await stats()).trimEnd().split('\n');
    assert.match(lines[0]!, /^KEY +STREAM +STATE +FOR +RTT +BYTES IN/);
    assert.equal(lines.length, 5);
    assert.match(lines[1]!, new RegExp(`^${contextId}#1 +connected +\\d+ s +`));
    assert.match(lines[2]!, /^ +1000 +36 +0 +1 +0 +0 +0$/);
    assert.match(lines[4]!, /^ +1000 +0 +36 +0 +1 +0 +0$/);
  });

  test('stats --json: the figures of one association', async () => {
    const one = JSON.parse(await stats(`${contextId}#2`, '--json')) as KeyStats;
    assert.equal(one.state, 'connected');
    assert.deepEqual([one.bytesSent, one.messagesSent, one.streams[0]?.streamId], [36, 1, STREAM]);
    assert.ok(one.handshakeUs > 0 && one.datagramsSent > 0);
    assert.equal(await stats('nobody'), 'no associations\n');
  });

  test('metrics: associations by state, traffic of the living and of those gone, ports', async () => {
    const metric = async (name: string) => {
      const text = await (await fetch(`${admin}/metrics`)).text();
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${name} `))
          ?.split(' ')[1],
      );
    };
    assert.equal(await metric('imsdc_mf_associations{state="connected"}'), 2);
    assert.equal(await metric('imsdc_mf_bytes_received_total'), 36);
    assert.equal(await metric('imsdc_mf_messages_sent_total'), 1);
    assert.equal(await metric('imsdc_mf_ports_free'), 48);
    assert.ok((await metric('imsdc_mf_worker_loop_lag_seconds{worker="0"}')) >= 0);
  });

  test('trace: an unknown key is said', () =>
    assert.rejects(mfTraceCommand(['ctx#9', join(directory, 'none.pcap'), '--admin', admin]), {
      code: 'MF_ADMIN',
      message: /no association or flow ctx#9/,
    }));

  test('the key log is in the NSS format, and for its owner only', () => {
    const lines = readFileSync(keyLogFile, 'utf8').trimEnd().split('\n');
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(line, /^CLIENT_RANDOM [0-9a-fA-F]{64} [0-9a-fA-F]{96}$/);
    assert.equal(statSync(keyLogFile).mode & 0o777, 0o600);
  });

  test('tshark reads the trace, and with the key log what was said', { skip: tsharkMissing }, async () => {
    interrupt.abort();
    assert.equal(await tracing, 0);
    const decode = ['-d', `udp.port==${firstPort},dtls`, '-Y', 'data'];
    const read = async (...more: string[]) =>
      (await promisify(execFile)('tshark', ['-r', pcapFile, ...decode, ...more, '-T', 'fields', '-e', 'data.data']))
        .stdout;
    const secret = Buffer.from('a secret that only the key log tells').toString('hex');
    assert.ok(!(await read()).includes(secret));
    assert.ok((await read('-o', `tls.keylog_file:${keyLogFile}`)).includes(secret));
  });

  test('a trace ends with its association; the totals stay', async () => {
    await startTrace(`${contextId}#2`, join(directory, 'two.pcap'), new AbortController().signal);
    await mrm.deleteContext(contextId, soon());
    assert.equal(await tracing, 0);
    assert.equal(await stats(), 'no associations\n');
    assert.match(await (await fetch(`${admin}/metrics`)).text(), /^imsdc_mf_bytes_sent_total 36$/m);
  });
});
