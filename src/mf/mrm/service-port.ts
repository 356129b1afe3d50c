import type { HeldSink } from './held.ts';

/** Where the messages of streams that end at the MF go. */
export interface ServicePort<Target> {
  /** Before the stream's route is set. Another target for a stream that is served already replaces it. */
  serve(stream: { key: string; streamId: number }, target: Target): void;
  end(stream: { key: string; streamId: number }): void;
  /** All streams of an association that is gone. */
  endAll(key: string): void;
}
/** ../bootstrap: HTTP to the repository, over MDC1. */
export type BootstrapPort = ServicePort<BootstrapTarget>;
/** ../application: messages to a DC AS, over MDC2. `serve` throws MF_NO_RESOURCES when there is no room. */
export type ApplicationPort = ServicePort<ApplicationTarget>;
export type ApplicationTarget = Extract<HeldSink, { kind: 'mdc2' }>;
export interface BootstrapTarget {
  readonly replaceHttpUrl: string;
  readonly address: string;
  readonly port: number;
  readonly peerMaxMessageSizeBytes: number;
}
