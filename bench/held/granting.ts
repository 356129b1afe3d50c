import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { MediaContext } from '../../src/services/nmf-mrm.ts';
import { FINGERPRINT } from './sip-peers.ts';

export interface GrantingMf {
  /** `http://127.0.0.1:port` */
  readonly origin: string;
  close(): void;
}

const JSON_TYPE = { 'content-type': 'application/json' };

/**
 * An MF that grants everything, without a look at what it is asked: what a call keeps of it is the same, and the rigs have
 * their cores for those who are measured.
 */
export async function grantingMf(): Promise<GrantingMf> {
  let serial = 0;
  const id = () => (serial++).toString(36).padStart(20, 'm');
  const granted = (body: MediaContext): MediaContext => ({
    contextId: `mf.0.${id()}`,
    terminations: body.terminations.map((termination) => ({
      ...termination,
      medias: termination.medias.map((media) => ({
        ...media,
        localMbEndpoint: { ip: { ipv4Addr: '198.18.0.77' }, portNumber: 10_000 + (serial++ % 50_000) },
        dcMedia: {
          ...media.dcMedia!,
          localDcEndpoint: { sctpPort: 5000, fingerprints: [`SHA-256 ${FINGERPRINT}`], tlsId: id() },
        },
      })),
    })),
  });
  const sessions = new Set<ServerHttp2Session>();
  const server = createHttp2Server();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('end', () => {
      // A request that its client gave up ends too, with what had come of it.
      if (stream.aborted) return;
      if (headers[':method'] !== 'POST') {
        stream.respond({ ':status': 204 }, { endStream: true });
        return;
      }
      const context = granted(JSON.parse(Buffer.concat(chunks).toString()) as MediaContext);
      stream.respond({ ':status': 201, location: `/nmf-mrm/v1/contexts/${context.contextId}`, ...JSON_TYPE });
      stream.end(JSON.stringify(context));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () => {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

/** A repository that takes every grant. */
export async function grantingRepository(): Promise<Server> {
  const answer = JSON.stringify({ bootId: 'bench', accepted: 0, refused: 0, applications: [] });
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.end(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

export const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
