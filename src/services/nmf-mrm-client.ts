import type { Logger } from '../base/log.ts';
import { ImsdcError } from '../errors.ts';
import { SbiClient, type SbiClientOptions, type SbiResponse } from '../sbi/client.ts';
import { readProblem, SbiProblem } from '../sbi/problem.ts';
import { requireValid } from '../sbi/validation.ts';
import { MediaContext, type MrmRequestOptions, NMF_MRM_PATH, type NmfMrm, type PatchItem } from './nmf-mrm.ts';
import { alphaContext, alphaPatch } from './nmf-mrm-alpha.ts';

export interface NmfMrmClientOptions extends SbiClientOptions {
  /**
   * Which schemas the MF follows: `alpha` gets HTTP and UDP as proxy values, hexadecimal tls-ids, no vendor members
   * (R3, R4, R12). Default `rel19`.
   */
  readonly generation?: 'alpha' | 'rel19';
}

const CONTEXTS = `${NMF_MRM_PATH}/contexts`;
const ANNOUNCE_TIMEOUT_MS = 2_000;
/** Nobody waits for it. */
const LATE_DELETE_MS = 10_000;

/** Nmf_MRM over HTTP/2 (TS 29.176 5.2). One instance per MF. */
export class NmfMrmClient implements NmfMrm {
  readonly #sbi: SbiClient;
  readonly #alpha: boolean;
  readonly #log: Logger;

  constructor(options: NmfMrmClientOptions) {
    this.#alpha = options.generation === 'alpha';
    this.#log = options.log;
    this.#sbi = new SbiClient({
      ...options,
      // Says who is at the other end of this session: a PING has no headers, and leases hang on PINGs (R25).
      onConnected: () => {
        this.#sbi
          .request({ method: 'OPTIONS', path: CONTEXTS, deadlineMs: Date.now() + ANNOUNCE_TIMEOUT_MS })
          .catch((error: Error) => options.log.debug({ reason: error.message }, 'MF did not take our announcement'));
        options.onConnected?.();
      },
    });
  }

  /** Who it talks to, for logs. */
  get peer(): string {
    return this.#sbi.origin;
  }

  async createContext(context: MediaContext, options: MrmRequestOptions) {
    const body = this.#alpha ? alphaContext(context) : context;
    let response: SbiResponse;
    try {
      response = await this.#request('POST', CONTEXTS, options, '', body);
    } catch (error) {
      if (error instanceof ImsdcError && error.code === 'MRM_TIMEOUT') this.#deleteLate(body, options);
      throw error;
    }
    const created = this.#readContext(response);
    const contextId = created?.contextId ?? idFromLocation(response.headers.get('location'));
    if (!created || !contextId) throw this.#malformed('201 without a context and its id');
    return { ...created, contextId };
  }

  async patchContext(contextId: string, items: readonly PatchItem[], options: MrmRequestOptions) {
    const body = this.#alpha ? alphaPatch(items) : items;
    // What an alpha MF does not know may be all there was.
    if (body.length === 0) return undefined;
    return this.#readContext(await this.#request('PATCH', pathOf(contextId), options, contextId, body));
  }

  async deleteContext(contextId: string, options: MrmRequestOptions): Promise<void> {
    try {
      await this.#request('DELETE', pathOf(contextId), options, contextId);
    } catch (error) {
      if (!(error instanceof ImsdcError && error.code === 'MRM_NOT_FOUND')) throw error;
    }
  }

  close(): Promise<void> {
    return this.#sbi.close();
  }

  /**
   * R17: a late 201 gets a DELETE. The answer that we no longer waited for is asked for once more with the same
   * idempotency key, which creates nothing twice; without a key, asking would.
   */
  #deleteLate(context: MediaContext, { idempotencyKey }: MrmRequestOptions): void {
    if (idempotencyKey === undefined) return;
    const deadlineMs = Date.now() + LATE_DELETE_MS;
    this.#request('POST', CONTEXTS, { idempotencyKey, deadlineMs }, '', context)
      .then(async (response) => {
        const contextId = this.#readContext(response)?.contextId ?? idFromLocation(response.headers.get('location'));
        if (contextId) await this.deleteContext(contextId, { deadlineMs });
      })
      .catch((error: Error) => this.#log.warn({ reason: error.message }, 'a context may be left at the MF'));
  }

  async #request(
    method: 'DELETE' | 'PATCH' | 'POST',
    path: string,
    { deadlineMs, idempotencyKey, priority }: MrmRequestOptions,
    contextId: string,
    body?: unknown,
  ): Promise<SbiResponse> {
    const contentType = method === 'PATCH' ? 'application/json-patch+json' : 'application/json';
    let response: SbiResponse;
    try {
      response = await this.#sbi.request({ method, path, body, contentType, deadlineMs, idempotencyKey, priority });
    } catch (error) {
      throw this.#unanswered(error);
    }
    if (response.status < 300) return response;
    const details = readProblem(response.status, response.body);
    throw new ImsdcError(codeOf(response.status), {
      peer: this.peer,
      contextId,
      status: response.status,
      cause: details.cause ?? '',
      detail: details.detail ?? details.title ?? '',
      invalidParams: details.invalidParams,
    });
  }

  #unanswered(error: unknown): ImsdcError {
    if (!(error instanceof ImsdcError)) throw error;
    const details = { peer: this.peer, detail: error.message, endedByPeer: error.details.endedByPeer === true };
    if (error.code === 'SBI_TIMEOUT' || error.code === 'SBI_INTERRUPTED')
      return new ImsdcError('MRM_TIMEOUT', details, { cause: error });
    if (error.code === 'SBI_MALFORMED') return new ImsdcError('MRM_MALFORMED', details, { cause: error });
    return new ImsdcError('MRM_UNAVAILABLE', details, { cause: error });
  }

  #readContext(response: SbiResponse): MediaContext | undefined {
    if (response.body === undefined) return undefined;
    try {
      requireValid<MediaContext>(MediaContext, response.body);
    } catch (error) {
      throw this.#malformed(error instanceof SbiProblem ? error.message : String(error));
    }
    return response.body;
  }

  #malformed(detail: string): ImsdcError {
    return new ImsdcError('MRM_MALFORMED', { peer: this.peer, detail });
  }
}

const pathOf = (contextId: string) => `${CONTEXTS}/${encodeURIComponent(contextId)}`;

/** `{apiRoot}/nmf-mrm/v1/contexts/{contextId}` (TS 29.176 6.1.3.2.3.1). */
function idFromLocation(location: string | undefined): string | undefined {
  const last = location?.split('/').pop();
  if (!last) return undefined;
  try {
    return decodeURIComponent(last);
  } catch {
    return undefined; // As good as none.
  }
}

function codeOf(status: number) {
  if (status === 404) return 'MRM_NOT_FOUND';
  if (status === 409 || status === 412) return 'MRM_CONFLICT';
  if (status === 429 || status === 503) return 'MRM_UNAVAILABLE';
  if (status === 504) return 'MRM_TIMEOUT';
  return status < 500 ? 'MRM_REJECTED' : 'MRM_FAILED';
}
