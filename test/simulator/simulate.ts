import { VirtualTimers } from '../../src/base/timers.ts';
import type { Call } from '../../src/ims-as/call/types.ts';
import { AsNode, LEASE_MS, type Sabotage } from './as-node.ts';
import { checkAnchors, checkTermination } from './check-media.ts';
import { MfLoser } from './mf-loser.ts';
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
  /** Calls whose channels moved to another MF, calls that lost them, and handsets found at rest after that. */
  readonly reanchored: number;
  readonly givenUp: number;
  readonly checkedAfterLoss: number;
  /** The callee offered a line in its 2xx that goes on to the caller (R18), and in the end both handsets had it. */
  readonly addedLate: boolean;
}

const ALICE = '10.0.0.1';
const BOB = '10.0.0.2';
const AS_HOSTS = ['10.0.0.11', '10.0.0.12'] as const;
/** Virtual time after which a call that is not over is stuck. */
const LIMIT_MS = 300_000;
/** Events of one seed: more is a storm. */
const MAX_STEPS = 20_000;
/** What the callee's own line to the other network is to the handsets: its first stream is 100. */
const TRANSIT = 'dc100';
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
  const drawn =
    options.crashes === true ? { ...calm, restore: 0, mfLoss: undefined, crashes: drawCrashes(random, calm) } : calm;
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
    reanchored: run.ases.reduce((sum, as) => sum + as.dispatcher.counts.reanchored, 0),
    givenUp: run.ases.reduce((sum, as) => sum + as.dispatcher.counts.givenUp, 0),
    checkedAfterLoss: run.checkedAfterLoss,
    addedLate: run.addedLate,
  };
}

/** The AS believes that all is said and done. */
function isAtRest(call: Call): boolean {
  return (
    call.state === 'established' &&
    call.exchanges.length === 0 &&
    call.negotiation.step === 'stable' &&
    call.queue.length === 0 &&
    call.unacknowledged === null &&
    call.deadlines.repair === undefined &&
    call.media?.context.pending === null
  );
}

class Run {
  readonly #scenario: Scenario;
  readonly #timers: VirtualTimers;
  readonly alice: Ue;
  readonly bob: Ue;
  readonly ases: AsNode[] = [];
  /** By network; the first is asked first. */
  readonly mfs: MfModel[][] = [];
  readonly #losers: MfLoser[] = [];
  readonly #startMs: number;
  #gaveUp = false;
  readonly crashes = { atRest: 0, others: 0 };
  #started: Promise<void> = Promise.resolve();
  #failure: unknown;
  /** Contexts compared with the handsets. */
  checked = 0;
  checkedAfterLoss = 0;
  addedLate = false;

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
      const loss = scenario.mfLoss?.network === i ? scenario.mfLoss : undefined;
      const mfs = [0, ...(loss?.spare === true ? [1] : [])].map(
        (n) => new MfModel(`10.9.${n}.${i + 1}`, scenario.mf[i]!, random),
      );
      this.mfs.push(mfs);
      this.ases.push(
        new AsNode({
          node: new SipNode(network, `as${i + 1}`, AS_HOSTS[i]!),
          dcsf: scenario.dcsf[i]!,
          mfs,
          random,
          sessionCase: i === 0 ? 'originating' : 'terminating',
          restore: scenario.restore,
          sabotage,
          reanchorOffer: scenario.reanchorOffer,
          onDelete: (mf, contextId) => this.#checkMedia(i, mf, contextId),
        }),
      );
      this.#losers.push(new MfLoser(this.ases[i]!, mfs, timers, loss));
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
      for (const mf of this.mfs.flat()) mf.refusesPatches = true;
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
    for (const loser of this.#losers) loser.start();
    for (const ue of [this.alice, this.bob]) ue.onBye = () => this.#checkAnchors();
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
  #checkMedia(network: number, model: MfModel, contextId: string) {
    const { mf, networks } = this.#scenario;
    const { alice, bob } = this;
    const context = model.contexts.get(contextId);
    if (mf[network]?.mode !== 'works' || context === undefined || !this.#isCalm(network)) return;
    // Between the loss and the last offer that follows it, SDP and MF differ.
    if (this.#losers.some((loser) => !loser.isOver(QUIET_MS))) return;
    this.checked++;
    const { address } = model;
    if (network === 0) checkTermination(alice.media, 'alice', context, address, 'served');
    if (network === 0 && networks === 1) checkTermination(bob.media, 'bob', context, address, 'remote');
    if (network === 1) checkTermination(bob.media, 'bob', context, address, 'served');
  }

  #isCalm(network: number): boolean {
    const { alice, bob } = this;
    const calm = this.#timers.nowMs() - QUIET_MS;
    if (!alice.established || !alice.isQuiet || !bob.isQuiet) return false;
    if (alice.lastChangeMs > calm || bob.lastChangeMs > calm) return false;
    return this.#timers.nowMs() - this.ases[network]!.lastGlareMs >= GLARE_MS;
  }

  /** A call at rest, the moment before somebody hangs up: no handset is left with an MF that does not hold its line. */
  #checkAnchors(): void {
    const { bootstrap, offerInInvite } = this.#scenario;
    if (bootstrap && !offerInInvite) this.addedLate = [this.alice, this.bob].every((ue) => ue.media.isLive(TRANSIT));
    for (const [i, as] of this.ases.entries()) {
      const [call] = as.dispatcher.calls();
      if (call?.media == null || !this.#losers[i]!.isOver(0)) continue;
      this.#losers[i]!.checkRepaired(call);
      if (!isAtRest(call) || !this.#isCalm(i)) continue;
      if (this.#scenario.mfLoss?.network === i) this.checkedAfterLoss++;
      const { mf, contextId } = call.media.context;
      const context = this.mfs[i]!.find((one) => one.address === mf)?.contexts.get(contextId);
      const addresses = this.mfs[i]!.map((one) => one.address);
      if (i === 0) checkAnchors(this.alice.media, 'alice', context, addresses);
      if (i === 1 || this.#scenario.networks === 1) checkAnchors(this.bob.media, 'bob', context, addresses);
    }
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
    for (const mf of this.mfs.flat()) {
      // What nobody can reach any more, its lease ends.
      if (mf.contexts.size > 0 && mf.state === 'up')
        throw new Violation('no context outlives its call', `${mf.contexts.size} at ${mf.address}`);
    }
    for (const loser of this.#losers) loser.check();
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
