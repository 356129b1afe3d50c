export { type ChannelFacts, DcAsChannel, type DcAsMessage } from './channel.ts';
export { type ChannelHandler, type DcAs, type DcAsOptions, startDcAs } from './server.ts';
export { DcAsSession } from './session.ts';
