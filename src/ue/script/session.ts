import { ImsdcError } from '../../errors.ts';
import type { UeCall } from '../call/call.ts';
import { IncomingCall } from '../call/incoming.ts';
import type { UserEquipment } from '../user-equipment.ts';
import { nowMs, type Output } from './output.ts';

/** What the commands of one script share: the UE, and the call they are about. */
export class ScriptSession {
  readonly ue: UserEquipment;
  readonly output: Output;
  #call: UeCall | null = null;

  constructor(ue: UserEquipment, output: Output) {
    this.ue = ue;
    this.output = output;
    ue.on('incoming', (call) => {
      this.watch(call);
      this.event('incoming', { from: call.invite.first('p-asserted-identity') ?? call.invite.first('from') });
    });
  }

  /** The newest call. Throws USAGE when there is none. */
  get call(): UeCall {
    if (!this.#call) throw new ImsdcError('USAGE', { problem: 'there is no call: use `call` or `answer` first' });
    return this.#call;
  }

  get incomingCall(): IncomingCall {
    if (!(this.#call instanceof IncomingCall)) throw new ImsdcError('USAGE', { problem: 'nobody has called' });
    return this.#call;
  }

  event(event: string, details: Readonly<Record<string, unknown>> = {}): void {
    this.output.write({ at: nowMs(), event, ...details });
  }

  /** Makes `call` the one that commands are about, and prints what happens to it. */
  watch(call: UeCall): void {
    if (this.#call === call) return;
    this.#call = call;
    call.on('state', (state) => this.event('call', { state }));
    call.on('negotiated', ({ local, remote }) => this.event('negotiated', { local, remote }));
    call.on('association', ({ slot, state, role, reason, farFingerprint }) =>
      this.event('association', { slot, state, role, reason, farFingerprint }),
    );
    call.on('channel', (channel) => {
      const { streamId, stream } = channel;
      channel.on('open', () => this.event('channel', { streamId, state: 'open', label: stream.label }));
      channel.on('closed', ({ reason }) => this.event('channel', { streamId, state: 'closed', reason }));
    });
    call.on('ended', (end) => this.event('ended', { ...end }));
  }
}
