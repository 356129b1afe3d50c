import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Config } from '../../src/config/schema.ts';
import { type Dcsf, startDcsf } from '../../src/dcsf/index.ts';
import { type ImsAs, startImsAs } from '../../src/ims-as/index.ts';
import { freePort } from '../../src/lab/ports.ts';
import { type RunningScscf, SCSCF_DEFAULTS, startScscf } from '../../src/lab/scscf/index.ts';
import type { MediaControl, SessionEventControl } from '../../src/services/nimsas.ts';
import { connect, liveLines, speak, UePark } from './fixtures.ts';

/** The longest an INVITE may be held for DCSF and MF together in these tests. */
const BUDGET_MS = 700;

interface Network {
  readonly scscf: RunningScscf;
  readonly imsAs: ImsAs;
  readonly dcsf: Dcsf;
  close(): Promise<void>;
}

/** S-CSCF, AS and DCSF in this process; the MF is whatever listens at `mfUrl`. */
async function startNetwork(options: {
  mfUrl: string;
  sessionEvents?: (real: SessionEventControl) => SessionEventControl;
}): Promise<Network> {
  const { config } = loadConfig<Config>(undefined, Config, {});
  const common = { log: silentLogger, metrics: new Metrics(), token: { instance: 'test', worker: 0, epoch: 1 } };
  let mediaControl: MediaControl | undefined;
  const dcsf = startDcsf(
    { ...config.dcsf, mdc1: { ...config.dcsf.mdc1, baseUrl: 'http://127.0.0.1:9/bdc/v1/' } },
    {
      ...common,
      grants: { grant: () => undefined, revoke: () => undefined, applications: () => new Map() },
      mediaControl: { mediaInstruction: (data, how) => mediaControl!.mediaInstruction(data, how) },
    },
  );
  const imsAs = await startImsAs(
    {
      ...config.imsAs,
      listeners: [{ transport: 'udp', address: '127.0.0.1', port: 0 }],
      mf: { ...config.imsAs.mf, urls: [options.mfUrl] },
      guards: { ...config.imsAs.guards, dcsfBudgetMs: BUDGET_MS, budgetReserveMs: 100 },
    },
    { ...common, sessionEvents: options.sessionEvents?.(dcsf.sessionEvents) ?? dcsf.sessionEvents },
  );
  mediaControl = imsAs.mediaControl;
  const { host, port } = imsAs.addresses[0]!;
  const scscf = await startScscf(
    { ...SCSCF_DEFAULTS, port: 0, applicationServer: `sip:${host}:${port}` },
    { log: silentLogger },
  );
  return {
    scscf,
    imsAs,
    dcsf,
    close: async () => {
      await scscf.close();
      await imsAs.close();
      await dcsf.close();
    },
  };
}

/** Takes connections and bytes, and never says a word. */
async function blackHole(): Promise<{ url: string; close(): void }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.resume();
    socket.on('error', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** What each of these failures must come to: the call is answered in time, with audio and without data channels. */
function voiceProceeds(name: string, start: () => Promise<Network>, limitMs: number): void {
  describe(name, { timeout: 60_000 }, () => {
    let network: Network;
    const park = new UePark(() => `sip:127.0.0.1:${network.scscf.port}`);
    before(async () => {
      network = await start();
    });
    after(async () => {
      await park.close();
      await network.close();
    });

    // conformance: R17 — expiry refuses the changed lines only; the call goes on
    it('the call is answered with audio alone, and nothing is left', async () => {
      const [caller, callee] = [await park.ue(), await park.ue()];
      const startedMs = performance.now();
      const call = await connect(caller, callee);
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs < limitMs, `answered after ${Math.round(tookMs)} ms`);
      assert.deepEqual([...liveLines(call.outgoing), ...liveLines(call.incoming)], []);
      await speak(call);
      await call.outgoing.setDirection('sendonly');
      await call.outgoing.setDirection('sendrecv');
      await speak(call);
      await call.incoming.hangup();
      await call.outgoing.ended();
      assert.equal(network.imsAs.status().calls, 0);
    });
  });
}

/** Two networks may each use their whole budget; the rest is for the machine. */
const GUARDED_MS = 2 * BUDGET_MS + 2500;

voiceProceeds(
  'the MF is down',
  async () => startNetwork({ mfUrl: `http://127.0.0.1:${await freePort('127.0.0.1')}` }),
  GUARDED_MS,
);

voiceProceeds(
  'the MF takes requests and never answers',
  async () => {
    const hole = await blackHole();
    const network = await startNetwork({ mfUrl: hole.url });
    return {
      ...network,
      close: async () => {
        hole.close();
        await network.close();
      },
    };
  },
  GUARDED_MS,
);

voiceProceeds(
  'the decision of the DCSF throws',
  () =>
    startNetwork({
      mfUrl: 'http://127.0.0.1:9',
      sessionEvents: () => ({ notify: () => Promise.reject(new TypeError('a bug in the decision')) }),
    }),
  2500,
);

voiceProceeds(
  'the DCSF never answers',
  () =>
    startNetwork({
      mfUrl: 'http://127.0.0.1:9',
      sessionEvents: () => ({ notify: () => new Promise(() => undefined) }),
    }),
  GUARDED_MS,
);

describe('the IMS AS is down', { timeout: 60_000 }, () => {
  let scscf: RunningScscf;
  const park = new UePark(() => `sip:127.0.0.1:${scscf.port}`);
  before(async () => {
    const applicationServer = `sip:127.0.0.1:${await freePort('127.0.0.1')}`;
    scscf = await startScscf(
      { ...SCSCF_DEFAULTS, port: 0, applicationServer, applicationServerTimeoutMs: 300 },
      { log: silentLogger },
    );
  });
  after(async () => {
    await park.close();
    await scscf.close();
  });

  // conformance: 24.229 5.4.3.2 — default handling SESSION_CONTINUED
  it('the S-CSCF goes on without it', async () => {
    const call = await connect(await park.ue(), await park.ue());
    await speak(call);
    await call.outgoing.hangup();
    await call.incoming.ended();
    assert.deepEqual(scscf.status(), { registered: 2, pendingRequests: 0, servicePasses: 0 });
  });
});
