import type { SessionEventNotification } from '../services/nimsas.ts';
import type { ServerKey } from '../sip/types.ts';
import type { LocalAddress, MrmOperation } from './call/types.ts';

/** SIP as the dispatcher needs it: over sockets, or in virtual time. It must not call back before it returns. */
export interface SipPort {
  respond(key: ServerKey, status: number, wire: string): void;
  request(options: { wire: string; method: string; branch: string; nextHop: string }): void;
  /** Without a transaction. */
  transmit(wire: string, nextHop: string): void;
  cancel(branch: string, headers: string): void;
  local(nextHop: string): LocalAddress;
  /** Whether a Route URI names this AS. */
  isOurs(uri: string): boolean;
}

/** DC1 towards the DCSF and DC2 towards the MFs. Outcomes come back through `notified` and `mrmReplied`, always. */
export interface ServicePorts {
  notify(call: string, id: string, notification: SessionEventNotification, deadlineMs: number): void;
  mrm(call: string, id: string, operation: MrmOperation, deadlineMs: number): void;
}

/** Where calls are kept over a restart. It must not call back before it returns. */
export interface Touch {
  /** Costs next to nothing: the record is looked at later, beside the work. */
  touch(callId: string): void;
}
