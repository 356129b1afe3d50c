/** The SIP core without sockets: messages, transactions, dialogs, reliable provisional responses. */
export * from './dialog.ts';
export * from './message/index.ts';
export * from './overload/index.ts';
export * from './reliable.ts';
export * from './transaction/index.ts';
export type * from './types.ts';
