/**
 * HTTP/1.1 on the messages of a bootstrap data channel (TS 26.114 6.2.10.1; the mapping onto messages is that of
 * deployed handsets: each direction is one byte stream, cut anywhere).
 */

/** Name as it came or shall go, value without blanks around it. Order and repetition are kept. */
export type HttpHeader = readonly [name: string, value: string];

export interface HttpRequest {
  readonly method: string;
  /** As it came: origin-form, absolute-form or whatever the UE wrote. `originForm` reduces it. */
  readonly target: string;
  readonly headers: readonly HttpHeader[];
  readonly body: Uint8Array;
}

export interface HttpResponseHead {
  readonly status: number;
  /** Default: the usual phrase of the status. */
  readonly reason?: string;
  readonly headers: readonly HttpHeader[];
}

export interface HttpResponse extends HttpResponseHead {
  readonly body: Uint8Array;
}

/** Value of the first header of that name (any case); undefined if there is none, '' if it is empty. */
export function header(headers: readonly HttpHeader[], name: string): string | undefined {
  const wanted = name.toLowerCase();
  return headers.find(([n]) => n.toLowerCase() === wanted)?.[1];
}

/** Both readers: status line or request line and headers. Bytes. */
export const MAX_HEAD_BYTES = 16 * 1024;
/** Messages we send: RFC 8831 6.6, without interleaving larger ones block the association's other streams. Bytes. */
export const MAX_SENT_MESSAGE_BYTES = 16 * 1024;
export const MAX_HEADERS = 100;
