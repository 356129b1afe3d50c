import { describe } from 'node:test';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import { backPressureCases } from './back-pressure.ts';
import { failureCases } from './failures.ts';
import { flowCases } from './flow.ts';
import { handshakeCases } from './handshake.ts';
import { messageCases } from './messages.ts';
import { payloadCases } from './payload.ts';
import { streamCases } from './streams.ts';
import { wireCases } from './wire.ts';

/** What every worker program must do, whatever it is made of; where it cannot, it refuses with the documented code. */
export function engineContract(name: string, command: WorkerCommand): void {
  describe(`engine contract: ${name}`, { concurrency: 1 }, () => {
    for (const cases of [
      handshakeCases,
      messageCases,
      streamCases,
      payloadCases,
      backPressureCases,
      flowCases,
      failureCases,
      wireCases,
    ]) {
      cases(command);
    }
  });
}
