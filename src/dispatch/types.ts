import type { Flow } from '../sip/types.ts';

/** A flow as the worker learns it once, before the first message over it. */
export interface FlowFrame {
  /** Index into the configured listeners. */
  readonly listener: number;
  readonly flow: Flow;
}

/** Requests to address:port may use this connection from now on (`alias`, RFC 5923). */
export interface AliasFrame {
  readonly listener: number;
  readonly connection: string;
  readonly address: string;
  readonly port: number;
}

/** The connection goes by a name under `.invalid` (RFC 7118 5.1). */
export interface ClaimFrame {
  readonly listener: number;
  readonly connection: string;
  readonly name: string;
}

/** A name under `.invalid` that a connection of that listener goes by. */
export interface NameOfListener {
  readonly listener: number;
  readonly name: string;
}
