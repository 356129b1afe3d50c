import type { DcsfBehaviour } from './dcsf-model.ts';
import type { MfBehaviour, MfLossKind } from './mf-model.ts';
import type { NetworkBehaviour } from './network.ts';
import type { Random } from './random.ts';
import type { Change, UeBehaviour } from './ue.ts';
import type { MediaBehaviour } from './ue-media.ts';

/** Everything that a seed decides before the call begins. */
export interface Scenario {
  readonly network: NetworkBehaviour;
  /** One AS, or the originating and the terminating one. */
  readonly networks: 1 | 2;
  readonly bootstrap: boolean;
  readonly application: boolean;
  readonly offerInInvite: boolean;
  readonly cancelAfterMs: number | undefined;
  readonly caller: UeBehaviour & { readonly media: MediaBehaviour };
  readonly callee: UeBehaviour & { readonly media: MediaBehaviour };
  readonly dcsf: readonly [DcsfBehaviour, DcsfBehaviour];
  readonly mf: readonly [MfBehaviour, MfBehaviour];
  readonly restore: number;
  readonly mfLoss: MfLoss | undefined;
  readonly reanchorOffer: 'inPlace' | 'newLine';
  readonly crashes?: readonly Crash[];
}

/** An MF goes away while the call is there. */
export interface MfLoss {
  readonly network: 0 | 1;
  readonly kind: MfLossKind;
  readonly afterMs: number;
  /** Until the watch knows. */
  readonly noticedMs: number;
  /** Until it is there again; undefined: never. */
  readonly backMs: number | undefined;
  /** Another MF that works. */
  readonly spare: boolean;
  /** The spare goes the same way so long after. */
  readonly againMs: number | undefined;
}

/** The AS of one network ends like by kill -9, and starts again. */
export interface Crash {
  readonly network: number;
  readonly atMs: number;
  readonly downMs: number;
}

/** One crash or two, at any moment from the first message on. */
export function drawCrashes(random: Random, { networks }: Scenario): Crash[] {
  const crash = (fromMs: number): Crash => ({
    network: random.between(0, networks - 1),
    atMs: fromMs + (random.chance(0.3) ? random.between(1, 500) : random.between(500, 15_000)),
    // Longer than any message is under way, shorter than a transaction waits.
    downMs: random.pick([200, 1_000, 8_000]),
  });
  const first = crash(0);
  return random.chance(0.3) ? [first, crash(first.atMs + 10_000)] : [first];
}

const CHANGES: readonly Change[] = [
  'hold',
  'resume',
  'addBootstrap',
  'addApplication',
  'addApplication',
  'removeApplication',
  'renew',
  'refresh',
  'update',
  'info',
  'noSdp',
];

export function drawScenario(random: Random): Scenario {
  const rough = random.chance(0.5);
  const byeAfterMs = random.between(1, 40) * 500;
  const callerHangsUp = random.chance(0.5);
  const dataChannels = random.chance(0.75);
  return {
    network: {
      loss: rough ? random.pick([0.01, 0.03, 0.08]) : 0,
      duplication: rough ? random.pick([0, 0.05]) : 0,
      minDelayMs: 1,
      maxDelayMs: rough ? random.pick([5, 40, 150]) : 5,
    },
    networks: random.chance(0.4) ? 2 : 1,
    bootstrap: dataChannels,
    application: dataChannels && random.chance(0.15),
    offerInInvite: !random.chance(0.1),
    cancelAfterMs: random.chance(0.2) ? random.between(0, 4000) : undefined,
    caller: ue(random, callerHangsUp ? byeAfterMs : undefined, dataChannels),
    callee: ue(random, callerHangsUp && !random.chance(0.1) ? undefined : byeAfterMs, dataChannels),
    dcsf: [dcsf(random), dcsf(random)],
    mf: [mf(random), mf(random)],
    restore: random.chance(0.2) ? 0.3 : 0,
    mfLoss: dataChannels && random.chance(0.5) ? mfLoss(random) : undefined,
    reanchorOffer: random.chance(0.25) ? 'newLine' : 'inPlace',
  };
}

function mfLoss(random: Random): MfLoss {
  const spare = random.chance(0.7);
  return {
    network: random.chance(0.3) ? 1 : 0,
    kind: random.pick(['killed', 'killed', 'restarted', 'cutOff'] as const),
    afterMs: random.pick([5, 30, 100, 300, 1000, 2000, 4000, 8000]),
    noticedMs: random.pick([1, 20, 500, 3000]),
    backMs: random.chance(0.4) ? random.between(1, 12) * 500 : undefined,
    spare,
    againMs: spare && random.chance(0.15) ? random.between(1, 6) * 500 : undefined,
  };
}

function ue(
  random: Random,
  byeAfterMs: number | undefined,
  dataChannels: boolean,
): UeBehaviour & { media: MediaBehaviour } {
  const changes = random.chance(0.6) ? random.between(1, 3) : 0;
  const kinds = dataChannels
    ? CHANGES
    : (['hold', 'resume', 'refresh', 'update', 'info', 'noSdp', 'addBootstrap'] as const);
  return {
    answer: random.pick([200, 200, 200, 200, 200, 200, 200, 486, 488, 'never'] as const),
    ringMs: random.pick([0, 5, 100, 1000, 3000]),
    provisional: random.pick(['none', '180', '183', 'reliable183'] as const),
    forks: random.pick([1, 1, 1, 2, 3]),
    byeAfterMs,
    changes: Array.from({ length: changes }, () => ({
      afterMs: random.pick([50, 100, 500, 1000, 1010, 3000]),
      what: random.pick(kinds),
    })),
    media: {
      dataChannels: random.pick(['accept', 'accept', 'accept', 'accept', 'port0', 'fewer'] as const),
      setup: random.pick(['passive', 'active'] as const),
      tlsId: !random.chance(0.15),
    },
  };
}

function dcsf(random: Random): DcsfBehaviour {
  return {
    mode: random.pick([
      'works',
      'works',
      'works',
      'works',
      'works',
      'works',
      'rejects',
      'throws',
      'slow',
      'never',
      'silent',
    ] as const),
    delayMs: random.pick([2, 20, 400]),
    applications: random.pick(['pass', 'relay', 'flow', 'terminate'] as const),
    transit: random.pick(['anchor', 'anchor', 'pass'] as const),
  };
}

function mf(random: Random): MfBehaviour {
  return {
    mode: random.pick([
      'works',
      'works',
      'works',
      'works',
      'works',
      'works',
      'works',
      'down',
      'slow',
      'late',
      'deaf',
      'failsPatch',
      'forgets',
    ] as const),
    delayMs: random.pick([2, 20, 300]),
  };
}
