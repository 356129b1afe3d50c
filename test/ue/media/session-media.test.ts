import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createCertificate, type DtlsCertificate } from '../../../src/dtls/certificate.ts';
import { BOOTSTRAP_LINES } from '../../../src/ue/bootstrap/lines.ts';
import type { DataAnswer } from '../../../src/ue/media/answer-policy.ts';
import { applicationContent } from '../../../src/ue/media/application-line.ts';
import { SessionMedia, type SessionMediaOptions } from '../../../src/ue/media/session-media.ts';

const ENV = { nowMs: Date.now(), random: (bytes: number) => 'a1'.repeat(bytes) };
const APPLICATION = {
  applicationId: '10000005',
  channels: [
    { streamId: 1000, endpoint: 'UE', name: 'draw' },
    { streamId: 1002, endpoint: 'UE', name: 'pos', ordered: false, maxTimeMs: 150 },
  ],
  boundBy: 'attribute',
  qosHint: 'loss=0.01;latency=100',
} as const;

describe('the media of one session', () => {
  let certificate: DtlsCertificate;
  const open: SessionMedia[] = [];
  before(async () => {
    certificate = await createCertificate(ENV);
  });
  after(() => Promise.all(open.map((media) => media.close())));

  let tlsIds = 0;
  function session(change: Partial<SessionMediaOptions> & { dataAnswer?: DataAnswer } = {}): SessionMedia {
    const media = new SessionMedia({
      local: {
        address: '127.0.0.1',
        certificate,
        fingerprint: certificate.fingerprint,
        maxMessageSizeBytes: 65_536,
        silent: true,
        mintTlsId: () => `tls-id-number-${String(++tlsIds).padStart(6, '0')}`,
      },
      origin: { username: 'ue-a', sessionId: '3001', version: 1, address: '127.0.0.1' },
      answerSetup: 'passive',
      dataAnswer: 'accept',
      extraSessionLines: [],
      extraAudioLines: [],
      ...change,
    });
    open.push(media);
    return media;
  }

  async function caller(): Promise<{ media: SessionMedia; offer: string }> {
    const media = session();
    await media.addAudio();
    for (const content of BOOTSTRAP_LINES) await media.addData(content);
    return { media, offer: media.offer() };
  }

  async function answered(media: SessionMedia, offer: string): Promise<string> {
    const { answer, commit } = await media.answer(offer);
    await commit();
    return answer;
  }

  const mLines = (sdp: string) =>
    [...sdp.matchAll(/^m=(\S+) (\d+)/gm)].map(([, kind, port]) => `${kind}${port === '0' ? ' 0' : ''}`);
  /** Ports, fingerprints and tls-ids are this run's; the shape is the standard's. */
  const shape = (sdp: string) =>
    sdp
      .replace(/^(m=\S+) [1-9]\d*/gm, '$1 PORT')
      .replace(/^(a=fingerprint:SHA-256) .*/gm, '$1 ...')
      .replace(/^a=tls-id:\S{20}$/gm, 'a=tls-id:...');

  // conformance: 26.114 6.2.10.2 — the initial offer with two bootstrap lines (E1)
  it('offers what E1 shows, line by line', async () => {
    const { offer } = await caller();
    const line = (dcmaps: string[], rest: string[]) => [
      'm=application PORT UDP/DTLS/SCTP webrtc-datachannel',
      'b=AS:500',
      'a=sctp-port:5000',
      'a=max-message-size:65536',
      'a=setup:actpass',
      'a=fingerprint:SHA-256 ...',
      'a=tls-id:...',
      ...dcmaps.map((id) => `a=dcmap:${id} subprotocol="http"`),
      ...rest,
    ];
    assert.deepEqual(shape(offer).trimEnd().split('\r\n'), [
      'v=0',
      'o=ue-a 3001 1 IN IP4 127.0.0.1',
      's=-',
      'c=IN IP4 127.0.0.1',
      't=0 0',
      'm=audio PORT RTP/AVP 104 101',
      'b=AS:41',
      'a=rtpmap:104 AMR-WB/16000',
      'a=rtpmap:101 telephone-event/16000',
      'a=sendrecv',
      ...line(['0', '10'], []),
      ...line(['100', '110'], ['a=3gpp-bdc-used-by:sender']),
    ]);
  });

  // conformance: 26.114 6.2.10.2 — an application line added by re-INVITE leaves the others as they are (E6)
  it('adds an application line as E6 shows; the other lines keep port and tls-id, o= counts one up', async () => {
    const { media, offer } = await caller();
    await media.acceptAnswer(await answered(session(), offer));
    await media.addData(applicationContent(APPLICATION));
    const again = media.offer();
    assert.match(again, /^o=ue-a 3001 2 /m);
    const audioAndLocal = (sdp: string) =>
      sdp
        .split(/^(?=m=)/m)
        .slice(1, 3)
        .map((text) => text.replace(/^a=dcmap:10 .*\r\n/m, ''));
    assert.deepEqual(audioAndLocal(again), audioAndLocal(offer));
    const [line] = again.split(/^(?=m=)/m).filter((section) => section.includes('1000'));
    assert.deepEqual(line!.trimEnd().split('\r\n').slice(7), [
      'a=dcmap:1000 label="local_10000005_1_draw"',
      'a=dcmap:1002 label="local_10000005_1_pos";ordered=false;max-time=150',
      'a=3gpp-req-app:10000005;adc-stream-id-endpoint=1000-UE,1002-UE',
      'a=3gpp-qos-hint:loss=0.01;latency=100',
    ]);
  });

  // conformance: R8 — 3gpp-bdc-used-by is relative to the sender of the offer
  it('turns used-by round in an offer of its own, and echoes it in answers', async () => {
    const { offer } = await caller();
    const callee = session();
    const fromNetwork = offer.replace('used-by:sender', 'used-by:receiver');
    await answered(callee, fromNetwork);
    const own = callee.offer();
    assert.match(own, /a=3gpp-bdc-used-by:sender/);
    await callee.offerRefused();
    assert.match(await answered(callee, fromNetwork), /a=3gpp-bdc-used-by:receiver/);
  });

  it('takes the local bootstrap line, refuses to be the server of the remote one (sender)', async () => {
    const { offer } = await caller();
    const answer = await answered(session(), offer);
    assert.deepEqual(mLines(answer), ['audio', 'application', 'application 0']);
    assert.match(answer, /a=setup:passive/);
    const flipped = await answered(session(), offer.replace('used-by:sender', 'used-by:receiver'));
    assert.deepEqual(mLines(flipped), ['audio', 'application', 'application']);
    assert.match(flipped, /a=3gpp-bdc-used-by:receiver/);
  });

  it('answers as its policy says', async () => {
    const { offer } = await caller();
    assert.deepEqual(mLines(await answered(session({ dataAnswer: 'portZero' }), offer)), [
      'audio',
      'application 0',
      'application 0',
    ]);
    assert.deepEqual(mLines(await answered(session({ dataAnswer: 'fewerLines' }), offer)), ['audio']);
    assert.match(await answered(session({ answerSetup: 'active' }), offer), /a=setup:active/);
  });

  // conformance: 26.114 6.2.10.3 — an association without acceptable channels is refused with port 0
  it('refuses each malformed line of E10 alone', async () => {
    const { offer } = await caller();
    const local = offer.split(/^(?=m=)/m)[2]!;
    const spoil: readonly (readonly [string, (line: string) => string])[] = [
      ['protocol', (line) => line.replace('UDP/DTLS', 'TCP/DTLS')],
      ['sctp-port with a leading zero', (line) => line.replace('sctp-port:5000', 'sctp-port:05000')],
      ['MD5', (line) => line.replace(/SHA-256 .*/, 'MD5 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B')],
      ['short fingerprint', (line) => line.replace(/SHA-256 .*/, 'SHA-256 4A:AD:B9')],
      ['holdconn', (line) => line.replace('setup:actpass', 'setup:holdconn')],
      ['unreliable bootstrap', (line) => line.replace(/subprotocol="http"/g, 'subprotocol="http";max-retr=3')],
      ['duplicate ids', (line) => line.replace('dcmap:10 ', 'dcmap:0 ')],
    ];
    for (const [what, change] of spoil) {
      const answer = await answered(session(), offer.replace(local, change(local)));
      assert.deepEqual(mLines(answer), ['audio', 'application 0', 'application 0'], what);
    }
    const shortTlsId = await answered(session(), offer.replace(local, local.replace(/tls-id:.*/, 'tls-id:short')));
    assert.deepEqual(mLines(shortTlsId), ['audio', 'application', 'application 0']);
    assert.doesNotMatch(shortTlsId, /a=tls-id/, 'RFC 8842 5.3: the offer had no usable one');
  });

  it('a refused offer leaves no trace; the next one has the old lines and one more version', async () => {
    const { media, offer } = await caller();
    await media.acceptAnswer(await answered(session(), offer));
    const before = media.agreed;
    await media.addData(applicationContent(APPLICATION));
    media.remove(1);
    media.offer('sendonly');
    await media.offerRefused();
    assert.deepEqual(media.agreed, before);
    assert.equal(media.audio?.direction, 'sendrecv');
    assert.deepEqual(mLines(media.offer()), ['audio', 'application', 'application 0']);
  });

  // conformance: RFC 3264 8 — index is slot: a dead slot keeps its place and may be taken again
  it('a removed line goes to port 0 and its slot is used again', async () => {
    const { media, offer } = await caller();
    const peer = session();
    await media.acceptAnswer(await answered(peer, offer));
    media.remove(1);
    const removed = media.offer();
    assert.deepEqual(mLines(removed), ['audio', 'application 0', 'application 0']);
    await media.acceptAnswer(await answered(peer, removed));
    assert.equal(await media.addData(applicationContent(APPLICATION)), 1);
    const again = media.offer();
    assert.deepEqual(mLines(again), ['audio', 'application', 'application 0']);
    assert.deepEqual(mLines(await answered(peer, again)), ['audio', 'application', 'application 0']);
  });

  // conformance: RFC 8842 5.3 — roles stay over a re-offer with actpass; a new tls-id is answered with a new one
  it('keeps port, role and tls-id over an unchanged re-offer, renews them when the peer does', async () => {
    const { media, offer } = await caller();
    const peer = session();
    const first = await answered(peer, offer);
    await media.acceptAnswer(first);
    const second = await answered(peer, media.offer());
    await media.acceptAnswer(second);
    assert.equal(second, first);
    await [...media.dataLines()][0]!.line.renew();
    const third = await answered(peer, media.offer());
    const ids = (sdp: string) => /a=tls-id:(\S+)/.exec(sdp)![1];
    const port = (sdp: string) => /m=application (\d+)/.exec(sdp)![1];
    assert.notEqual(ids(third), ids(first));
    assert.notEqual(port(third), port(first));
  });

  it('one offer at a time', async () => {
    const { media, offer } = await caller();
    await assert.rejects(media.answer(offer), { code: 'SDP_OFFER_PENDING' });
    assert.throws(() => media.offer(), { code: 'SDP_OFFER_PENDING' });
  });

  it('answers hold with recvonly, and passes its own unknown lines', async () => {
    const peer = session({ extraAudioLines: ['a=x-odd:1'], extraSessionLines: ['a=x-session'] });
    const { offer } = await caller();
    const answer = await answered(peer, offer.replace('a=sendrecv', 'a=sendonly'));
    assert.match(answer, /a=recvonly/);
    assert.match(answer, /a=x-odd:1/);
    assert.match(answer, /\r\na=x-session\r\nm=audio/);
  });
});
