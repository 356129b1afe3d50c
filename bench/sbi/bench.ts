/**
 * The service-based interfaces: CPU per request of our HTTP/2 client beside `node:http2` (one session each, 1.5 KB of
 * JSON both ways, 20 requests at once, the same bare server), and what a call costs the MF: POST, PATCH, DELETE of a
 * context with four associations that are never connected, as in a SIPp run.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { connect } from 'node:http2';
import { resolve } from 'node:path';
import { silentLogger } from '../../src/base/log.ts';
import { SbiClient } from '../../src/sbi/client.ts';
import type { Endpoint } from '../../src/services/common-data.ts';
import type { MediaContext, MediaInfo, PatchItem } from '../../src/services/nmf-mrm.ts';
import { NmfMrmClient } from '../../src/services/nmf-mrm-client.ts';
import { cpuMs } from '../lib/cpu.ts';
import { type BenchOptions, type BenchRow, median } from '../lib/rows.ts';

const AT_ONCE = 20;
const CLIENT_GOAL = 0.6;
const CALLS_GOAL = 500;
const DEADLINE_MS = 10_000;
const log = silentLogger;

export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  return [await clientRow(options), ...(await mrmRows(options))];
}

async function clientRow({ quick, progress }: BenchOptions): Promise<BenchRow> {
  const { child, hello } = await start<{ port: number }>('echo-server.ts');
  const origin = `http://127.0.0.1:${hello.port}`;
  const payload = { text: 'y'.repeat(1_500) };
  const client = new SbiClient({ apiRoot: origin, userAgent: 'bench', log });
  const session = connect(origin);
  const ours = () =>
    client.request({
      method: 'POST',
      path: '/x',
      body: payload,
      deadlineMs: Date.now() + DEADLINE_MS,
      idempotencyKey: 'a.b.1',
    });
  const theirs = () =>
    new Promise<unknown>((resolve, reject) => {
      const body = Buffer.from(JSON.stringify(payload));
      const stream = session.request({
        ':method': 'POST',
        ':path': '/x',
        'user-agent': 'bench',
        accept: 'application/json, application/problem+json',
        '3gpp-sbi-sender-timestamp': new Date().toUTCString(),
        '3gpp-sbi-max-rsp-time': String(DEADLINE_MS),
        '3gpp-sbi-request-info': 'idempotency-key="a.b.1"',
        'content-type': 'application/json',
        'content-length': body.length,
      });
      const timer = setTimeout(() => stream.close(), DEADLINE_MS);
      let text = '';
      stream.setEncoding('utf8');
      stream.on('data', (chunk: string) => {
        text += chunk;
      });
      stream.on('error', reject);
      stream.on('close', () => {
        clearTimeout(timer);
        resolve(JSON.parse(text));
      });
      stream.end(body);
    });
  const count = quick ? 1_000 : 3_000;
  await cpuUs(ours, count);
  await cpuUs(theirs, count);
  const runs: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  for (let run = 0; run < (quick ? 3 : 7); run++) {
    runs.ours.push(await cpuUs(ours, count));
    runs.peer.push(await cpuUs(theirs, count));
    progress(
      `client run ${run + 1}: ${runs.ours.at(-1)!.toFixed(1)} us, node:http2 ${runs.peer.at(-1)!.toFixed(1)} us`,
    );
  }
  await client.close();
  session.close();
  child.disconnect();
  const [mine, peer] = [median(runs.ours), median(runs.peer)];
  return {
    bench: 'sbi',
    row: 'CPU per request of the client, beside node:http2',
    ours: mine,
    peer,
    unit: 'us',
    ratio: mine / peer,
    goal: `<= ${CLIENT_GOAL} x`,
    met: mine / peer <= CLIENT_GOAL,
  };
}

async function mrmRows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  const { child, hello } = await start<{ address: string; engine: string }>('mf-server.ts');
  const mrm = new NmfMrmClient({ apiRoot: hello.address, userAgent: 'IMS_AS-bench', log });
  await calls(mrm, 200);
  const [rates, asMs, mfMs]: [number[], number[], number[]] = [[], [], []];
  for (let run = 0; run < (quick ? 2 : 5); run++) {
    const count = quick ? 300 : 1_000;
    const before = { cpu: process.cpuUsage(), mf: cpuMs(child.pid!), at: performance.now() };
    await calls(mrm, count);
    const { user, system } = process.cpuUsage(before.cpu);
    rates.push((count / (performance.now() - before.at)) * 1_000);
    asMs.push((user + system) / 1_000 / count);
    mfMs.push((cpuMs(child.pid!) - before.mf) / count);
    progress(
      `MRM run ${run + 1}: ${rates.at(-1)!.toFixed(0)} calls/s, consumer ${asMs.at(-1)!.toFixed(2)} ms, MF ${mfMs.at(-1)!.toFixed(2)} ms`,
    );
  }
  await mrm.close();
  child.disconnect();
  const note = `${hello.engine} engine, one worker, consumer and MF on the same machine`;
  const row = (name: string, ours: number, unit: string, goal: string, met: boolean): BenchRow => ({
    bench: 'sbi',
    row: name,
    ours,
    unit,
    goal,
    met,
    note,
  });
  const rate = median(rates);
  return [
    row('MRM: POST, PATCH, DELETE of a context', rate, 'calls/s', `>= ${CALLS_GOAL}`, rate >= CALLS_GOAL),
    row('MRM: CPU per call of the consumer', median(asMs), 'ms', 'none', true),
    row('MRM: CPU per call of the MF, without workers', median(mfMs), 'ms', 'none', true),
  ];
}

/** CPU microseconds of this process per request. */
async function cpuUs(request: () => Promise<unknown>, count: number): Promise<number> {
  const before = process.cpuUsage();
  await many(request, count);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

async function many(work: () => Promise<unknown>, count: number): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) await work();
    }),
  );
}

let serial = 0;
async function calls(mrm: NmfMrmClient, count: number): Promise<void> {
  await many(async () => {
    const id = ++serial;
    const options = (step: string) => ({ deadlineMs: Date.now() + DEADLINE_MS, idempotencyKey: `${id}.${step}` });
    const { contextId } = await mrm.createContext(bothLegs(), options('post'));
    await mrm.patchContext(contextId, answer(), options('patch'));
    await mrm.deleteContext(contextId, options('delete'));
  }, count);
}

const fingerprint = `SHA-256 ${Array.from({ length: 32 }, () => 'A1').join(':')}`;
const endpoint = (portNumber: number): Endpoint => ({ ip: { ipv4Addr: '127.0.0.1' }, transport: 'UDP', portNumber });
const remoteDc = { sctpPort: 5_000, fingerprint, tlsId: 'abcdefghij_ABCDEFG-1', securitySetup: 'ACTIVE' as const };

/** Layout R2 of an originating network; `known`: the far end is told, and active, so that the MF waits for it. */
function medium(mediaId: string, streamId: number, http: boolean, known: boolean): MediaInfo {
  return {
    mediaId,
    mediaResourceType: 'DC',
    ...(known ? { remoteMbEndpoint: endpoint(9) } : {}),
    dcMedia: {
      mediaProxyConfig: http ? 'HTTP_PROXY' : 'DC_APPLICATION_PROXY',
      ...(http
        ? {
            remoteMdc1Endpoint: endpoint(8_080),
            replaceHttpUrl: { [streamId]: { streamId, replaceHttpUrl: 'http://127.0.0.1:8080/bdc/v1/token/' } },
          }
        : {}),
      streams: { [streamId]: { streamId, subprotocol: 'http' } },
      maxMessageSize: 64,
      ...(known ? { remoteDcEndpoint: remoteDc, securitySetup: 'ACTIVE' as const } : {}),
      imsdc: { localSetup: known ? 'PASSIVE' : 'ACTPASS', maxMessageSizeBytes: 65_536 },
    },
  };
}

function bothLegs(): MediaContext {
  return {
    terminations: [
      { terminationId: 'served', medias: [medium('m1', 0, true, true), medium('m2', 100, false, true)] },
      { terminationId: 'remote', medias: [medium('m2', 100, false, false), medium('d-1', 100, true, false)] },
    ],
  };
}

function answer(): PatchItem[] {
  const items: PatchItem[] = [{ op: 'test', path: '/terminations/1/terminationId', value: 'remote' }];
  for (const index of [0, 1]) {
    const at = `/terminations/1/medias/${index}`;
    items.push(
      { op: 'add', path: `${at}/dcMedia/remoteDcEndpoint`, value: remoteDc },
      { op: 'replace', path: `${at}/dcMedia/imsdc/localSetup`, value: 'PASSIVE' },
      { op: 'add', path: `${at}/remoteMbEndpoint`, value: endpoint(9) },
    );
  }
  return items;
}

async function start<T>(file: string): Promise<{ child: ChildProcess; hello: T }> {
  const child = fork(resolve(import.meta.dirname, file));
  const hello = await new Promise<T>((resolve, reject) => {
    child.once('message', (message) => resolve(message as T));
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)));
  });
  return { child, hello };
}
