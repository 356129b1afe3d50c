/** The message layer: bytes to a lazy view, and text back to bytes. Pure. */
export { type Address, parseAddress, splitList } from './address.ts';
export { checkRequest, type Refusal, type RequestPolicy } from './check.ts';
export { TRUST_DOMAIN_HEADERS, withoutHeaders, withTopVia } from './edit.ts';
export * from './limits.ts';
export { ParsedMessage } from './message.ts';
export { type BodyPart, findSdp, replaceSdp, type SdpSpan, splitMultipart } from './multipart.ts';
export { Params, type ReadonlyParams, unquote } from './params.ts';
export { decodeLatin1, type MessageError, type ParseResult, parseMessage } from './parse.ts';
export { isPriorityRequest } from './priority.ts';
export { reasonPhrase } from './reasons.ts';
export {
  bareHost,
  formatUri,
  normaliseEscapes,
  type OpaqueUri,
  parseUri,
  type SipUri,
  schemeOf,
  type TelUri,
  type Uri,
  uriEquals,
} from './uri.ts';
export * from './values.ts';
export { type ParsedVia, parseVia, sentBy } from './via.ts';
export { buildResponse, MessageWriter, type ResponseOptions } from './writer.ts';
