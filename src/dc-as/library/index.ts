export { type ChannelFacts, DcAsChannel, type DcAsMessage } from './channel.ts';
export { Dc4Client, type Dc4ClientOptions, Dc4Error, type OfferedLine, type WantedLine } from './dc4-client.ts';
export { type ChannelHandler, type DcAs, type DcAsOptions, type DtlsOptions, startDcAs } from './server.ts';
export { DcAsSession } from './session.ts';
