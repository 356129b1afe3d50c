import type { Logger } from '../base/log.ts';
import type { DtlsRole } from '../dtls/role.ts';
import type { HandsetIdentity } from './bootstrap/requests.ts';
import type { DataAnswer } from './media/answer-policy.ts';
import type { ProfileName } from './profile.ts';

export interface UeOptions {
  /** Public identity: `sip:alice@ims.lab`. */
  readonly identity: string;
  /** Address for SIP and media. Default 127.0.0.1. */
  readonly address?: string;
  /** SIP port; 0 (default) takes any free one. */
  readonly port?: number;
  /** Default udp. */
  readonly transport?: 'udp' | 'tcp';
  /** URI of the P-CSCF or S-CSCF that everything goes through; without it calls go straight to their target. */
  readonly proxy?: string;
  /** Request-URI of REGISTER. Default: the domain of the identity. */
  readonly registrar?: string;
  /** Default china-mobile. */
  readonly profile?: ProfileName;
  readonly handset?: Partial<HandsetIdentity>;
  /** Default `whenSupported`: offered once the network said that it supports them (TS 23.228 AC.7.0). */
  readonly dataChannels?: 'always' | 'whenSupported' | 'never';
  /** Announce `g.3gpp.dc-mux`: one line for several far ends (TS 26.114 6.2.10.1). Default false. */
  readonly multiplexing?: boolean;
  /** Our part in DTLS when the peer leaves the choice to us. Default: the profile's. */
  readonly answerSetup?: DtlsRole;
  /** Default accept. */
  readonly dataAnswer?: DataAnswer;
  /** Bytes; default 65,536. */
  readonly maxMessageSizeBytes?: number;
  /** Lines for every SDP that nobody in the network knows: they must arrive as they are (R7). */
  readonly extraSessionLines?: readonly string[];
  readonly extraAudioLines?: readonly string[];
  /** Deliberate misbehaviour, for tests of the network. */
  readonly faults?: Partial<UeFaults>;
  readonly log?: Logger;
}

export interface UeFaults {
  /** SDP names the fingerprint of another certificate than the one DTLS shows. */
  readonly wrongFingerprint: boolean;
  /** Never a ClientHello nor an answer to one. */
  readonly silentMedia: boolean;
}
