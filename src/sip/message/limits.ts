/** A whole message, start line to last body byte. Above: 513, and a stream connection is closed. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
/** One header line with its folds, or the start line. Above: 400 (start line: 414). */
export const MAX_LINE_BYTES = 16 * 1024;
/** Header lines of one message. Above: 400; real IMS requests carry about 40. */
export const MAX_HEADERS = 300;
/** Via lines of one message: Max-Forwards starts at 70, so an honest request never carries more. Above: 400. */
export const MAX_VIAS = 70;
/** Values of Contact, Route or Record-Route in a request: no path is longer than Max-Forwards. Above: 400. */
export const MAX_ADDRESS_VALUES = 70;
/** Parts of one multipart body, and how deep parts may nest. Above: the body is opaque to us. */
export const MAX_BODY_PARTS = 32;
export const MAX_BODY_NESTING = 3;
/** Largest CSeq: RFC 3261 8.1.1.5 says less than 2^31. */
export const MAX_CSEQ = 2 ** 31 - 1;
