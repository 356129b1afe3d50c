import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLogger } from '../../src/base/log.ts';
import { SbiServer } from '../../src/sbi/server.ts';
import { MediaContext } from '../../src/services/nmf-mrm.ts';
import { FINGERPRINT } from './sip-peers.ts';

/** An MF that grants everything: what a call keeps of it is the same. */
export async function grantingMf(): Promise<SbiServer> {
  const mf = new SbiServer({ host: '127.0.0.1', port: 0, log: silentLogger });
  let serial = 0;
  const id = () => (serial++).toString(36).padStart(20, 'm');
  mf.route<MediaContext>({
    method: 'POST',
    path: '/nmf-mrm/v1/contexts',
    body: MediaContext,
    handler: ({ body }) => {
      const contextId = `mf.0.${id()}`;
      const terminations = body.terminations.map((termination) => ({
        ...termination,
        medias: termination.medias.map((media) => ({
          ...media,
          localMbEndpoint: { ip: { ipv4Addr: '198.18.0.77' }, portNumber: 10_000 + (serial++ % 50_000) },
          dcMedia: {
            ...media.dcMedia!,
            localDcEndpoint: { sctpPort: 5000, fingerprints: [`SHA-256 ${FINGERPRINT}`], tlsId: id() },
          },
        })),
      }));
      return {
        status: 201,
        headers: { location: `/nmf-mrm/v1/contexts/${contextId}` },
        body: { contextId, terminations },
      };
    },
  });
  const done = () => ({ status: 204 });
  const path = '/nmf-mrm/v1/contexts/:contextId';
  mf.route({ method: 'PATCH', path, body: {}, contentType: 'application/json-patch+json', handler: done });
  mf.route({ method: 'DELETE', path, handler: done });
  await mf.listen();
  return mf;
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
