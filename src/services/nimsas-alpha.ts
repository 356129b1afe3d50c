import { createHash } from 'node:crypto';
import { alphaTlsId } from '../dtls/tls-id.ts';
import type { DcEndpoint, DcStream } from './common-data.ts';
import type { NotifiedMedia, SessionEventNotification } from './nimsas.ts';

/**
 * Our notification as a DCSF of the 2023/2024 schemas takes it (network-side.md 3.6): hexadecimal tls-ids (R12), one
 * fingerprint, no subprotocol, no vendor member, and the application binding as JSON text inside each stream.
 */
export function alphaNotification(notification: SessionEventNotification): SessionEventNotification {
  const { sessionInfo, mediaInfoList } = notification;
  const { peerSupportsDc: _, ...info } = sessionInfo ?? {};
  return {
    ...notification,
    ...(sessionInfo && { sessionInfo: info }),
    ...(mediaInfoList && { mediaInfoList: mapped(mediaInfoList, alphaMedia) }),
  };
}

function alphaMedia(media: NotifiedMedia): NotifiedMedia {
  const { dcMediaSpecification: specification } = media;
  if (!specification) return media;
  const { appBindingInfos, localDcEndpoint, remoteDcEndpoint, ...rest } = specification;
  const binding = (streamId: number) =>
    appBindingInfos?.find((info) => info.appDcInfoList?.some((channel) => channel.streamId === streamId));
  return {
    ...media,
    dcMediaSpecification: {
      ...rest,
      ...(localDcEndpoint && { localDcEndpoint: alphaEndpoint(localDcEndpoint) }),
      ...(remoteDcEndpoint && { remoteDcEndpoint: alphaEndpoint(remoteDcEndpoint) }),
      streams: mapped(rest.streams, (stream, key) => alphaStream(stream, binding(Number(key)))),
    },
  };
}

function alphaStream({ subprotocol: _, ...stream }: DcStream, binding: unknown): DcStream {
  return binding === undefined ? stream : { ...stream, appBindingInfo: JSON.stringify(binding) };
}

function alphaEndpoint({ fingerprints, tlsId, ...endpoint }: DcEndpoint): DcEndpoint {
  const fingerprint = endpoint.fingerprint ?? fingerprints?.[0];
  return {
    ...endpoint,
    ...(fingerprint !== undefined && { fingerprint }),
    ...(tlsId !== undefined && { tlsId: alphaTlsId(tlsId, sha256Hex) }),
  };
}

const sha256Hex = (text: string) => createHash('sha256').update(text, 'latin1').digest('hex');

function mapped<T>(record: Readonly<Record<string, T>>, change: (value: T, key: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
}
