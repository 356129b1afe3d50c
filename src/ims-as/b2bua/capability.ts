import { own } from '../../base/owned.ts';
import {
  type BodyPart,
  parseContentType,
  parseDeltaSeconds,
  parseMessage,
  splitMultipart,
} from '../../sip/message/index.ts';
import type { SipMessage } from '../../sip/types.ts';
import { contactParams, supportsDataChannel } from './party.ts';

/** Identities remembered; above, the one that was refreshed longest ago is forgotten and counts as unknown. */
export const MAX_CAPABILITIES = 200_000;
const DEFAULT_EXPIRES_SECONDS = 3600;

/** What a third-party REGISTER tells of one user's handset. */
export interface Capability {
  readonly identity: string;
  /** Undefined: it is not registered any more, or has said nothing. */
  readonly supports: boolean | undefined;
  /** Epoch ms. */
  readonly untilMs: number;
}

/**
 * Which users' handsets have data channels (R23), from third-party registration: the S-CSCF's REGISTER names the user
 * in To and carries the handset's own REGISTER as message/sip (24.229 5.4.1.7).
 */
export class Capabilities {
  readonly #known = new Map<string, { supports: boolean; untilMs: number }>();
  readonly #max: number;

  readonly #learnt: ((capability: Capability) => void) | undefined;

  /** `learnt` is told of everything that a REGISTER brings. */
  constructor(options: { max?: number; learnt?: ((capability: Capability) => void) | undefined } = {}) {
    this.#max = options.max ?? MAX_CAPABILITIES;
    this.#learnt = options.learnt;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Undefined: unknown, so a data channel is offered. */
  supports(identity: string, nowMs: number): boolean | undefined {
    const key = identityKey(identity);
    const entry = this.#known.get(key);
    if (entry === undefined) return undefined;
    if (entry.untilMs > nowMs) return entry.supports;
    this.#known.delete(key);
    return undefined;
  }

  /** Takes a third-party REGISTER; `identity` is the URI of its To. */
  learn(identity: string, register: SipMessage, nowMs: number): void {
    const seconds = parseDeltaSeconds(register.first('expires') ?? '') ?? DEFAULT_EXPIRES_SECONDS;
    const inner = seconds === 0 ? undefined : innerRegister(register);
    const capability: Capability = {
      identity: own(identityKey(identity)),
      supports: inner === undefined ? undefined : supportsDataChannel(contactParams(inner)),
      untilMs: nowMs + seconds * 1000,
    };
    this.adopt(capability, nowMs);
    this.#learnt?.(capability);
  }

  adopt({ identity, supports, untilMs }: Capability, nowMs: number): void {
    this.#known.delete(identity);
    if (supports === undefined || untilMs <= nowMs) return;
    if (this.#known.size >= this.#max) {
      const oldest = this.#known.keys().next();
      if (oldest.done !== true) this.#known.delete(oldest.value);
    }
    this.#known.set(identity, { supports, untilMs });
  }
}

/** Parameters do not make another user. */
function identityKey(uri: string): string {
  const end = uri.indexOf(';');
  return (end < 0 ? uri : uri.slice(0, end)).toLowerCase();
}

/** The handset's REGISTER: the body itself, or a part of multipart/mixed beside the S-CSCF's answer. */
function innerRegister(message: SipMessage): SipMessage | undefined {
  const type = parseContentType(message.first('content-type') ?? '');
  const { body } = message;
  if (type?.type === 'message/sip') return asRegister(body);
  if (type === undefined || !type.type.startsWith('multipart/')) return undefined;
  const parts: BodyPart[] = splitMultipart(body, type.params.get('boundary') ?? '') ?? [];
  for (const part of parts) {
    const inner = part.contentType.type === 'message/sip' ? asRegister(body.slice(part.start, part.end)) : undefined;
    if (inner !== undefined) return inner;
  }
  return undefined;
}

function asRegister(text: string): SipMessage | undefined {
  const parsed = parseMessage(text);
  const message = 'message' in parsed ? parsed.message : parsed.error.replyable;
  return message?.method === 'REGISTER' && message.isRequest ? message : undefined;
}
