import type { Pair } from '../script/steps.ts';
import { APPLICATION } from './application.ts';
import { BOOTSTRAP } from './bootstrap.ts';
import { CANCEL } from './cancel.ts';
import { CHANNELS } from './channels.ts';
import { TO_DC_AS } from './dc-as.ts';
import { DIALOG } from './dialog.ts';
import { EARLY } from './early.ts';
import { FORKING } from './forking.ts';
import { GLARE } from './glare.ts';
import { LATE_OFFER } from './late-offer.ts';
import { LOST } from './lost.ts';
import { LOST_MF } from './lost-mf.ts';
import { MULTIPLEX } from './multiplex.ts';
import { NETWORK } from './network.ts';
import { PLAIN_CALLS } from './plain.ts';
import { RACES } from './race.ts';
import { REFUSAL } from './refusal.ts';
import { RESTART } from './restart.ts';
import { SPIRAL } from './spiral.ts';
import { STANDALONE_SESSIONS } from './standalone.ts';
import { SUBSCRIPTION } from './subscription.ts';
import { TRANSFER } from './transfer.ts';

/** Every pair of the suite. */
export const PAIRS: readonly Pair[] = [
  ...PLAIN_CALLS,
  ...BOOTSTRAP,
  ...LATE_OFFER,
  ...APPLICATION,
  ...REFUSAL,
  ...TO_DC_AS,
  ...CHANNELS,
  ...SPIRAL,
  ...MULTIPLEX,
  ...NETWORK,
  ...SUBSCRIPTION,
  ...STANDALONE_SESSIONS,
  ...EARLY,
  ...FORKING,
  ...CANCEL,
  ...DIALOG,
  ...GLARE,
  ...TRANSFER,
  ...RACES,
  ...LOST,
  ...RESTART,
  ...LOST_MF,
];
