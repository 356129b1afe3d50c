import { replacedUrl } from '../../channel-http/target.ts';
import { type HttpRequest, header } from '../../channel-http/types.ts';

/** What is asked for over MDC1 in place of a UE's request. */
export interface Mdc1Request {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a handset may ask of a repository; anything else ends here with 405. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST']);
export const ALLOWED_METHODS = [...METHODS].join(', ');
export const isAllowedMethod = (method: string) => METHODS.has(method);

/**
 * Header fields that say something about content. Nothing else of a UE travels on: identity comes from the URL's token
 * (R27), and hop-by-hop fields are ours. `Terminal-*`-like vendor data is in the query.
 */
const PASSED = ['accept', 'accept-encoding', 'accept-language', 'content-type', 'if-none-match', 'range', 'user-agent'];
/** The profile switch of handsets that send no space after a colon or an empty value looks at the field's presence. */
const MAX_VALUE_BYTES = 1_024;

/**
 * The request of a UE, turned to its replacement URL (TS 29.176 ReplaceHttpUrl, R27).
 *
 * @throws ImsdcError CHANNEL_HTTP_BAD_HEAD for targets that lead elsewhere
 */
export function toMdc1(request: HttpRequest, replaceHttpUrl: string): Mdc1Request {
  const headers: Record<string, string> = {};
  for (const name of PASSED) {
    const value = header(request.headers, name);
    // Characters that node refuses in a value would fail the whole request.
    if (value !== undefined && value.length <= MAX_VALUE_BYTES && /^[\x20-\x7e\x80-\xff\t]*$/.test(value)) {
      headers[name] = value;
    }
  }
  return {
    method: request.method.toUpperCase(),
    url: new URL(replacedUrl(replaceHttpUrl, request.target)),
    headers,
    body: request.body,
  };
}
