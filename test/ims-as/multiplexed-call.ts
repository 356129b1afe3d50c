import assert from 'node:assert/strict';
import type { CallConfig } from '../../src/ims-as/call/types.ts';
import type { MediaInstruction } from '../../src/services/nimsas.ts';
import type { MediaContext, PatchItem } from '../../src/services/nmf-mrm.ts';
import type { SipMessage } from '../../src/sip/types.ts';
import { AsHarness, MF_1, type MfPlace, terminate } from './as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, AUDIO, SESSION, section } from './sdp-examples.ts';

/** A call whose caller multiplexes (Rel-19, g.3gpp.dc-mux): one line with three far ends. */

export const TAG = '+g.3gpp.dc-mux';
export const TO_PEER = 'a=3gpp-req-app:10000005;adc-stream-id-endpoint=1000-UE,1002-UE';
export const TO_SERVER = 'a=3gpp-req-app:10000006;adc-stream-id-endpoint=1010-Server';
export const HTTP = (id: number) => `${id} subprotocol="http"`;
export const APP = (id: number) => `${id} label="c${id}"`;

/** Alice's one data channel line with these streams. */
export function offer(ids: readonly number[], version = 1, extra: readonly string[] = [TO_PEER, TO_SERVER]): string {
  const dcmaps = ids.map((id) => (id < 1000 ? HTTP(id) : APP(id)));
  const used = ids.includes(100) ? ['a=3gpp-bdc-used-by:sender'] : [];
  const line = section(40010, 'actpass', 'alicemultiplexed0001', dcmaps, ['a=mid:dc', ...extra, ...used]);
  return SESSION.replace('3001 1', `3001 ${version}`) + AUDIO + line;
}

/** What the DCSF says of streams that have a far end of their own. */
export function part(mediaId: string, kind: 'relay' | 'server', ...ids: number[]): Record<string, MediaInstruction> {
  const streams = Object.fromEntries(ids.map((streamId) => [String(streamId), { streamId }]));
  const mdc2 = {
    mdc2EndpointDcAs: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 9000 },
    mdc2Protocol: 'TCP/TLS',
  };
  return {
    [mediaId]: {
      mediaId,
      mediaResourceType: 'DC',
      mediaInstruction: kind === 'relay' ? 'TERMINATE_AND_ORIGINATE_MEDIA' : 'TERMINATE_MEDIA',
      dcMediaSpecification: {
        mediaProxyConfig: 'DC_APPLICATION_PROXY',
        ...(kind === 'server' ? mdc2 : {}),
        streams,
        imsdcCarriedBy: 'm1',
      },
    },
  };
}

/** What the MF holds: the context that it was given, and what it gave, as patched since. */
export class Mf {
  context: MediaContext = { terminations: [] };
  #port: number;
  #answered: number;
  readonly #as: AsHarness;
  readonly #place: MfPlace;

  /** Answers what is asked from now on, from ports at `port`. */
  constructor(as: AsHarness, place: MfPlace = MF_1, port = 50_000) {
    this.#as = as;
    this.#place = place;
    this.#port = port;
    this.#answered = as.mrm.length;
  }

  /** Answers everything that is asked, as our MF does: entries that name the same port share its association. */
  answer(): void {
    while (this.#answered < this.#as.mrm.length) {
      const { operation } = this.#as.mrm[this.#answered++]!;
      if (operation.method === 'DELETE') continue;
      if (operation.method === 'POST') this.context = structuredClone(operation.context);
      else for (const item of operation.patch) this.#apply(item);
      this.#fill();
      const { mf, contextId } = this.#place;
      this.#as.mfAnswers({ ok: true, value: { mf, context: { contextId, ...this.context } } });
    }
  }

  /** `termination: mediaId streams@port`, in the order of the document. */
  get entries(): string[] {
    return this.context.terminations.flatMap(({ terminationId, medias }) =>
      medias.map(({ dcMedia, localMbEndpoint, mediaId }) => {
        const ids = Object.keys(dcMedia!.streams).join('+');
        return `${terminationId}: ${mediaId} ${ids}@${localMbEndpoint?.portNumber}`;
      }),
    );
  }

  #fill(): void {
    for (const { medias } of this.context.terminations) {
      for (const entry of medias) {
        entry.localMbEndpoint ??= { ip: { ipv4Addr: this.#place.address }, transport: 'UDP', portNumber: this.#port++ };
        const { portNumber } = entry.localMbEndpoint;
        const fingerprints = [`SHA-256 ${Array.from({ length: 32 }, () => 'BE').join(':')}`];
        entry.dcMedia!.localDcEndpoint ??= { sctpPort: 5000, fingerprints, tlsId: `mf${portNumber}${'0'.repeat(13)}` };
      }
    }
  }

  #apply({ op, path, value }: PatchItem): void {
    const keys = path.split('/').slice(1);
    const last = keys.pop()!;
    const parent = keys.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], this.context);
    if (op === 'test') assert.deepEqual((parent as Record<string, unknown>)[last], value, path);
    else if (Array.isArray(parent))
      parent.splice(
        last === '-' ? parent.length : Number(last),
        op === 'add' ? 0 : 1,
        ...(op === 'remove' ? [] : [structuredClone(value)]),
      );
    else if (op === 'remove') delete (parent as Record<string, unknown>)[last];
    else (parent as Record<string, unknown>)[last] = structuredClone(value);
  }
}

export const BOB = (version: number, ...lines: readonly string[]) =>
  ANSWER_SESSION.replace('9 1', `9 ${version}`) + ANSWER_AUDIO + lines.join('');
export const PEER_LINE = section(42000, 'passive', 'bobapplication000001', [APP(1000), APP(1002)], [TO_PEER]);
export const REFUSED = 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n';

export interface World {
  readonly as: AsHarness;
  readonly mf: Mf;
}

/** Alice announces the tag and offers one line with 0, 1000, 1002 and 1010, decided as three far ends. */
export async function invited(config: Partial<CallConfig> = {}): Promise<World & { onward: SipMessage }> {
  const as = new AsHarness({ config });
  const mf = new Mf(as);
  as.invite({ sdp: offer([0, 1000, 1002, 1010]), contact: `;${TAG}` });
  const done = as.instruct({
    ...part('d-peer', 'relay', 1000, 1002),
    ...part('d-server', 'server', 1010),
    ...terminate('m1', 0),
  });
  mf.answer();
  assert.ok((await done).ok);
  as.notified();
  return { as, mf, onward: as.only().message };
}

export async function connected(config: Partial<CallConfig> = {}): Promise<World & { ok: SipMessage }> {
  const { as, mf, onward } = await invited(config);
  as.respond(onward, 200, { sdp: BOB(1, PEER_LINE) });
  mf.answer();
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { as, mf, ok };
}
