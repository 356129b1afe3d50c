/** The transaction layer: four pure machines and the layer that keys, bounds and wires them. */
export { defaultPort, responseDestination } from './derived.ts';
export { clientKey, MAGIC_COOKIE, serverKey } from './keys.ts';
export { DEFAULT_MAX_TRANSACTIONS, type TransactionLayerOptions, Transactions } from './layer.ts';
export { RFC3261_TIMERS, type TimerValues, UE_ACCESS_TIMERS } from './timing.ts';
