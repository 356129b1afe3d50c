/** SIP over sockets. */
export {
  OverloadSchema,
  SipLimitKeys,
  type SipListenerConfig,
  SipListenerSchema,
  type SipTlsConfig,
  SipTlsSchema,
  TrustedPeersSchema,
} from './config.ts';
export { SipEndpoint, type SipEndpointEvents, type SipEndpointOptions } from './endpoint.ts';
export { standardTransports, type TransportFactory } from './factory.ts';
export { type DnsAnswer, dnsNameServer, type NameServer } from './name-server.ts';
export { Resolver } from './resolver.ts';
export { hostPort, type LocalAddress, type SipTransport, type TransportSink } from './transport.ts';
export { TrustedPeers } from './trust.ts';
