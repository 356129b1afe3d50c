import type { VirtualTimers } from '../../src/base/timers.ts';
import { type ParsedMessage, parseMessage } from '../../src/sip/message/index.ts';
import { Transactions } from '../../src/sip/transaction/index.ts';
import { ArmedTimers } from '../../src/sip/transport/armed-timers.ts';
import type { Destination, Flow, TransactionTimerHandle, TransactionUserEvent } from '../../src/sip/types.ts';
import type { Random } from './random.ts';
import type { Trace } from './trace.ts';

export interface NetworkBehaviour {
  readonly loss: number;
  readonly duplication: number;
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
}

/** UDP between nodes: loses, repeats, delays and so re-orders what it carries. */
export class Network {
  readonly timers: VirtualTimers;
  readonly trace: Trace;
  readonly #random: Random;
  readonly #behaviour: NetworkBehaviour;
  readonly #nodes = new Map<string, SipNode>();

  constructor(timers: VirtualTimers, random: Random, behaviour: NetworkBehaviour, trace: Trace) {
    this.timers = timers;
    this.trace = trace;
    this.#random = random;
    this.#behaviour = behaviour;
  }

  attach(node: SipNode): void {
    this.#nodes.set(node.host, node);
  }

  send(from: SipNode, host: string, wire: string): void {
    const to = this.#nodes.get(host);
    const { loss, duplication, minDelayMs, maxDelayMs } = this.#behaviour;
    const copies = this.#random.chance(loss) ? 0 : this.#random.chance(duplication) ? 2 : 1;
    this.trace.message(this.timers.nowMs(), from.name, to?.name ?? host, wire, copies);
    for (let i = 0; i < copies; i++) {
      this.timers.after(this.#random.between(minDelayMs, maxDelayMs), () => to?.receive(wire, from));
    }
  }
}

/** A SIP element with the real transaction layer, in virtual time. */
export class SipNode {
  readonly name: string;
  /** Its IP address; the port is always 5060. */
  readonly host: string;
  layer: Transactions;
  readonly network: Network;
  /** Nobody is there: what comes is lost. */
  isDown = false;
  onEvent: (event: TransactionUserEvent) => void = () => undefined;
  readonly #armed: ArmedTimers;
  readonly #waiting: TransactionUserEvent[] = [];
  #busy = 0;

  constructor(network: Network, name: string, host: string) {
    this.network = network;
    this.name = name;
    this.host = host;
    const due = (timer: TransactionTimerHandle) => this.call(() => this.layer.timerDue(timer, this.nowMs));
    this.#armed = new ArmedTimers(network.timers, due);
    this.layer = this.#newLayer();
    network.attach(this);
  }

  /** The process ends: every transaction and timer with it. */
  crash(): void {
    this.isDown = true;
    this.layer.close();
    this.#waiting.length = 0;
    this.layer = this.#newLayer();
  }

  #newLayer(): Transactions {
    const { network, name } = this;
    return new Transactions(
      {
        emit: (effect) => {
          if (effect.kind === 'transmit') network.send(this, effect.to.address, effect.wire);
          else if (effect.kind === 'toUser') this.#tell(effect.event);
          else if (effect.kind === 'disarm') this.#armed.disarm(effect.timer);
          else this.#armed.arm(effect.timer, effect.atMs);
        },
      },
      { tagSalt: name },
    );
  }

  get nowMs(): number {
    return this.network.timers.nowMs();
  }

  /** Runs a call into the layer; events for the user come when it is over. */
  call<T>(run: () => T): T {
    this.#busy++;
    try {
      return run();
    } finally {
      this.#busy--;
      if (this.#busy === 0)
        for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) this.onEvent(event);
    }
  }

  receive(wire: string, from: SipNode): void {
    if (this.isDown) return;
    const parsed = parseMessage(wire);
    if ('error' in parsed) throw new Error(`${this.name} got a malformed message: ${parsed.error.reason}\n${wire}`);
    const { message } = parsed;
    if (message.isRequest) message.stampReceived(from.host, 5060);
    const flow: Flow = {
      transport: 'udp',
      remoteAddress: from.host,
      remotePort: 5060,
      localAddress: this.host,
      localPort: 5060,
    };
    this.call(() => this.layer.receive(message as ParsedMessage, flow, this.nowMs));
  }

  destination(host: string): Destination {
    return { transport: 'udp', address: host, port: 5060 };
  }

  #tell(event: TransactionUserEvent): void {
    if (this.#busy > 0) this.#waiting.push(event);
    else this.onEvent(event);
  }
}
