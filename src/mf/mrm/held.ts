import type { DtlsRole } from '../../dtls/role.ts';
import type { SecuritySetup } from '../../services/common-data.ts';
import type { AssociationStateName, FlowEndpoints, LocalEndpoint, StreamSpec } from '../engine/types.ts';
import type { FlowEnd, Mdc2Sink, Remote } from './desired.ts';

/** What the engine holds for one context. Replaced as a whole by each executed plan, so a failed one changes nothing. */
export interface Held {
  readonly associations: ReadonlyMap<string, HeldAssociation>;
  readonly flows: ReadonlyMap<string, HeldFlow>;
  /** By engine key; filled in by the executor. */
  readonly locals: ReadonlyMap<string, LocalEndpoint>;
  readonly flowLocals: ReadonlyMap<string, FlowEndpoints>;
}

export const NOTHING_HELD: Held = {
  associations: new Map(),
  flows: new Map(),
  locals: new Map(),
  flowLocals: new Map(),
};

export interface HeldAssociation {
  /** Of the desired association. */
  readonly id: string;
  /** Of the engine: another one for each DTLS association. */
  readonly key: string;
  readonly entries: readonly string[];
  readonly ice: boolean;
  /** Ours. */
  readonly tlsId: string;
  /** The consumer asked for this tls-id; else we minted it. */
  readonly tlsIdWished: boolean;
  /** Undefined while the peer may still choose. */
  readonly role: DtlsRole | undefined;
  /** What the consumer told us to say in a=setup. */
  readonly localSetup: SecuritySetup | undefined;
  readonly streams: readonly StreamSpec[];
  /** Ids that the engine or R13 does not allow; left out of the response. */
  readonly refused: ReadonlySet<number>;
  readonly routes: ReadonlyMap<number, HeldSink>;
  readonly started: Started | undefined;
  readonly state: AssociationStateName;
  /** R12: goes on until this association is connected, and again if the consumer returns to it. */
  readonly predecessor: HeldAssociation | undefined;
  /** What we advertise: ours, or less where a relay's far end takes less (R11). */
  readonly maxMessageSizeBytes: number;
  readonly eventUri: string | undefined;
  /** The consumer wants the figures of what ends (R31). */
  readonly usage: boolean;
  /** Towards a DC AS, for this entry. */
  readonly mdc2Of: string | undefined;
}

export interface Started {
  readonly remote: Remote;
  readonly role: DtlsRole;
  /** Fixed at INIT (R13). */
  readonly streams: number;
  readonly peerMaxMessageSizeBytes: number;
}

/** A route as the engine has it: stream routes name engine keys. */
export type HeldSink =
  | (Mdc2Sink & { readonly peerMaxMessageSizeBytes: number })
  | {
      readonly kind: 'http';
      readonly replaceHttpUrl: string;
      readonly address: string;
      readonly port: number;
      readonly peerMaxMessageSizeBytes: number;
    }
  | { readonly kind: 'stream'; readonly key: string }
  | { readonly kind: 'discard' };

export interface HeldFlow {
  readonly id: string;
  readonly key: string;
  readonly ice: boolean;
  readonly a: FlowEnd;
  readonly b: FlowEnd;
  readonly state: 'open' | 'failed';
}

/** The engine has nothing for it any more. */
export function isBroken(association: HeldAssociation): boolean {
  return association.state === 'failed' || association.state === 'closed';
}
