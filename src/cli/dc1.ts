import { ImsdcError } from '../errors.ts';
import { SbiServer } from '../sbi/server.ts';
import type { MediaControl, SessionEventControl } from '../services/nimsas.ts';
import { MediaControlClient, SessionEventClient } from '../services/nimsas-client.ts';
import { mediaControlRoute, sessionEventRoute } from '../services/nimsas-server.ts';
import type { ProcessContext } from './process.ts';

/** Where our DCSF takes session events: the API does not convey the URI, so it is configured at the IMS AS (3.1). */
export const NOTIFICATION_PATH = '/imsdc-session-events/v1/notifications';

type Closable = { close(): Promise<void> };

/** A DCSF that runs elsewhere. Throws CONFIG_INVALID without its address, or without our end for its instructions. */
export function remoteDcsf(context: ProcessContext): SessionEventControl & Closable {
  const { config, log, metrics, token } = context;
  const { notificationUri, listen, generation, tls } = config.dc1;
  if (notificationUri === undefined) throw missing(context, 'dc1.notificationUri', 'is needed without the role dcsf');
  if (listen === undefined)
    throw missing(context, 'dc1.listen', 'is needed: a DCSF elsewhere sends instructions there');
  return new SessionEventClient({
    notificationUri,
    generation,
    userAgent: `IMS_AS-${token.instance}`,
    tls,
    log,
    metrics,
  });
}

/** An IMS AS that runs elsewhere. Throws CONFIG_INVALID as `remoteDcsf` does. */
export function remoteImsAs(context: ProcessContext): MediaControl & Closable {
  const { config, log, metrics, token } = context;
  const { imsAsApiRoot, listen, tls } = config.dc1;
  if (imsAsApiRoot === undefined) throw missing(context, 'dc1.imsAsApiRoot', 'is needed without the role ims-as');
  if (listen === undefined) throw missing(context, 'dc1.listen', 'is needed: an IMS AS elsewhere posts events there');
  return new MediaControlClient({ apiRoot: imsAsApiRoot, userAgent: `DCSF-${token.instance}`, tls, log, metrics });
}

/** Our ends of DC1 over HTTP/2, where `dc1.listen` asks for it. */
export async function serveDc1(
  { config, log, metrics }: ProcessContext,
  ends: { readonly dcsf: SessionEventControl | undefined; readonly imsAs: MediaControl | undefined },
): Promise<{ readonly origin: string; close(): Promise<void> } | undefined> {
  const { listen, tls } = config.dc1;
  if (!listen) return undefined;
  const server = new SbiServer({ host: listen.address, port: listen.port, tls, log, metrics });
  if (ends.dcsf) server.route(sessionEventRoute(NOTIFICATION_PATH, ends.dcsf));
  if (ends.imsAs) server.route(mediaControlRoute(ends.imsAs));
  await server.listen();
  return server;
}

/** CONFIG_INVALID for a key that this combination of roles cannot do without. */
export function missing({ configFile }: ProcessContext, key: string, problem: string): ImsdcError {
  return new ImsdcError('CONFIG_INVALID', { file: configFile ?? '(defaults)', line: 0, key, problem });
}
