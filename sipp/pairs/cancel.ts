import { invited, isCancelled, respond } from '../script/callee.ts';
import { ackFailure, cancel, expect, invite, maybe } from '../script/caller.ts';
import { header, keep } from '../script/check.ts';
import { type Pair, pause, type Step } from '../script/steps.ts';
import { hearsReliably, LONGER_THAN_T1_MS, progresses } from './flows.ts';
import { ALICE, BOB, E2, E4, PLAIN } from './media.ts';

/** CANCEL in every state that an INVITE can be in; of a re-INVITE: dialog.ts; what crosses it: race.ts. */

const givesUp: readonly Step[] = [cancel(), expect(200), expect(487), ackFailure()];

export const CANCEL: readonly Pair[] = [
  {
    name: 'cancel',
    shows: 'CANCEL while ringing: 200 to the CANCEL, 487 to the INVITE, everything given back.',
    conformance: [['RFC 3261 9', 'CANCEL through the B2BUA, its Reason with it']],
    uac: [invite({ body: ALICE }), ...maybe(100), expect(180), ...givesUp],
    uas: [invited(...E2, ...keep()), respond(180), ...isCancelled(header('Reason', 'cause=487'))],
  },
  {
    name: 'cancel-after-183',
    shows: 'CANCEL after early media: the associations that the 183 started end.',
    conformance: [['RFC 3261 9', 'CANCEL after an answer in 183']],
    uac: [invite({ body: ALICE }), ...maybe(100), expect(183, ...E4), ...givesUp],
    uas: [invited(...E2, ...keep()), respond(183, { body: BOB }), ...isCancelled()],
  },
  {
    name: 'cancel-at-once',
    shows: 'CANCEL right behind the INVITE, mostly while the DCSF is still asked: 487 at once.',
    conformance: [['R18', 'CANCEL while the INVITE is held: 487 at once']],
    uac: [invite({ body: ALICE }), expect(100), cancel(), ...maybe(180), expect(200), expect(487), ackFailure()],
    run: { uasMayMiss: true },
    uas: [invited(...keep()), respond(180), ...isCancelled()],
  },
  {
    name: 'cancel-after-prack',
    shows: 'CANCEL after a reliable answer: the early dialog ends, with all that it started.',
    conformance: [['RFC 3261 9', 'CANCEL after a reliable provisional response']],
    uac: [...hearsReliably(ALICE, ...E4), ...givesUp],
    uas: [...progresses(E2, BOB), ...isCancelled()],
  },
  {
    name: 'cancel-forked',
    shows: 'CANCEL after two branches have answered early: one CANCEL onward, and both early dialogs are gone.',
    conformance: [['RFC 3261 9', 'CANCEL ends every early dialog of the INVITE']],
    uac: [invite({ body: ALICE }), ...maybe(100), expect(183, ...E4), expect(183, ...E4), ...givesUp],
    uas: [
      invited(...E2, ...keep()),
      respond(183, { body: BOB, tag: 'other' }),
      respond(183, { body: BOB }),
      ...isCancelled(),
    ],
  },
  {
    name: 'cancel-before-ringing',
    shows: 'CANCEL before the callee has said anything: 487 at once, and a CANCEL onward once it says something.',
    conformance: [['RFC 3261 9.1', 'no CANCEL before a provisional response has come']],
    // Without data channels, so that nobody is asked and the INVITE is on its way onward when its 100 comes.
    uac: [invite({ body: PLAIN.alice }), expect(100), ...givesUp],
    uas: [invited(...keep()), pause(LONGER_THAN_T1_MS), respond(180), ...isCancelled(header('Reason', 'cause=487'))],
    run: { retransmissions: 'any' },
  },
];
