import { applicationSteps } from './application-steps.ts';
import { farNetwork, ownNetwork } from './bootstrap-steps.ts';
import { associations, bootstrapLines, call, refresh, register, transparency } from './call-steps.ts';
import { release } from './release-step.ts';
import { applicationServer } from './server-step.ts';
import type { Step } from './step.ts';

/** The first real call, whole. */
export const SCENARIO: readonly Step[] = [
  register,
  call,
  bootstrapLines,
  associations,
  ownNetwork,
  farNetwork,
  transparency,
  ...applicationSteps,
  applicationServer,
  refresh,
  release,
];
