import type { MediaContext } from '../../src/services/nmf-mrm.ts';

export const SHA256 = `SHA-256 ${Array.from({ length: 32 }, (_, i) => (i + 160).toString(16).toUpperCase()).join(':')}`;

/** The originating network's context of rule R2, reduced to its two bootstrap lines. */
export function bootstrapContext(): MediaContext {
  return {
    terminations: [
      {
        terminationId: 'served',
        medias: [
          {
            mediaId: 'm1',
            mediaResourceType: 'DC',
            remoteMbEndpoint: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'UDP', portNumber: 40_000 },
            dcMedia: {
              mediaProxyConfig: 'HTTP_PROXY',
              remoteMdc1Endpoint: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 8_080 },
              replaceHttpUrl: { 0: { streamId: 0, replaceHttpUrl: 'http://127.0.0.1:8080/bdc/token/' } },
              streams: { 0: { streamId: 0, subprotocol: 'http', label: 'list' } },
              maxMessageSize: 64,
              remoteDcEndpoint: {
                sctpPort: 5000,
                fingerprint: SHA256,
                fingerprints: [SHA256],
                tlsId: 'abcdefghij_ABCDEFG-1',
                securitySetup: 'ACTPASS',
              },
              securitySetup: 'ACTPASS',
              imsdc: { localSetup: 'ACTIVE', maxMessageSizeBytes: 65_536 },
            },
          },
        ],
      },
      {
        terminationId: 'remote',
        medias: [
          {
            mediaId: 'd-1',
            mediaResourceType: 'DC',
            dcMedia: {
              mediaProxyConfig: 'HTTP_PROXY',
              remoteMdc1Endpoint: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 8_080 },
              replaceHttpUrl: { 100: { streamId: 100, replaceHttpUrl: 'http://127.0.0.1:8080/bdc/other/' } },
              streams: { 100: { streamId: 100, subprotocol: 'http' } },
              maxMessageSize: 64,
            },
          },
        ],
      },
    ],
  };
}
