import { VirtualTimers } from '../../src/base/timers.ts';
import { type TransactionLayerOptions, Transactions } from '../../src/sip/transaction/index.ts';
import { ArmedTimers } from '../../src/sip/transport/armed-timers.ts';
import type { ClientKey, Destination, ServerKey, TransactionUserEvent, Transport } from '../../src/sip/types.ts';
import { parsed } from './support.ts';

/** What the network does to a packet: how often it arrives and after how many milliseconds each time. */
export type Fate = (packet: { from: string; wire: string }) => readonly number[];

/** Each packet arrives once, after 10 ms. */
export const PERFECT: Fate = () => [10];

/** Two transaction layers in virtual time with a network between them that may lose, repeat and reorder. */
export class Network {
  readonly timers = new VirtualTimers();
  /** Every packet in the order of sending: `a INVITE`, `b 200`. */
  readonly log: string[] = [];
  fate: Fate;
  readonly transport: Transport;

  constructor(fate: Fate = PERFECT, transport: Transport = 'udp') {
    this.fate = fate;
    this.transport = transport;
  }

  destination(name: string): Destination {
    return { transport: this.transport, address: name, port: 5060 };
  }
}

/** One end: a layer on the network with its armed timers. */
export class Station {
  readonly name: string;
  readonly layer: Transactions;
  readonly armed: ArmedTimers;
  readonly events: TransactionUserEvent[] = [];
  onEvent: (event: TransactionUserEvent) => void = () => undefined;
  peer!: Station;
  readonly #network: Network;

  constructor(name: string, network: Network, options: TransactionLayerOptions = {}) {
    this.name = name;
    this.#network = network;
    this.armed = new ArmedTimers(network.timers, (timer, nowMs) => this.layer.timerDue(timer, nowMs));
    this.layer = new Transactions(
      {
        emit: (effect) => {
          if (effect.kind === 'transmit') this.send(effect.wire);
          else if (effect.kind === 'arm') this.armed.arm(effect.timer, effect.atMs);
          else if (effect.kind === 'disarm') this.armed.disarm(effect.timer);
          else {
            this.events.push(effect.event);
            this.onEvent(effect.event);
          }
        },
      },
      options,
    );
  }

  nowMs(): number {
    return this.#network.timers.nowMs();
  }

  /** Puts a packet on the network. */
  send(wire: string): void {
    this.#network.log.push(
      `${this.name} ${wire.startsWith('SIP/') ? wire.slice(8, 11) : wire.slice(0, wire.indexOf(' '))}`,
    );
    for (const delayMs of this.#network.fate({ from: this.name, wire })) {
      this.#network.timers.after(delayMs, () => this.peer.receive(wire, this.name));
    }
  }

  receive(wire: string, from: string): void {
    const { transport } = this.#network;
    const flow = { transport, remoteAddress: from, remotePort: 5060, localAddress: this.name, localPort: 5060 };
    this.layer.receive(parsed(wire), flow, this.nowMs());
  }

  request(wire: string): ClientKey {
    const { method, via } = parsed(wire);
    return this.layer.request(
      { wire, method, branch: via.branch, to: this.#network.destination(this.peer.name) },
      this.nowMs(),
    );
  }

  respond(key: ServerKey, status: number, wire: string): void {
    this.layer.respond(key, status, wire, this.nowMs());
  }

  /** `request INVITE`, `response 200`, `cancel`, ... */
  get told(): string[] {
    return this.events.map((event) => {
      if (event.kind === 'request') return `request ${event.message.method}`;
      if (event.kind === 'response') return `response ${event.message.status}`;
      return 'reason' in event ? `${event.kind} ${event.reason}` : event.kind;
    });
  }
}

/** Two stations that are each other's peer. */
export function pair(
  fate: Fate = PERFECT,
  options: TransactionLayerOptions = {},
  transport: Transport = 'udp',
): { network: Network; a: Station; b: Station } {
  const network = new Network(fate, transport);
  const a = new Station('a', network, options);
  const b = new Station('b', network, options);
  a.peer = b;
  b.peer = a;
  return { network, a, b };
}
