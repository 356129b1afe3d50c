import { parseMessage } from '../../sip/message/index.ts';
import { BOB } from '../config-file.ts';
import { audioSection, dataLines, expect, expectEqual, expectNoIce, shapeOf } from '../expect.ts';
import type { UeProcess } from '../process/ue-process.ts';
import type { World } from '../world.ts';
import type { Step } from './step.ts';

/** Things nobody between the UEs knows: each must arrive as it was sent (R7, R21, R24). */
export const UNKNOWN = {
  sessionLine: 'a=x-lab-session:kept "as it is"',
  audioLine: 'a=x-lab-audio:104 odd=1;even=2',
  inviteHeader: 'X-Lab-Caller: <sip:someone@example.com>;odd="a,b;c"',
  answerHeader: 'X-Lab-Callee: kept',
  bodyType: 'application/x-lab-note',
  body: 'a body that nobody between us reads',
} as const;

/** Options of `imsdc ue` that both UEs of the lab get. */
export const UNKNOWN_UE_ARGS = ['--sdp-line', UNKNOWN.sessionLine, '--audio-line', UNKNOWN.audioLine] as const;

export const register: Step = {
  id: 'register',
  title: 'Alice and Bob register with +sip.app-subtype="webrtc-datachannel"',
  run: async ({ alice, bob }) => {
    for (const result of await Promise.all([alice.run('register'), bob.run('register')])) {
      expect(result.dataChannelsSupported === true, 'REGISTER', 'Feature-Caps does not name data channels');
    }
    return { note: 'the network supports data channels (Feature-Caps)' };
  },
};

export const call: Step = {
  id: 'call',
  title: 'Alice calls Bob: audio, 0/10, 100/110 sender, no ICE',
  run: async ({ alice, bob }) => {
    const body = `--body-type ${UNKNOWN.bodyType} --body '${UNKNOWN.body}'`;
    const [called] = await Promise.all([
      alice.run(`call ${BOB.identity} --header '${UNKNOWN.inviteHeader}' ${body}`),
      bob.run(`answer --header '${UNKNOWN.answerHeader}'`),
    ]);
    return { note: `answered after ${Math.round(called.ms)} ms`, details: { inviteToAnswerMs: Math.round(called.ms) } };
  },
};

/** What one side said and heard in the newest exchange. */
export async function negotiated(ue: UeProcess): Promise<{ readonly local: string; readonly remote: string }> {
  const event = await ue.event('negotiated');
  return { local: String(event.local), remote: String(event.remote) };
}

export const bootstrapLines: Step = {
  id: 'lines',
  title: 'Both UEs end with the bootstrap lines of E1 to E4',
  run: async (world) => {
    const [alice, bob] = await Promise.all([negotiated(world.alice), negotiated(world.bob)]);
    for (const [name, text] of Object.entries({ ...prefixed('Alice', alice), ...prefixed('Bob', bob) }))
      expectNoIce(text, name);
    expectEqual(shapeOf(dataLines(alice.local, 'offer')), '0/10 | 100/110 sender', 'E1, Alice offers');
    const answer = dataLines(alice.remote, 'answer');
    expectEqual(shapeOf(answer), '0 | 100 sender', 'E4, Alice is answered');
    expectEqual(
      answer.map(({ media }) => media.setup),
      ['active', 'active'],
      'E4, the MF is the DTLS client',
    );
    expectEqual(sortedShape(bob.remote), '0 | 100 receiver', 'E3, Bob is offered');
    expectEqual(sortedShape(betweenNetworks(world)), '100 receiver | 100 sender', 'E2, between the networks');
    return { note: 'E1 0/10, 100/110 sender; E2 100 sender, 100 receiver; E3 0, 100 receiver; E4 0, 100 sender' };
  },
};

function prefixed(name: string, texts: { readonly local: string; readonly remote: string }): Record<string, string> {
  return { [`${name}'s SDP`]: texts.local, [`SDP towards ${name}`]: texts.remote };
}

function sortedShape(text: string): string {
  return shapeOf(
    dataLines(text, 'offer').toSorted((a, b) => a.streams[0]! - b.streams[0]! || (a.usedBy! < b.usedBy! ? -1 : 1)),
  );
}

/** The SDP of the INVITE that the originating AS sent on. */
function betweenNetworks(world: World): string {
  const sent = world.messages.find(
    ({ party, direction, wire }) => party === 'IMS AS' && direction === 'in' && wire.startsWith('INVITE '),
  );
  expect(sent !== undefined, 'originating AS', 'sent no INVITE on');
  return sdpIn(sent.wire);
}

/** The SDP of a message, alone or in multipart. */
export function sdpIn(wire: string): string {
  const start = wire.indexOf('\r\nv=0\r\n');
  expect(start > 0, 'message', 'has no SDP');
  return wire.slice(start + 2).split('\r\n--', 1)[0]!;
}

const BOOTSTRAP_LINES = 4;

export const associations: Step = {
  id: 'associations',
  title: 'DTLS and SCTP come up on every bootstrap line, fingerprints verified on both ends',
  run: async ({ alice, bob, trace }) => {
    const roles: string[] = [];
    for (const [name, ue] of [
      ['Alice', alice],
      ['Bob', bob],
    ] as const) {
      const { local } = await negotiated(ue);
      for (const { slot, streams } of dataLines(local, 'offer')) {
        const up = await ue.event('association', (event) => event.slot === slot && event.state !== 'connecting');
        expect(
          up.state === 'connected',
          `${name}, streams ${streams.join('/')}`,
          `association ${up.state}: ${up.reason}`,
        );
        roles.push(`${name} ${streams.join('/')} ${up.role}`);
        trace.add({
          kind: 'note',
          atMs: trace.since(up.at),
          lanes: name === 'Alice' ? ['Alice', 'MF'] : ['MF', 'Bob'],
          text: `DTLS/SCTP up, streams ${streams.join('/')}`,
        });
      }
    }
    expectEqual(roles.length, BOOTSTRAP_LINES, 'bootstrap associations');
    return { note: roles.join(', '), details: { associations: roles.length } };
  },
};

export const transparency: Step = {
  id: 'transparency',
  title: 'Audio lines, unknown attributes, headers and bodies arrive byte for byte; RTP flows directly',
  run: async (world) => {
    const [alice, bob] = await Promise.all([negotiated(world.alice), negotiated(world.bob)]);
    expectEqual(audioSection(bob.remote).lines, audioSection(alice.local).lines, "Alice's audio line at Bob");
    expectEqual(audioSection(alice.remote).lines, audioSection(bob.local).lines, "Bob's audio line at Alice");
    expect(bob.remote.includes(`\r\n${UNKNOWN.sessionLine}\r\n`), 'session line', 'did not reach Bob');
    expect(alice.remote.includes(`\r\n${UNKNOWN.sessionLine}\r\n`), 'session line', 'did not reach Alice');
    const { invite } = await world.bob.run('invite');
    const text = String(invite);
    expect(text.includes(`\r\n${UNKNOWN.inviteHeader}\r\n`), 'unknown header', 'did not reach Bob as it was sent');
    expect(text.includes(`\r\n\r\n${UNKNOWN.body}\r\n--`), 'unknown body', 'did not reach Bob as it was sent');
    expect(answerAtAlice(world).includes(`\r\n${UNKNOWN.answerHeader}\r\n`), 'unknown header', 'did not reach Alice');
    const [atAlice, atBob] = await Promise.all([
      world.alice.run('audio --packets 10'),
      world.bob.run('audio --packets 10'),
    ]);
    for (const [name, heard, other] of [
      ['Alice', atAlice, atBob],
      ['Bob', atBob, atAlice],
    ] as const) {
      expectEqual([heard.corrupt, heard.strangers], [0, 0], `RTP at ${name} (corrupt, strangers)`);
      expectEqual(heard.source, `127.0.0.1:${other.localPort}`, `source of RTP at ${name}`);
    }
    world.trace.add({
      kind: 'note',
      atMs: world.trace.since(atAlice.at),
      lanes: ['Alice', 'Bob'],
      text: 'RTP flows directly, every packet as it was sent',
    });
    const rtp = { alice: atAlice.received, bob: atBob.received };
    return { note: `RTP packets checked: ${rtp.alice} at Alice, ${rtp.bob} at Bob`, details: { rtp } };
  },
};

/** The 200 to the first INVITE as it went to Alice. */
function answerAtAlice(world: World): string {
  const answers = world.messages.filter(({ party, direction, wire }) => {
    if (party !== 'Alice' || direction !== 'out' || !wire.startsWith('SIP/2.0 200')) return false;
    const result = parseMessage(Buffer.from(wire, 'latin1'));
    return !('error' in result) && result.message.method === 'INVITE';
  });
  expect(answers[0] !== undefined, 'answer', 'did not reach Alice');
  return answers[0].wire;
}

export const refresh: Step = {
  id: 'refresh',
  title: 'Hold, resume and a session refresh from the other side make no new DTLS handshake',
  run: async ({ alice, bob }) => {
    await alice.run('hold');
    await alice.run('resume');
    await bob.run('resume');
    const statuses = await Promise.all([alice.run('status'), bob.run('status')]);
    const counts = statuses.flatMap((status) =>
      (status.calls as { lines: { associations: number }[] }[]).flatMap(({ lines }) =>
        lines.map((line) => line.associations),
      ),
    );
    expect(
      counts.length >= BOOTSTRAP_LINES && counts.every((count) => count === 1),
      'associations',
      `handshakes per line: ${counts}`,
    );
    return { note: `${counts.length} lines, one handshake each` };
  },
};
