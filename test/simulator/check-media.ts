import { attribute, attributes } from '../../src/sdp/lines.ts';
import type { MediaContext, MediaInfo } from '../../src/services/nmf-mrm.ts';
import type { UeMedia } from './ue-media.ts';
import { Violation } from './violation.ts';

const fail = (detail: string): never => {
  throw new Violation('the MF holds what the SDP says', detail);
};

/** In a quiet moment, what the MF has for one leg must be what that leg's handset was told and said. */
export function checkTermination(
  ue: UeMedia,
  name: string,
  context: MediaContext,
  address: string,
  leg: 'served' | 'remote',
): void {
  const medias = context.terminations.filter((t) => t.terminationId.startsWith(leg)).flatMap((t) => t.medias);
  for (const media of medias) checkMedia(ue, name, media);
  for (const [at, slot] of ue.slots.entries()) {
    if (slot.kind === 'audio' || !slot.live) continue;
    const told = ue.received?.media[at];
    const ours = told?.lines.some((line) => line === `c=IN IP4 ${address}`) ?? false;
    const held = medias.some((media) => media.localMbEndpoint?.portNumber === told?.port);
    if (ours && !held) fail(`${name} slot ${at} was told port ${told?.port} of the MF, which does not hold it`);
  }
}

/** No live line of a handset may lead to one of the network's MFs that does not hold it for this call (R25). */
export function checkAnchors(
  ue: UeMedia,
  name: string,
  context: MediaContext | undefined,
  addresses: readonly string[],
): void {
  const medias = context?.terminations.flatMap((termination) => termination.medias) ?? [];
  for (const [at, slot] of ue.slots.entries()) {
    const told = ue.received?.media[at];
    if (slot.kind === 'audio' || !slot.live || told === undefined || told.port === 0) continue;
    const address = addresses.find((one) => told.lines.includes(`c=IN IP4 ${one}`));
    if (address === undefined) continue;
    const held = medias.some(
      ({ localMbEndpoint }) => localMbEndpoint?.portNumber === told.port && localMbEndpoint.ip.ipv4Addr === address,
    );
    if (!held) throw new Violation('no leg points to a lost context', `${name} slot ${at}: ${address} ${told.port}`);
  }
}

function checkMedia(ue: UeMedia, name: string, media: MediaInfo) {
  const { mediaId, localMbEndpoint, remoteMbEndpoint, dcMedia } = media;
  if (remoteMbEndpoint === undefined) return fail(`${name} ${mediaId}: the MF was never told the address`);
  const at = ue.slots.findIndex((slot) => slot.live && portOf(slot.lines) === remoteMbEndpoint.portNumber);
  const slot = ue.slots[at];
  const told = ue.received?.media[at];
  if (slot === undefined || told === undefined)
    return fail(`${name} ${mediaId}: nobody is at port ${remoteMbEndpoint.portNumber}`);
  if (told.port !== localMbEndpoint?.portNumber)
    fail(`${name} ${mediaId}: told port ${told.port}, the MF has ${localMbEndpoint?.portNumber}`);
  if (dcMedia?.mediaProxyConfig === 'UDP_PROXY') return;
  const streams = Object.keys(dcMedia?.streams ?? {})
    .sort()
    .join();
  const announced = ids(told.lines);
  if (streams !== announced) fail(`${name} ${mediaId}: streams ${streams} at the MF, ${announced} in SDP`);
  const said = slot.lines;
  const tlsId = attribute(said, 'tls-id');
  if (tlsId !== dcMedia?.remoteDcEndpoint?.tlsId)
    fail(`${name} ${mediaId}: tls-id ${tlsId} said, the MF has ${dcMedia?.remoteDcEndpoint?.tlsId}`);
  const localTlsId = attribute(told.lines, 'tls-id');
  if (localTlsId !== undefined && localTlsId !== dcMedia?.localDcEndpoint?.tlsId)
    fail(`${name} ${mediaId}: tls-id ${localTlsId} told, the MF has ${dcMedia?.localDcEndpoint?.tlsId}`);
  const roles = [attribute(said, 'setup'), attribute(told.lines, 'setup')];
  const mf = dcMedia?.imsdc?.localSetup?.toLowerCase();
  const handset = roles[0] === 'actpass' ? (roles[1] === 'active' ? 'passive' : 'active') : roles[0];
  if (mf === handset || mf === 'actpass') fail(`${name} ${mediaId}: handset ${handset}, MF ${mf}`);
}

function portOf(lines: readonly string[]): number {
  return Number(lines[0]?.split(' ')[1]);
}

function ids(lines: readonly string[]): string {
  return attributes(lines, 'dcmap')
    .map((value) => String(Number.parseInt(value, 10)))
    .sort()
    .join();
}
