import { VirtualTimers } from '../../src/base/timers.ts';
import { AsNode, LEASE_MS, type Sabotage } from './as-node.ts';
import { checkTermination } from './check-media.ts';
import { MfModel } from './mf-model.ts';
import { Network, SipNode } from './network.ts';
import { Random } from './random.ts';
import { drawCrashes, drawScenario, type Scenario } from './scenario.ts';
import { Trace } from './trace.ts';
import { Ue } from './ue.ts';
import { UeMedia } from './ue-media.ts';
import { Violation } from './violation.ts';

export interface Result {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly trace: Trace;
  readonly violation: Violation | undefined;
  readonly outcome: string;
  readonly messages: number;
  readonly checkedContexts: number;
  /** `atRest`: with the call on the disk and nothing between its ends. */
  readonly crashes: { readonly atRest: number; readonly others: number };
}

const ALICE = '10.0.0.1';
const BOB = '10.0.0.2';
const AS_HOSTS = ['10.0.0.11', '10.0.0.12'] as const;
/** Virtual time after which a call that is not over is stuck. */
const LIMIT_MS = 300_000;
/** Events of one seed: more is a storm. */
const MAX_STEPS = 20_000;
/** A BYE arrives in this time, whatever is lost, and while an AS is away for a while. */
const HEARD_MS = 15_000;
/** What no crash excuses. */
const ALWAYS: ReadonlySet<string> = new Set([
  'ends',
  'mf',
  'no context outlives its call',
  'no exception',
  'one final response',
]);
/** A callee waits no longer for an ACK, or for somebody who answers. */
const ALONE_MS = 110_000;
/** So long after the last SDP, the MF must know everything. */
const QUIET_MS = 1500;
/** The longest wait after a 491, and the exchange that follows (RFC 3261 14.1). */
const GLARE_MS = 6000;

/** Runs one call from its seed to its end. Promises of the models are let settle between events. */
export async function simulate(
  seed: number,
  sabotage: Sabotage = {},
  scenario?: Scenario,
  options: { readonly crashes?: boolean } = {},
): Promise<Result> {
  const random = new Random(seed);
  const calm = scenario ?? drawScenario(random);
  const drawn = options.crashes === true ? { ...calm, restore: 0, crashes: drawCrashes(random, calm) } : calm;
  const timers = new VirtualTimers();
  const startMs = timers.nowMs();
  const trace = new Trace(startMs);
  const run = new Run(drawn, random, timers, trace, sabotage);
  let violation: Violation | undefined;
  try {
    await run.start();
    await run.finish();
    run.check();
  } catch (error) {
    violation =
      error instanceof Violation
        ? error
        : new Violation('no exception', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return {
    seed,
    scenario: drawn,
    trace,
    violation,
    outcome: run.outcome(),
    messages: trace.lines.length,
    checkedContexts: run.checked,
    crashes: run.crashes,
  };
}

class Run {
  readonly #scenario: Scenario;
  readonly #timers: VirtualTimers;
  readonly alice: Ue;
  readonly bob: Ue;
  readonly ases: AsNode[] = [];
  readonly mfs: MfModel[] = [];
  readonly #startMs: number;
  #gaveUp = false;
  readonly crashes = { atRest: 0, others: 0 };
  #started: Promise<void> = Promise.resolve();
  #failure: unknown;
  /** Contexts compared with the handsets. */
  checked = 0;

  constructor(scenario: Scenario, random: Random, timers: VirtualTimers, trace: Trace, sabotage: Sabotage) {
    this.#scenario = scenario;
    this.#timers = timers;
    this.#startMs = timers.nowMs();
    const network = new Network(timers, random, scenario.network, trace);
    const aliceMedia = new UeMedia('alice', random, { ...scenario.caller.media, dataChannels: 'accept' });
    const bobMedia = new UeMedia('bob', random, scenario.callee.media);
    aliceMedia.peer = bobMedia;
    bobMedia.peer = aliceMedia;
    this.alice = new Ue(new SipNode(network, 'alice', ALICE), aliceMedia, scenario.caller, random);
    this.bob = new Ue(new SipNode(network, 'bob', BOB), bobMedia, scenario.callee, random);
    for (let i = 0; i < scenario.networks; i++) {
      const mf = new MfModel(`10.9.0.${i + 1}`, scenario.mf[i]!, random);
      this.mfs.push(mf);
      this.ases.push(
        new AsNode({
          node: new SipNode(network, `as${i + 1}`, AS_HOSTS[i]!),
          dcsf: scenario.dcsf[i]!,
          mf,
          random,
          sessionCase: i === 0 ? 'originating' : 'terminating',
          restore: scenario.restore,
          sabotage,
          onDelete: (contextId) => this.#checkMedia(i, contextId),
        }),
      );
    }
  }

  async start(): Promise<void> {
    const { crashes = [] } = this.#scenario;
    if (crashes.length > 0) for (const as of this.ases) await as.start();
    for (const { network, atMs, downMs } of crashes) this.#timers.after(atMs, () => this.#crash(network, downMs));
    this.#call();
  }

  #crash(network: number, downMs: number): void {
    const as = this.ases[network]!;
    const { alice, bob } = this;
    const isUp = alice.state === 'established' && bob.state === 'established' && alice.isQuiet && bob.isQuiet;
    if (as.node.isDown) return;
    if (isUp && this.ases.every((one) => one.isStored)) this.crashes.atRest++;
    else {
      this.crashes.others++;
      for (const mf of this.mfs) mf.refusesPatches = true;
    }
    as.crash();
    this.#timers.after(downMs, () => {
      this.#started = as.start().catch((error: unknown) => {
        this.#failure = error;
      });
    });
  }

  #call(): void {
    const { bootstrap, application, offerInInvite, cancelAfterMs, networks } = this.#scenario;
    if (bootstrap && offerInInvite) this.alice.media.addBootstrap();
    if (bootstrap && !offerInInvite) this.bob.media.addBootstrap();
    if (application && offerInInvite) this.alice.media.addApplication();
    const routes =
      networks === 1
        ? [`<sip:${AS_HOSTS[0]};lr;orig>`]
        : [`<sip:${AS_HOSTS[0]};lr;orig>`, `<sip:${AS_HOSTS[1]};lr;term>`];
    this.alice.invite(`sip:bob@${BOB}`, routes, offerInInvite, '');
    if (cancelAfterMs !== undefined) this.#timers.after(cancelAfterMs + 1, () => this.alice.cancel());
    // A UE gives up in the end, whatever happens; a call that is up by then is meant to be ended.
    this.#timers.after(60_000, () => {
      if (this.alice.state === 'calling') this.#gaveUp = true;
      this.alice.cancel();
      this.alice.bye();
      this.bob.bye();
    });
    // After a crash a handset may be left alone with its end of the call.
    if (this.#scenario.crashes !== undefined) this.#timers.after(ALONE_MS, () => this.bob.giveUp());
  }

  /** The handsets of a call that was calm for a while, against the context that their call is about to delete. */
  #checkMedia(network: number, contextId: string) {
    const { mf, networks } = this.#scenario;
    const calm = this.#timers.nowMs() - QUIET_MS;
    const { alice, bob } = this;
    const model = this.mfs[network];
    const context = model?.contexts.get(contextId);
    if (mf[network]?.mode !== 'works' || context === undefined || !alice.established || !alice.isQuiet || !bob.isQuiet)
      return;
    if (alice.lastChangeMs > calm || bob.lastChangeMs > calm) return;
    if (this.#timers.nowMs() - this.ases[network]!.lastGlareMs < GLARE_MS) return;
    this.checked++;
    const { address } = model!;
    if (network === 0) checkTermination(alice.media, 'alice', context, address, 'served');
    if (network === 0 && networks === 1) checkTermination(bob.media, 'bob', context, address, 'remote');
    if (network === 1) checkTermination(bob.media, 'bob', context, address, 'served');
  }

  async finish(): Promise<void> {
    for (let steps = 0; !this.#isOver(); steps++) {
      if (steps > MAX_STEPS) throw new Violation('ends', 'too many events');
      if (this.#timers.nowMs() - this.#startMs > LIMIT_MS) throw new Violation('ends', this.#whatIsLeft());
      try {
        this.#timers.step();
      } catch (error) {
        if (!this.#isExcused(error)) throw error;
      }
      await this.#started;
      if (this.#failure !== undefined) throw this.#failure;
      await Promise.resolve();
      await Promise.resolve();
    }
  }

  /**
   * A process that ends in the middle of an exchange loses it, and the handsets disagree about it: the call may suffer
   * until its next exchange, but it ends, and leaves nothing behind.
   */
  #isExcused(error: unknown): boolean {
    return this.crashes.others > 0 && error instanceof Violation && !ALWAYS.has(error.invariant);
  }

  #isOver(): boolean {
    if (this.alice.state !== 'ended' || (this.bob.state !== 'ended' && this.bob.state !== 'idle')) return false;
    return this.ases.every((as) => as.dispatcher.size === 0 && as.transactions === 0);
  }

  #whatIsLeft(): string {
    const calls = this.ases.flatMap((as) =>
      [...as.dispatcher.calls()].map(
        (call) =>
          `${call.id} ${call.state}/${call.negotiation.step} exchanges ${call.exchanges.map((e) => `${e.method}:${e.from}:${e.answered}`).join(',')} pending ${call.media?.context.pending?.method}`,
      ),
    );
    return `alice ${this.alice.state}, bob ${this.bob.state}, calls [${calls.join('; ')}]`;
  }

  check(): void {
    if (this.#scenario.crashes !== undefined) {
      this.#timers.advance(LEASE_MS);
      for (const as of this.ases) as.leaseEnds();
    }
    for (const [i, mf] of this.mfs.entries()) {
      if (mf.contexts.size > 0)
        throw new Violation('no context outlives its call', `${mf.contexts.size} at mf${i + 1}`);
    }
    for (const as of this.ases) {
      if (as.dispatcher.size > 0) throw new Violation('ends', 'a call is left');
      for (const call of as.ended) {
        if (call.record.heldMs > 3000)
          throw new Violation('barrier within budget', `held for ${call.record.heldMs} ms`);
      }
    }
    if (this.crashes.others === 0) this.#checkVoice();
  }

  /** Rule 1: nothing but a UE ends or refuses a call. */
  #checkVoice(): void {
    const { callee, cancelAfterMs } = this.#scenario;
    const willing = callee.answer === 200 || callee.answer === 488;
    const cancelled = cancelAfterMs !== undefined;
    if (willing && this.#gaveUp) throw new Violation('voice', 'nothing for a minute');
    if (willing && !cancelled && !this.alice.established)
      throw new Violation('voice', `not established: ${this.alice.cause}`);
    if (willing && !cancelled && this.alice.established && !this.alice.media.audioLive)
      throw new Violation('voice', 'the audio line is dead');
    for (const [ue, peer] of [
      [this.alice, this.bob],
      [this.bob, this.alice],
    ] as const) {
      // A 2xx that crosses a CANCEL is ended by the AS.
      if (ue.cause === 'peer bye' && cancelAfterMs === undefined && !(peer.endedMs <= ue.endedMs))
        throw new Violation('voice', `${ue.node.name} got a BYE that nobody sent`);
    }
    const { alice, bob } = this;
    if (alice.cause === 'bye' && bob.cause === 'bye' && Math.abs(alice.endedMs - bob.endedMs) > HEARD_MS)
      throw new Violation('voice', 'a BYE did not reach the other side');
    if (!willing && this.alice.established)
      throw new Violation('voice', `established although bob answers ${callee.answer}`);
    if (callee.answer === 486 && !cancelled && this.alice.cause !== '486')
      throw new Violation('voice', `486 became ${this.alice.cause}`);
  }

  outcome(): string {
    return `${this.alice.established ? 'established' : 'not established'}, alice: ${this.alice.cause}, bob: ${this.bob.cause}`;
  }
}
