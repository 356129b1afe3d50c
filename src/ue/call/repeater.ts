import {
  endReliable,
  type ParsedMessage,
  type ReliableServer,
  type Retransmission,
  type RetransmissionEffect,
  RFC3261_TIMERS,
  receivePrack,
  reliableDue,
  reliableServer,
  repeat2xx,
  repeatDue,
  sendReliable,
} from '../../sip/index.ts';

export interface RepeaterPort {
  transmit(wire: string): void;
  /** Nobody acknowledged for 64 * T1. */
  unacknowledged(): void;
}

/** Gives the pure retransmission machines their one timer and their way out. */
class TimedSink {
  readonly #port: RepeaterPort;
  readonly #due: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(port: RepeaterPort, due: () => void) {
    this.#port = port;
    this.#due = due;
  }

  emit(effect: RetransmissionEffect): void {
    switch (effect.kind) {
      case 'transmit':
        this.#port.transmit(effect.wire);
        break;
      case 'arm':
        this.stop();
        this.#timer = setTimeout(this.#due, effect.afterMs);
        break;
      case 'disarm':
        this.stop();
        break;
      case 'unacknowledged':
        this.#port.unacknowledged();
        break;
      default:
        effect satisfies never;
    }
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** A 2xx to INVITE that is repeated until its ACK comes (RFC 3261 13.3.1.4). */
export class FinalRepeater {
  readonly #sink: TimedSink;
  #state: Retransmission | undefined;

  constructor(port: RepeaterPort) {
    this.#sink = new TimedSink(port, () => {
      if (this.#state) this.#state = repeatDue(this.#state, RFC3261_TIMERS, this.#sink);
    });
  }

  start(wire: string): void {
    this.#state = repeat2xx(wire, RFC3261_TIMERS, this.#sink);
  }

  /** True when an ACK was waited for. */
  stop(): boolean {
    const waited = this.#state !== undefined;
    this.#state = undefined;
    this.#sink.stop();
    return waited;
  }
}

/** Reliable provisional responses of one INVITE (RFC 3262 3). */
export class ReliableRepeater {
  readonly #sink: TimedSink;
  #state: ReliableServer;
  #acknowledged: (() => void) | null = null;

  constructor(port: RepeaterPort, inviteCSeq: number) {
    this.#state = reliableServer(inviteCSeq, 1 + Math.floor(Math.random() * 0x7fff_0000));
    this.#sink = new TimedSink(port, () => {
      this.#state = reliableDue(this.#state, RFC3261_TIMERS, this.#sink);
    });
  }

  /** Resolves when the PRACK has come. */
  send(build: (rseq: number) => string): Promise<void> {
    const next = sendReliable(this.#state, build, RFC3261_TIMERS, this.#sink);
    if (next) this.#state = next;
    return new Promise((resolve) => {
      this.#acknowledged = resolve;
    });
  }

  /** Whether the PRACK acknowledges what is in flight; if not it is answered with 481. */
  prack(message: ParsedMessage): boolean {
    const { state, matched } = receivePrack(this.#state, message, RFC3261_TIMERS, this.#sink);
    this.#state = state;
    if (matched) this.#acknowledged?.();
    return matched;
  }

  stop(): void {
    this.#state = endReliable(this.#state, this.#sink);
  }
}
