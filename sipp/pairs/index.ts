import type { Pair } from '../script/steps.ts';
import { APPLICATION } from './application.ts';
import { BOOTSTRAP } from './bootstrap.ts';
import { CHANNELS } from './channels.ts';
import { DIALOG } from './dialog.ts';
import { EARLY } from './early.ts';
import { FORWARDING } from './forwarding.ts';
import { LOST_MF } from './lost-mf.ts';
import { MULTIPLEX } from './multiplex.ts';
import { NETWORK } from './network.ts';
import { PLAIN_CALLS } from './plain.ts';
import { RACES } from './race.ts';
import { RESTART } from './restart.ts';
import { SPIRAL } from './spiral.ts';
import { SUBSCRIPTION } from './subscription.ts';

/** Every pair of the suite. */
export const PAIRS: readonly Pair[] = [
  ...PLAIN_CALLS,
  ...BOOTSTRAP,
  ...APPLICATION,
  ...CHANNELS,
  ...SPIRAL,
  ...MULTIPLEX,
  ...NETWORK,
  ...SUBSCRIPTION,
  ...EARLY,
  ...FORWARDING,
  ...DIALOG,
  ...RACES,
  ...RESTART,
  ...LOST_MF,
];
