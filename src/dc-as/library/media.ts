import { randomBytes } from 'node:crypto';
import { createCertificate } from '../../dtls/certificate.ts';
import { EngineClient } from '../../mf/engine/client.ts';
import { workerCommand } from '../../mf/engine/worker-command.ts';
import { PortPool } from '../../mf/ports.ts';
import { DcAsConnections } from './connections.ts';
import type { DcAsOptions, DtlsOptions, Room } from './server.ts';

export interface DcAsMedia {
  readonly connections: DcAsConnections;
  close(): Promise<void>;
}

/** Starts what ends DTLS at a DC AS: a media worker, with a certificate for the life of this process. */
export async function startMedia(
  { log, maxChannels = 10_000, maxMessageSizeBytes = 262_144 }: DcAsOptions,
  { address, engine: kind = 'auto', firstPort, lastPort }: DtlsOptions,
  room: Pick<Room, 'open' | 'serve'>,
): Promise<DcAsMedia> {
  const certificate = await createCertificate({
    nowMs: Date.now(),
    random: (bytes) => randomBytes(bytes).toString('hex'),
  });
  const engine = await EngineClient.start({
    command: workerCommand(kind, log),
    certificatePem: certificate.certificatePem,
    keyPem: certificate.privateKeyPem,
    log,
    limits: { maxMessageSizeBytes },
  });
  const ports = new PortPool({ first: firstPort, last: lastPort, nowMs: () => Math.floor(performance.now()) });
  const connections = new DcAsConnections({
    engine,
    ports,
    address,
    maxConnections: maxChannels,
    open: (ticket) => room.open(ticket),
    serve: (carrier, facts, ticket) => room.serve(carrier, facts, ticket),
    log,
  });
  return {
    connections,
    close: async () => {
      connections.close();
      await engine.close();
    },
  };
}
