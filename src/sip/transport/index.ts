/** SIP over sockets. */
export { type SipEndpointConfig, SipEndpointSchema, type SipListenerConfig, SipListenerSchema } from './config.ts';
export { SipEndpoint, type SipEndpointEvents, type SipEndpointOptions } from './endpoint.ts';
export { standardTransports, type TransportFactory } from './factory.ts';
export { type NameServer, Resolver } from './resolver.ts';
export { hostPort, type LocalAddress, type SipTransport, type TransportSink } from './transport.ts';
