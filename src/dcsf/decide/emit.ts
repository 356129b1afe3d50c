import type { MediaProxy } from '../../services/common-data.ts';
import type { MediaInstruction } from '../../services/nimsas.ts';
import type { DcOnePeer } from './types.ts';

/** R3. The alpha set has one word for both kinds of relay; the AS tells them apart at DC2 by `remoteDcEndpoint`. */
const ALPHA: Readonly<Record<MediaProxy, MediaProxy>> = {
  HTTP_PROXY: 'HTTP',
  UDP_PROXY: 'UDP',
  DC_APPLICATION_PROXY: 'UDP',
  HTTP: 'HTTP',
  UDP: 'UDP',
};

/** The instruction in the words its receiver knows: proxy names, errata switches, vendor members. */
export function spoken(instruction: MediaInstruction, peer: DcOnePeer): MediaInstruction {
  const specification = instruction.dcMediaSpecification;
  if (!specification || knowsAllWords(peer)) return instruction;
  const { imsdcCarriedBy, imsdcMdc2, imsdcTowards, mediaProxyConfig, ...rest } = specification;
  return {
    ...instruction,
    dcMediaSpecification: {
      ...rest,
      ...(mediaProxyConfig && {
        mediaProxyConfig: peer.vocabulary === 'rel18-alpha' ? ALPHA[mediaProxyConfig] : mediaProxyConfig,
      }),
      ...(imsdcTowards && peer.vendorExtensions && { imsdcTowards }),
      ...(imsdcCarriedBy && peer.vendorExtensions && { imsdcCarriedBy }),
      ...(imsdcMdc2 && peer.vendorExtensions && { imsdcMdc2 }),
      streams: peer.omitSubprotocol ? withoutSubprotocol(rest.streams) : rest.streams,
    },
  };
}

function knowsAllWords({ omitSubprotocol, vendorExtensions, vocabulary }: DcOnePeer): boolean {
  return vocabulary !== 'rel18-alpha' && vendorExtensions && !omitSubprotocol;
}

type Streams = NonNullable<MediaInstruction['dcMediaSpecification']>['streams'];

function withoutSubprotocol(streams: Streams): Streams {
  return Object.fromEntries(Object.entries(streams).map(([key, { subprotocol: _, ...stream }]) => [key, stream]));
}
