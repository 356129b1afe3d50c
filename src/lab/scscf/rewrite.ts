import { MessageWriter, type ParsedMessage } from '../../sip/message/index.ts';

/** What a proxy changes in a request it forwards (RFC 3261 16.6). Everything else leaves as it came. */
export interface ForwardChange {
  readonly requestUri: string;
  /** The new topmost Via value. */
  readonly via: string;
  /** Record-Route value to put above the others. */
  readonly recordRoute?: string;
  /** All Route values that shall remain, in order. */
  readonly routes: readonly string[];
  readonly maxForwards: number;
  /** Header values to set: fields of the same name are replaced. Names in lower case. */
  readonly set?: ReadonlyMap<string, string>;
  /** Header names to leave out, in lower case. */
  readonly remove?: readonly string[];
}

/** RFC 3261 8.1.1.6 */
export const INITIAL_MAX_FORWARDS = 70;

const REWRITTEN = ['via', 'route', 'max-forwards', 'content-length'];

export function forwardedRequest(message: ParsedMessage, change: ForwardChange): string {
  const writer = MessageWriter.request(message.method, change.requestUri)
    .header('Via', change.via)
    .copy(message, 'via')
    .headers('Route', change.routes);
  if (change.recordRoute !== undefined) writer.header('Record-Route', change.recordRoute);
  writer.header('Max-Forwards', change.maxForwards);
  const set = change.set ?? new Map<string, string>();
  writer.copyExcept(message, new Set([...REWRITTEN, ...(change.remove ?? []), ...set.keys()]));
  for (const [name, value] of set) writer.header(properCase(name), value);
  return writer.finish(message.body);
}

/** The response without its topmost Via value, which is ours (RFC 3261 16.7 step 3). */
export function forwardedResponse(message: ParsedMessage): string {
  return MessageWriter.response(message.status, message.reason)
    .headers('Via', message.list('via').slice(1))
    .copyExcept(message, RESPONSE_REWRITTEN)
    .finish(message.body);
}

const RESPONSE_REWRITTEN = new Set(['via', 'content-length']);

function properCase(name: string): string {
  return name.replace(/(^|-)([a-z])/g, (part) => part.toUpperCase());
}
