import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { pairNames } from '../../sipp/sipp.ts';
import { packageBytes } from '../../src/dcar/package/source.ts';
import { expect, expectEqual } from '../../src/lab/expect.ts';
import {
  closing,
  connect,
  contextsAt,
  disconnect,
  expectReleased,
  held,
  type Lab,
  OPERATORS,
  received,
  sippPair,
  streams,
  transfer,
} from './lab.ts';

/** One thing the lab shows. Resolves with what a person wants to read beside the title; throws what is not as it must be. */
export interface Step {
  readonly title: string;
  run(lab: Lab): Promise<string>;
}

const HELLO = '10000001';
const DOODLE = '10000005';
/** Published by operator B only. */
const TAP_MENU = '10000006';
/** At operator A's DC AS. */
const MENU = '20000001';
const WHITEBOARD = '20000002';
const MFS = ['opa-mf1', 'opa-mf2', 'opb-mf1', 'opb-mf2'] as const;
const APPLICATION_SERVERS = { opa: '198.18.1.11:5060', opb: '198.18.1.12:5060' } as const;
/** Of the SIPp suite, what needs no configuration of its own; peer-to-peer lines are the UEs' part here. */
const SCRIPTS =
  /^(audio|busy|cancel|late-offer|multipart|prack|redirect|bootstrap-(invite|local-only|reinvite|terminating))$/;
const FEWEST_SCRIPTS = 6;
/** 20 ms each: more than a second of speech. */
const MORE_PACKETS = 60;

const register: Step = {
  title: 'REGISTER with each operator; the AS learns the handset from the third-party REGISTER (R23)',
  run: async (lab) => {
    for (const ue of [lab.alice, lab.bob]) {
      const result = await ue.run('register');
      expectEqual(result.dataChannelsSupported, true, `${ue.name}: Feature-Caps`);
    }
    const known = await Promise.all(OPERATORS.map(async (operator) => (await held(lab, operator)).capabilities));
    expectEqual(known, [1, 1], 'handsets known');
    return 'both';
  },
};

const call: Step = {
  title: 'Alice (opA) calls Bob (opB): one session and one media context per network, RTP both ways',
  run: async (lab) => {
    await connect(lab);
    for (const ue of [lab.alice, lab.bob]) await ue.run('audio --packets 20');
    const networks = await Promise.all(OPERATORS.map((operator) => held(lab, operator)));
    expectEqual(
      networks.map(({ calls, sessions }) => [calls, sessions]),
      [
        [1, 1],
        [1, 1],
      ],
      'calls and sessions',
    );
    const contexts = await Promise.all(MFS.map((mf) => contextsAt(lab, mf)));
    expectEqual([contexts[0]! + contexts[1]!, contexts[2]! + contexts[3]!], [1, 1], 'contexts per operator');
    return 'connected';
  },
};

const bootstrap: Step = {
  title: 'Bootstrap channels 0 and 100 of both UEs: list and packages of both repositories, hashes compared',
  run: async ({ alice, bob }) => {
    const wanted = createHash('sha256')
      .update(await packageBytes(join(import.meta.dirname, '../../apps/doodle')))
      .digest('hex');
    // The tap menu in a list says whose repository answered.
    for (const [ue, stream, fromB] of [
      [alice, 0, false],
      [alice, 100, true],
      [bob, 0, true],
      [bob, 100, false],
    ] as const) {
      const what = `${ue.name}, stream ${stream}`;
      const list = await ue.run(`list --stream ${stream}`);
      const { applications } = JSON.parse(String(list.body)) as { applications: { appid: string }[] };
      expectEqual(
        applications.some(({ appid }) => appid === TAP_MENU),
        fromB,
        `${what}: tap menu in the list`,
      );
      const { sha256 } = await ue.run(`download ${DOODLE} --stream ${stream}`);
      expectEqual(sha256, wanted, `${what}: SHA-256 of ${DOODLE}`);
    }
    return '4 lists, 4 packages';
  },
};

const channels: Step = {
  title:
    'P2P channels by re-INVITE: doodle through an MF of each operator, hello straight between the UEs; 60 KB both ways',
  run: async ({ alice, bob }) => {
    await alice.run(`open ${DOODLE} --stream 1000`);
    await bob.run(`open ${HELLO} --stream 1002`);
    for (const stream of [1000, 1002]) {
      await transfer(alice, bob, stream, 60_000);
      await transfer(bob, alice, stream, 60_000);
    }
    return 'hashes equal';
  },
};

const dcAs: Step = {
  title: 'Channels to the DC AS of opA over MDC2: a menu that answers taps (P2A), a whiteboard for both users (P2A2P)',
  run: async ({ alice, bob }) => {
    await alice.run(`open ${MENU} --endpoint server --stream 1004`);
    await alice.run('receive 1004');
    await alice.run(`send 1004 '{"tap":"bill"}'`);
    const { text } = await alice.run('receive 1004');
    expectEqual((JSON.parse(String(text)) as { page: string }).page, 'bill', 'page after the tap');
    await alice.run(`open ${WHITEBOARD} --stream 1006`);
    await bob.run('wait channel 1006');
    await transfer(alice, bob, 1006, 3_000);
    await transfer(bob, alice, 1006, 3_000);
    return 'page shown, drawings arrive';
  },
};

const hold: Step = {
  title: 'Hold and resume leave every association as it is (R19)',
  run: async ({ alice }) => {
    const associations = async () => {
      const { calls } = (await alice.run('status')) as unknown as { calls: { lines: { associations: number }[] }[] };
      return calls.flatMap(({ lines }) => lines.map((line) => line.associations));
    };
    const before = await associations();
    await alice.run('hold');
    await alice.run('resume');
    expectEqual(await associations(), before, 'associations per line');
    return `${before.length} lines`;
  },
};

const hangup: Step = {
  title: 'BYE: no call, session or context is left in either network',
  run: async (lab) => {
    await disconnect(lab);
    await expectReleased(lab, MFS);
    return 'nothing left';
  },
};

const scripts: Step = {
  title: 'SIPp UAC and UAS through the AS of each operator',
  run: async (lab) => {
    const names = pairNames().filter((name) => SCRIPTS.test(name));
    expect(names.length >= FEWEST_SCRIPTS, 'SIPp', `only ${names.join(', ')} are there`);
    const failures: string[] = [];
    for (const operator of OPERATORS) {
      for (const name of names) {
        const { passed, output } = await sippPair(lab, name, APPLICATION_SERVERS[operator]);
        if (!passed) failures.push(`${operator} ${name}\n${output}`);
      }
    }
    expect(failures.length === 0, 'SIPp', failures.join('\n'));
    await expectReleased(lab, MFS);
    return `${OPERATORS.length * names.length} calls: ${names.join(', ')}`;
  },
};

const mfLost: Step = {
  title:
    'An MF of opA killed in mid-call: its lines go on at the other MF, voice and what passes elsewhere notice nothing (R25)',
  run: async (lab) => {
    const { alice, bob } = lab;
    await connect(lab);
    await alice.run(`open ${HELLO} --stream 1002`);
    await transfer(alice, bob, 1002, 1_000);
    await alice.run(`open ${DOODLE} --stream 1000`);
    await transfer(alice, bob, 1000, 1_000);
    for (const ue of [alice, bob]) for (const stream of [0, 100]) await ue.run(`wait channel ${stream}`);
    const isFirst = (await contextsAt(lab, 'opa-mf1')) === 1;
    const [victim, other] = isFirst ? (['opa-mf1', 'opa-mf2'] as const) : (['opa-mf2', 'opa-mf1'] as const);
    // Whatever ended at the victim begins anew; between Bob and his own network nothing does.
    const replaced = Promise.all([closing(alice, 0), closing(alice, 100), closing(alice, 1000)]);
    const killedAtMs = Date.now();
    await lab.hosts.kill(victim);
    try {
      await voiceGoesOn(lab);
      await transfer(bob, alice, 1002, 1_000);
      await replaced;
      for (const ue of [alice, bob]) for (const stream of [0, 100, 1000]) await ue.run(`wait channel ${stream}`);
      const backS = ((Date.now() - killedAtMs) / 1000).toFixed(1);
      expectEqual(await contextsAt(lab, other), 1, `contexts at ${other}`);
      const all = [0, 100, 1000, 1002];
      expectEqual([await streams(alice), await streams(bob)], [all, all], 'streams after');
      for (const ue of [alice, bob]) {
        for (const stream of [0, 100]) {
          const { outcome } = await ue.run(`list --stream ${stream}`);
          expectEqual(outcome, 'content', `${ue.name}, list on stream ${stream}`);
        }
      }
      expectEqual((await alice.run(`download ${DOODLE}`)).outcome, 'content', 'a download at the other MF');
      for (const stream of [1000, 1002]) {
        await transfer(alice, bob, stream, 1_000);
        await transfer(bob, alice, stream, 1_000);
      }
      await voiceGoesOn(lab);
      await disconnect(lab);
      await lab.hosts.start(victim);
      await expectReleased(lab, MFS);
      return `${victim} killed: everything open again at ${other} after ${backS} s`;
    } finally {
      await lab.hosts.start(victim);
    }
  },
};

/** More than a second of speech arrives at both ends. */
async function voiceGoesOn({ alice, bob }: Lab): Promise<void> {
  for (const ue of [alice, bob]) await ue.run(`audio --packets ${(await received(ue)) + MORE_PACKETS}`);
}

export const steps: readonly Step[] = [register, call, bootstrap, channels, dcAs, hold, hangup, scripts, mfLost];
