import { isPriorityRequest, parseMessage } from '../message/index.ts';
import { NextHopLoad } from '../overload/index.ts';
import type { Destination, SipMessage } from '../types.ts';
import { hostPort } from './transport.ts';

/** RFC 7339 as the client, for requests as they go out. A request is looked into only while its next hop asks for less. */
export class Shedding {
  readonly load = new NextHopLoad();

  /** A response to a request that had gone to `from`. */
  heard({ via }: SipMessage, from: Destination, nowMs: number): void {
    // Our own offer comes back without a value from most.
    if (via.params.get('oc') !== undefined) this.load.heard(hostPort(from.address, from.port), via, nowMs);
  }

  /** Whether the request is to be left out, as the next hop wants. */
  sheds(wire: string, to: Destination, nowMs: number): boolean {
    if (this.load.size === 0) return false;
    const hop = hostPort(to.address, to.port);
    if (!this.load.asksForLess(hop, nowMs)) return false;
    const parsed = parseMessage(wire, true);
    if ('error' in parsed) return false;
    const { message } = parsed;
    return this.load.sheds(hop, message.toTag !== '' ? 'up' : isPriorityRequest(message) ? 'priority' : 'new');
  }
}
