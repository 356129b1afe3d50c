import { formatFingerprint } from '../../dtls/fingerprint.ts';
import type { DtlsRole } from '../../dtls/role.ts';
import type { Endpoint, SecuritySetup } from '../../services/common-data.ts';
import type { DcMedia, MediaContext, MediaInfo } from '../../services/nmf-mrm.ts';
import type { LocalEndpoint } from '../engine/types.ts';
import { entryId } from './desired.ts';
import type { Held, HeldAssociation } from './held.ts';

export interface RenderOptions {
  /** What UEs are told; differs from the bound address behind 1:1 NAT. */
  readonly publicAddress: string;
  /** Our client address on MDC1 (R27). */
  readonly mdc1Address: string;
  /** Likewise on MDC2. */
  readonly mdc2Address: string;
}

/** What the consumer wrote, in its order, and what the MF adds: the document that patches apply to. */
export function render(
  contextId: string,
  document: MediaContext,
  held: Held,
  options: RenderOptions,
): MediaContext & { contextId: string } {
  const associations = new Map<string, HeldAssociation>();
  for (const association of held.associations.values()) {
    for (const entry of association.entries) associations.set(entry, association);
  }
  const towardsDcAs = new Map([...held.associations.values()].map((association) => [association.mdc2Of, association]));
  const terminations = document.terminations.map((termination) => ({
    ...termination,
    medias: termination.medias.map((media) => {
      const id = entryId(termination.terminationId, media.mediaId);
      const association = associations.get(id);
      if (!association) return renderFlow(media, id, held, options);
      const rendered = renderAssociation(media, association, held.locals.get(association.key), options);
      const mdc2 = towardsDcAs.get(id);
      return mdc2 ? renderMdc2(rendered, held.locals.get(mdc2.key), options) : rendered;
    }),
  }));
  return { ...document, contextId, terminations };
}

/** The response: without the streams that cannot be opened (R13: the AS leaves them out of its answer). */
export function withoutRefused<T extends MediaContext>(document: T, held: Held): T {
  const refusing = [...held.associations.values()].filter(({ refused }) => refused.size > 0);
  if (refusing.length === 0) return document;
  const terminations = document.terminations.map((termination) => ({
    ...termination,
    medias: termination.medias.map((media) => {
      const id = entryId(termination.terminationId, media.mediaId);
      const refused = refusing.find(({ entries }) => entries.includes(id))?.refused;
      if (!refused || !media.dcMedia) return media;
      const open = Object.entries(media.dcMedia.streams).filter(([key]) => !refused.has(Number(key)));
      return { ...media, dcMedia: { ...media.dcMedia, streams: Object.fromEntries(open) } };
    }),
  }));
  return { ...document, terminations };
}

function renderAssociation(
  media: MediaInfo,
  association: HeldAssociation,
  local: LocalEndpoint | undefined,
  options: RenderOptions,
): MediaInfo {
  // Nothing is left of a failed one; its last values stay as they were told.
  if (!local || !media.dcMedia) return media;
  const { maxMessageSizeBytes, role, tlsId } = association;
  const securitySetup = setupOf(role, association.localSetup);
  const fingerprint = upperCaseHash(local.fingerprint);
  const dcMedia: DcMedia = {
    ...media.dcMedia,
    localDcEndpoint: { sctpPort: local.sctpPort, fingerprint, fingerprints: [fingerprint], tlsId, securitySetup },
    maxMessageSize: Math.max(1, Math.min(64, Math.ceil(maxMessageSizeBytes / 1_024))),
    securitySetup,
  };
  if (media.dcMedia.replaceHttpUrl) dcMedia.localMdc1Endpoint = clientEndpoint(options.mdc1Address);
  if (media.dcMedia.remoteMdc2Endpoint) dcMedia.localMdc2Endpoint = clientEndpoint(options.mdc2Address);
  // R4: only a peer that speaks the extension gets it.
  if (media.dcMedia.imsdc) {
    const { iceUfrag, icePwd } = local;
    dcMedia.imsdc = { ...media.dcMedia.imsdc, maxMessageSizeBytes, ...(iceUfrag ? { iceUfrag, icePwd } : {}) };
  }
  return { ...media, localMbEndpoint: endpoint(options.publicAddress, local.port, 'UDP'), dcMedia };
}

/** The MF's own end of the association with the DC AS; its certificate is the one that the UE sees. */
function renderMdc2(media: MediaInfo, local: LocalEndpoint | undefined, { mdc2Address }: RenderOptions): MediaInfo {
  if (!local || !media.dcMedia) return media;
  return { ...media, dcMedia: { ...media.dcMedia, localMdc2Endpoint: endpoint(mdc2Address, local.port, 'UDP') } };
}

/** R3: for e2e datagrams the MF tells its address and nothing else. */
function renderFlow(media: MediaInfo, id: string, held: Held, options: RenderOptions): MediaInfo {
  for (const flow of held.flows.values()) {
    const side = flow.a.entries.includes(id) ? 'a' : flow.b.entries.includes(id) ? 'b' : undefined;
    const local = side && held.flowLocals.get(flow.key)?.[side];
    if (!local) continue;
    const rendered: MediaInfo = { ...media, localMbEndpoint: endpoint(options.publicAddress, local.port, 'UDP') };
    const towards = flow.b.entries.length === 0 ? held.flowLocals.get(flow.key)?.b : undefined;
    if (towards && media.dcMedia) {
      const localMdc2Endpoint = endpoint(options.mdc2Address, towards.port, 'UDP');
      rendered.dcMedia = { ...media.dcMedia, localMdc2Endpoint };
    }
    if (media.dcMedia?.imsdc && local.iceUfrag) {
      const { iceUfrag, icePwd } = local;
      rendered.dcMedia = {
        ...(rendered.dcMedia ?? media.dcMedia),
        imsdc: { ...media.dcMedia.imsdc, iceUfrag, icePwd },
      };
    }
    return rendered;
  }
  return media;
}

/** What our response says beyond the request. The same before and after a patch: 204 says it all. */
export function toldBy(held: Held): unknown {
  const associations = [...held.associations.values()].map((association) => {
    const { key, localSetup, maxMessageSizeBytes, refused, role, tlsId } = association;
    const local = held.locals.get(key);
    // A role that we were told is no news.
    const news = setupOf(role, localSetup) === localSetup ? undefined : role;
    return { key, maxMessageSizeBytes, news, refused: [...refused], tlsId, port: local?.port };
  });
  const flows = [...held.flows.values()].map(({ key }) => ({ key }));
  return { associations, flows };
}

function setupOf(role: DtlsRole | undefined, localSetup: SecuritySetup | undefined): SecuritySetup {
  if (role) return role === 'active' ? 'ACTIVE' : 'PASSIVE';
  return localSetup ?? 'ACTPASS';
}

/** TS 29.571 Fingerprint: the hash in upper case. */
function upperCaseHash(fingerprint: string): string {
  const [algorithm = '', value = ''] = fingerprint.split(' ');
  return formatFingerprint({ algorithm: algorithm.toUpperCase(), value: value.toUpperCase() });
}

function endpoint(address: string, portNumber: number, transport: string): Endpoint {
  return { ip: address.includes(':') ? { ipv6Addr: address } : { ipv4Addr: address }, transport, portNumber };
}

/** R27: a client has no fixed port; 9 is what SDP writes where a port means nothing (RFC 3264 5.1). */
const clientEndpoint = (address: string) => endpoint(address, 9, 'TCP');
