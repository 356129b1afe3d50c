/** Text as a string, binary as bytes. */
export type DcAsMessage = string | Uint8Array;

/** `failed`: the application threw; `goingAway`: this process ends. */
export type ChannelEnd = 'done' | 'failed' | 'goingAway';

/** What carries one channel: a WebSocket, or a stream of an SCTP association (docs/mdc2.md). */
export interface ChannelCarrier {
  readonly open: boolean;
  /** Bytes that were sent and are still here, because the UE is slow. */
  readonly bufferedBytes: number;
  /** Called once, before anything else. `closed` comes once, after the last message. */
  listen(listener: { message(message: DcAsMessage): void; closed(reason: string): void }): void;
  /** Resolves when the message has left this process; false: the channel is closed. */
  send(message: DcAsMessage): Promise<boolean>;
  /** The application has read one message; `unread` still wait. Messages may be held back by whoever carries them. */
  read(message: DcAsMessage, unread: number): void;
  /** So many messages wait for the application. */
  waiting(unread: number): void;
  /** Ends the channel behind what was sent. Default `done`: nothing more will come, and the line may end, too. */
  close(reason: string, why?: ChannelEnd): void;
}
