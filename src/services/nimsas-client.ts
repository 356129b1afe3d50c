import { ImsdcError } from '../errors.ts';
import { SbiClient, type SbiClientOptions, type SbiRequest, type SbiResponse } from '../sbi/client.ts';
import { readProblem } from '../sbi/problem.ts';
import {
  type MediaControl,
  type MediaInstructionData,
  NIMSAS_MC_PATH,
  type SessionEventControl,
  type SessionEventNotification,
} from './nimsas.ts';
import { alphaNotification } from './nimsas-alpha.ts';
import { readInstructions } from './nimsas-read.ts';

export interface SessionEventClientOptions extends Omit<SbiClientOptions, 'apiRoot'> {
  /** The DCSF's notification URI, whole: the API does not convey it (network-side.md 3.1). */
  readonly notificationUri: string;
  /** Which schemas the DCSF follows. Default `rel19`. */
  readonly generation?: 'alpha' | 'rel19';
}

/** TS 29.500 5.2.3.2.3: what a notification is a callback of. */
const CALLBACK = 'Nimsas_SessionEventControl_Notify';
/** The DCSF's share of the 3 s that a network has (R17). */
const INSTRUCTION_BUDGET_MS = 2_000;

/** Nimsas_SessionEventControl towards a DCSF over HTTP/2; the IMS AS's end. */
export class SessionEventClient implements SessionEventControl {
  readonly #sbi: SbiClient;
  readonly #path: string;
  readonly #alpha: boolean;
  readonly #keys = new KeySeries();

  constructor(options: SessionEventClientOptions) {
    const { pathname, search } = new URL(options.notificationUri);
    this.#path = pathname + search;
    this.#alpha = options.generation === 'alpha';
    this.#sbi = new SbiClient({ ...options, apiRoot: new URL(options.notificationUri).origin });
  }

  /** Rejects with NIMSAS_* or, for 403, DCSF_NOT_AUTHORISED. */
  async notify(notification: SessionEventNotification, { deadlineMs }: { deadlineMs: number }): Promise<void> {
    const body = this.#alpha ? alphaNotification(notification) : notification;
    const idempotencyKey = this.#keys.next(notification.sessionId);
    const request: SbiRequest = {
      method: 'POST',
      path: this.#path,
      body,
      deadlineMs,
      idempotencyKey,
      callback: CALLBACK,
    };
    const response = await answered(this.#sbi, request);
    if (response.status < 300) return;
    const { detail } = readProblem(response.status, response.body);
    if (response.status === 403)
      throw new ImsdcError('DCSF_NOT_AUTHORISED', { reason: detail ?? 'refused by the DCSF' });
    throw refused(this.#sbi, response);
  }

  close(): Promise<void> {
    return this.#sbi.close();
  }
}

/** Nimsas_MediaControl towards an IMS AS over HTTP/2; the DCSF's end. */
export class MediaControlClient implements MediaControl {
  readonly #sbi: SbiClient;

  constructor(options: SbiClientOptions) {
    this.#sbi = new SbiClient(options);
  }

  /** Rejects with NIMSAS_*. */
  async mediaInstruction(
    data: MediaInstructionData,
    { idempotencyKey }: { idempotencyKey: string },
  ): Promise<MediaInstructionData | undefined> {
    const response = await answered(this.#sbi, {
      method: 'POST',
      path: `${NIMSAS_MC_PATH}/call-sessions/${encodeURIComponent(data.sessionId)}/media-instruction`,
      body: data,
      deadlineMs: Date.now() + INSTRUCTION_BUDGET_MS,
      idempotencyKey,
    });
    if (response.status >= 300) throw refused(this.#sbi, response);
    if (response.body === undefined) return undefined;
    try {
      return readInstructions(response.body);
    } catch (cause) {
      throw new ImsdcError(
        'NIMSAS_MALFORMED',
        { peer: this.#sbi.origin, problem: (cause as Error).message },
        { cause },
      );
    }
  }

  close(): Promise<void> {
    return this.#sbi.close();
  }
}

/** A notification has no key of its own; the sender's number of it is one. */
class KeySeries {
  readonly #start = crypto.randomUUID();
  #serial = 0;

  next(sessionId: string): string {
    return `${sessionId}:${this.#start}.${++this.#serial}`;
  }
}

async function answered(sbi: SbiClient, request: SbiRequest): Promise<SbiResponse> {
  try {
    return await sbi.request(request);
  } catch (cause) {
    if (!(cause instanceof ImsdcError)) throw cause;
    const code =
      cause.code === 'SBI_TIMEOUT'
        ? 'NIMSAS_TIMEOUT'
        : cause.code === 'SBI_MALFORMED'
          ? 'NIMSAS_MALFORMED'
          : 'NIMSAS_UNAVAILABLE';
    throw new ImsdcError(code, { peer: sbi.origin, problem: cause.message }, { cause });
  }
}

function refused(sbi: SbiClient, { status, body }: SbiResponse): ImsdcError {
  const { detail, cause, title, invalidParams } = readProblem(status, body);
  const code =
    status === 503 || status === 429 ? 'NIMSAS_UNAVAILABLE' : status === 504 ? 'NIMSAS_TIMEOUT' : 'NIMSAS_REFUSED';
  const problem = [status, cause, detail ?? title].filter(Boolean).join(' ');
  return new ImsdcError(code, { peer: sbi.origin, status, problem, invalidParams });
}
