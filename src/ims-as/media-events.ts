import type { Logger } from '../base/log.ts';
import { SbiServer } from '../sbi/server.ts';
import type { MediaEvent } from '../services/nmf-mrm.ts';
import { mediaEventRoute } from '../services/nmf-mrm-server.ts';
import type { ImsAsConfig } from './config.ts';
import type { Dispatcher } from './dispatcher.ts';

/** Where MFs post what happens to our contexts (R25). */
export const MEDIA_EVENT_PATH = '/imsdc-media-events/v1/events';

export async function listenForMediaEvents(config: ImsAsConfig, log: Logger, take: (event: MediaEvent) => void) {
  const { address, port, url } = config.mediaEvents;
  const server = new SbiServer({ host: address, port, tls: config.mf.tls, log });
  server.route(mediaEventRoute(MEDIA_EVENT_PATH, take));
  await server.listen();
  return { server, url: url ?? server.origin + MEDIA_EVENT_PATH };
}

/** R25: a context that is lost is repaired by the call; one association that fails is the UE's affair, and logged. */
export function mediaEvent(dispatcher: Dispatcher, log: Logger, event: MediaEvent): void {
  if (event.state === 'failed') log.info({ ...event }, 'association failed');
  const { contextId, mediaId, state } = event;
  if (state === 'serverClosed') dispatcher.serverClosed({ contextId, mediaId });
  if (event.reason === 'workerExit' || event.reason === 'workerHung')
    dispatcher.contextLost(event.contextId, `MF lost the context: ${event.reason}`);
}
