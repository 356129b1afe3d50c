import { CHANNELS_CLOSED } from '../../services/nimsas.ts';
import { lineById } from '../media/state.ts';
import { knownChannel, notify } from './notify.ts';
import type { Turn } from './turn.ts';

/**
 * The DC AS of a line has closed the last of its channels, says the MF. What becomes of the line the DCSF decides
 * (DELETE_MEDIA, 29.175): nothing waits for it.
 */
export function channelsClosed(turn: Turn, mediaId: string): void {
  const { call } = turn;
  const line = call.media === null ? undefined : lineById(call.media, mediaId);
  if (call.state !== 'established' || line?.state !== 'open' || line.spec?.mdc2 === undefined) return;
  notify(turn, CHANNELS_CLOSED, 'served', { [mediaId]: knownChannel(line) });
}
